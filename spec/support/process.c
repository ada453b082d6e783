/*
** process.c - what the specs need of the operating system and Lua does not
** have: real children, real signals, real waits. A Lua module, built for both
** ABIs; it knows nothing of job_tracker.
**
** What can go wrong at run time returns nil and a message; misuse raises.
** Every child dies with its parent, so that a spec run that is killed leaves
** nothing behind.
*/
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#define NANOSECONDS 1000000000

/* Links only into a build under AddressSanitizer; elsewhere it is NULL. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

__attribute__((visibility("default"))) int luaopen_process(lua_State *L);

/* nil, "<what>: <the system's words>" */
static int failure(lua_State *L, const char *what, int error) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", what, strerror(error));
  return 2;
}

static int success_or_failure(lua_State *L, const char *what, int result) {
  if (result != 0) {
    return failure(L, what, errno);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static pid_t check_pid(lua_State *L, int argument) {
  return (pid_t)luaL_checkinteger(L, argument);
}

/* ------------------------------------------------------------------- time */

static double monotonic_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / NANOSECONDS;
}

static struct timespec to_timespec(double seconds) {
  struct timespec time;
  time.tv_sec = (time_t)seconds;
  time.tv_nsec = (long)((seconds - (double)time.tv_sec) * NANOSECONDS);
  return time;
}

/* now() -> seconds of a clock that only goes forward */
static int process_now(lua_State *L) {
  lua_pushnumber(L, monotonic_seconds());
  return 1;
}

/* sleep(seconds) */
static int process_sleep(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0, 1, "seconds must not be negative");
  struct timespec left = to_timespec(seconds);
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
  return 0;
}

/* --------------------------------------------------------------- children */

/* The child may have lost its parent before the kernel was told. */
static void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(1);
  }
}

static int add_traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  luaL_traceback(L, L, message != NULL ? message : "(error object)", 1);
  return 1;
}

/* In the child: calls the function at index 1 and ends without running the
   parent's exit handlers, finalisers or remaining specs. */
static void run_child(lua_State *L) {
  lua_pushcfunction(L, add_traceback);
  lua_pushvalue(L, 1);
  int status = lua_pcall(L, 0, 0, -2);
  if (status != 0) {
    fprintf(stderr, "forked child: %s\n", lua_tostring(L, -1));
  }
  fflush(NULL);
  _exit(status != 0 ? 1 : 0);
}

/* fork(function) -> pid. The child exits with 0, or 1 if 'function' raised. */
static int process_fork(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  fflush(NULL); /* or the child would write the parent's buffers again */
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) {
    return failure(L, "fork", errno);
  }
  if (child == 0) {
    die_with(parent);
    run_child(L);
  }
  lua_pushinteger(L, child);
  return 1;
}

/* getpid() -> pid */
static int process_getpid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int check_signal(lua_State *L, int argument) {
  static const char *const names[] = {
    "KILL", "TERM", "STOP", "CONT", "INT", "HUP", "QUIT",
    "USR1", "USR2", "WINCH", "SEGV", "ABRT", NULL
  };
  static const int numbers[] = {
    SIGKILL, SIGTERM, SIGSTOP, SIGCONT, SIGINT, SIGHUP, SIGQUIT,
    SIGUSR1, SIGUSR2, SIGWINCH, SIGSEGV, SIGABRT
  };
  if (lua_type(L, argument) == LUA_TNUMBER) {
    return (int)luaL_checkinteger(L, argument);
  }
  return numbers[luaL_checkoption(L, argument, NULL, names)];
}

/* kill(pid, "KILL" | ... | number) -> true. Signal 0 asks whether it lives. */
static int process_kill(lua_State *L) {
  pid_t pid = check_pid(L, 1);
  luaL_argcheck(L, pid != 0 && pid != -1, 1, "would reach other processes");
  return success_or_failure(L, "kill", kill(pid, check_signal(L, 2)));
}

/* Waits until 'pid' has ended; false with errno set, ETIMEDOUT included. */
static bool await_end(pid_t pid, double timeout) {
  int descriptor = pidfd_open(pid, 0);
  if (descriptor < 0) {
    return false;
  }
  struct pollfd ended = { .fd = descriptor, .events = POLLIN };
  double deadline = monotonic_seconds() + timeout;
  int ready;
  do {
    double left = deadline - monotonic_seconds();
    struct timespec time = to_timespec(left > 0 ? left : 0);
    ready = ppoll(&ended, 1, &time, NULL);
  } while (ready < 0 && errno == EINTR);
  int error = ready == 0 ? ETIMEDOUT : errno;
  close(descriptor);
  errno = error;
  return ready == 1;
}

static pid_t reap(pid_t pid, int *status) {
  pid_t reaped;
  do {
    reaped = waitpid(pid, status, 0);
  } while (reaped < 0 && errno == EINTR);
  return reaped;
}

/* wait(pid [, seconds]) -> "exit", code | "signal", number | "timeout" */
static int process_wait(lua_State *L) {
  pid_t pid = check_pid(L, 1);
  if (!lua_isnoneornil(L, 2) && !await_end(pid, luaL_checknumber(L, 2))) {
    if (errno != ETIMEDOUT) {
      return failure(L, "wait", errno);
    }
    lua_pushliteral(L, "timeout");
    return 1;
  }
  int status;
  if (reap(pid, &status) < 0) {
    return failure(L, "wait", errno);
  }
  bool exited = WIFEXITED(status);
  lua_pushstring(L, exited ? "exit" : "signal");
  lua_pushinteger(L, exited ? WEXITSTATUS(status) : WTERMSIG(status));
  return 2;
}

/* --------------------------------------------------------- other programs */

/* All that the child needs, made before the fork: between fork and exec only
   async-signal-safe calls are allowed. */
typedef struct command {
  char **argv;
  char **environment;
  const char *files[3]; /* for stdin, stdout, stderr; NULL: the parent's */
  const char *directory;
} command;

/* An array of 'count' strings and a NULL, owned by Lua. */
static char **new_strings(lua_State *L, size_t count) {
  char **strings = lua_newuserdata(L, (count + 1) * sizeof *strings);
  memset(strings, 0, (count + 1) * sizeof *strings);
  return strings;
}

/* How many strings the table at index 1 begins with; anything else raises. */
static size_t count_arguments(lua_State *L) {
  size_t count = 0;
  for (;; count++) {
    lua_rawgeti(L, 1, (int)count + 1);
    int type = lua_type(L, -1);
    lua_pop(L, 1);
    if (type == LUA_TNIL) {
      break;
    }
    luaL_argcheck(L, type == LUA_TSTRING, 1, "arguments must be strings");
  }
  luaL_argcheck(L, count > 0, 1, "the first element must name the program");
  return count;
}

/* The strings stay valid, for the table at index 1 holds them. exec takes
   them as char * but changes nothing. */
static char **read_argv(lua_State *L) {
  size_t count = count_arguments(L);
  char **argv = new_strings(L, count);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (int)i + 1);
    argv[i] = (char *)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  return argv;
}

static const char *string_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const char *value = luaL_optstring(L, -1, NULL);
  lua_pop(L, 1);
  return value;
}

static bool same_name(const char *entry, const char *other) {
  size_t length = strcspn(other, "=");
  return strncmp(entry, other, length) == 0 && entry[length] == '=';
}

static void set_entry(char **environment, size_t *count, char *entry) {
  for (size_t i = 0; i < *count; i++) {
    if (same_name(environment[i], entry)) {
      environment[i] = entry;
      return;
    }
  }
  environment[(*count)++] = entry;
}

static void unset_entry(char **environment, size_t *count, const char *name) {
  for (size_t i = 0; i < *count; i++) {
    if (same_name(environment[i], name)) {
      environment[i] = environment[--*count];
      environment[*count] = NULL;
      return;
    }
  }
}

/* "name=value" in a block that Lua keeps: the stack has the only reference. */
static char *new_entry(lua_State *L, const char *name, const char *value) {
  size_t size = strlen(name) + strlen(value) + 2;
  char *entry = lua_newuserdata(L, size);
  snprintf(entry, size, "%s=%s", name, value);
  return entry;
}

static size_t count_pairs(lua_State *L, int table) {
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
    luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, 1, "env: names are strings");
    count++;
  }
  return count;
}

/* The parent's environment changed by the field env: a string sets, false
   unsets. Leaves what it allocates on the stack. */
static char **read_environment(lua_State *L) {
  size_t count = 0;
  while (environ[count] != NULL) {
    count++;
  }
  lua_getfield(L, 1, "env");
  int table = lua_gettop(L);
  bool changed = lua_type(L, table) == LUA_TTABLE;
  size_t changes = changed ? count_pairs(L, table) : 0;
  luaL_checkstack(L, (int)changes + 8, "env");
  char **environment = new_strings(L, count + changes);
  memcpy(environment, environ, count * sizeof *environment);
  if (!changed) {
    return environment;
  }
  lua_pushnil(L);
  while (lua_next(L, table) != 0) { /* ... name value */
    const char *name = lua_tostring(L, -2);
    if (lua_toboolean(L, -1)) {
      set_entry(environment, &count, new_entry(L, name, luaL_checkstring(L, -1)));
      lua_replace(L, -2); /* the entry in place of the value ... */
      lua_insert(L, -2);  /* ... stays below the name */
    } else {
      unset_entry(environment, &count, name);
      lua_pop(L, 1);
    }
  }
  return environment;
}

static bool redirect(const char *path, int descriptor) {
  if (path == NULL) {
    return true;
  }
  int flags = descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND;
  int file = open(path, flags, 0600);
  return file >= 0 && dup2(file, descriptor) >= 0;
}

/* In the child. Returns only if the program could not be started. */
static void become(const command *what) {
  for (int i = 0; i < 3; i++) {
    if (!redirect(what->files[i], i)) {
      return;
    }
  }
  if (what->directory != NULL && chdir(what->directory) != 0) {
    return;
  }
  /* An unrelated process: nothing of the parent's may be open in it. */
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  execvpe(what->argv[0], what->argv, what->environment);
}

/* Forks, and hears through a pipe that closes on exec whether it worked:
   0, or the child's errno. */
static int start(const command *what, pid_t *child) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    return errno;
  }
  fflush(NULL);
  pid_t parent = getpid();
  *child = fork();
  if (*child == 0) {
    die_with(parent);
    become(what);
    int error = errno;
    if (write(report[1], &error, sizeof error) < 0) {
      _exit(126);
    }
    _exit(127);
  }
  int error = *child < 0 ? errno : 0;
  close(report[1]);
  if (*child > 0 && read(report[0], &error, sizeof error) > 0) {
    int status;
    reap(*child, &status);
  }
  close(report[0]);
  return error;
}

/* spawn{argv..., stdin=, stdout=, stderr=, env=, cwd=} -> pid. Files are
   appended to. env changes the parent's environment; false unsets. */
static int process_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  command what = {
    .argv = read_argv(L),
    .environment = read_environment(L),
    .files = { string_field(L, "stdin"), string_field(L, "stdout"),
               string_field(L, "stderr") },
    .directory = string_field(L, "cwd"),
  };
  pid_t child = -1;
  int error = start(&what, &child);
  if (error != 0) {
    return failure(L, what.argv[0], error);
  }
  lua_pushinteger(L, child);
  return 1;
}

/* -------------------------------------------------------------- resources */

/* free_port() -> a TCP port on 127.0.0.1 that nobody listened on just now */
static int process_free_port(lua_State *L) {
  struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
  };
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) {
    return failure(L, "socket", errno);
  }
  int result = bind(listener, (struct sockaddr *)&address, length);
  if (result == 0) {
    result = getsockname(listener, (struct sockaddr *)&address, &length);
  }
  int error = errno;
  close(listener);
  if (result != 0) {
    return failure(L, "free_port", error);
  }
  lua_pushinteger(L, ntohs(address.sin_port));
  return 1;
}

/* mkdtemp() -> the path of a new directory, for the caller to remove */
static int process_mkdtemp(lua_State *L) {
  const char *parent = getenv("TMPDIR");
  char path[4096];
  snprintf(path, sizeof path, "%s/job_tracker.XXXXXX",
           parent != NULL && *parent != '\0' ? parent : "/tmp");
  if (mkdtemp(path) == NULL) {
    return failure(L, path, errno);
  }
  lua_pushstring(L, path);
  return 1;
}

/* mount_tmpfs(path, bytes) -> true; needs root */
static int process_mount_tmpfs(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  char options[64];
  snprintf(options, sizeof options, "size=%lld,mode=0700",
           (long long)luaL_checkinteger(L, 2));
  int result = mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options);
  return success_or_failure(L, "mount", result);
}

/* umount(path) -> true; at once from the tree, when idle from memory */
static int process_umount(lua_State *L) {
  return success_or_failure(L, "umount",
                            umount2(luaL_checkstring(L, 1), MNT_DETACH));
}

/* count_fds() -> how many file descriptors this process has open */
static int process_count_fds(lua_State *L) {
  DIR *directory = opendir("/proc/self/fd");
  if (directory == NULL) {
    return failure(L, "/proc/self/fd", errno);
  }
  lua_Integer count = -1; /* the directory's own */
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    count += entry->d_name[0] != '.';
  }
  closedir(directory);
  lua_pushinteger(L, count);
  return 1;
}

/* limit("nofile" | "fsize" | "as" | "core" [, soft]) -> the soft limit before;
   -1 stands for unlimited */
static int process_limit(lua_State *L) {
  static const char *const names[] = { "nofile", "fsize", "as", "core", NULL };
  static const int resources[] = {
    RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_CORE
  };
  int resource = resources[luaL_checkoption(L, 1, NULL, names)];
  struct rlimit limit;
  if (getrlimit((__rlimit_resource_t)resource, &limit) != 0) {
    return failure(L, "getrlimit", errno);
  }
  lua_Integer before = limit.rlim_cur == RLIM_INFINITY ? -1 : (lua_Integer)limit.rlim_cur;
  lua_Integer soft = luaL_optinteger(L, 2, before);
  limit.rlim_cur = soft < 0 ? limit.rlim_max : (rlim_t)soft;
  if (setrlimit((__rlimit_resource_t)resource, &limit) != 0) {
    return failure(L, "setrlimit", errno);
  }
  lua_pushinteger(L, before);
  return 1;
}

/* leaked() -> whether AddressSanitizer knows of leaked memory now (and has
   printed which); nil in a build without it */
static int process_leaked(lua_State *L) {
  if (__lsan_do_recoverable_leak_check == NULL) {
    lua_pushnil(L);
  } else {
    lua_pushboolean(L, __lsan_do_recoverable_leak_check());
  }
  return 1;
}

int luaopen_process(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "fork", process_fork },
    { "spawn", process_spawn },
    { "wait", process_wait },
    { "kill", process_kill },
    { "getpid", process_getpid },
    { "now", process_now },
    { "sleep", process_sleep },
    { "free_port", process_free_port },
    { "mkdtemp", process_mkdtemp },
    { "mount_tmpfs", process_mount_tmpfs },
    { "umount", process_umount },
    { "count_fds", process_count_fds },
    { "limit", process_limit },
    { "leaked", process_leaked },
    { NULL, NULL }
  };
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  return 1;
}
