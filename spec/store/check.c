/*
** check.c - running cases and children, and telling what happened.
*/
#include "check.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 1, SKIPPED = 77, MANY = 20 };

static _Atomic unsigned failures;
static char folder[256];
static uint64_t seed = 20261123;
static _Thread_local uint64_t random_state;

/* ------------------------------------------------------------------ checks */

static bool failed(check_place place) {
  unsigned count = atomic_fetch_add(&failures, 1) + 1;
  if (count == MANY) printf("    %s:%d: too many failures\n", place.file, place.line);
  fflush(stdout);
  if (count >= MANY) _exit(FAILED);
  return false;
}

bool check_true(bool held, const char *expression, check_place place) {
  if (held) return true;
  printf("    %s:%d: %s does not hold\n", place.file, place.line, expression);
  return failed(place);
}

bool check_int(intmax_t actual, intmax_t expected, const char *left,
               const char *right, check_place place) {
  if (actual == expected) return true;
  printf("    %s:%d: %s is %jd, not %s, %jd\n", place.file, place.line, left, actual,
         right, expected);
  return failed(place);
}

bool check_code(jt_code actual, jt_code expected, const char *expression,
                check_place place) {
  if (actual == expected) return true;
  printf("    %s:%d: %s is \"%s\", not \"%s\"\n", place.file, place.line, expression,
         jt_code_name(actual), jt_code_name(expected));
  return failed(place);
}

static void print_text(jt_text text) {
  if (text.bytes == NULL) {
    printf("absent");
    return;
  }
  printf("%zu bytes \"", text.length);
  for (size_t i = 0; i < text.length && i < 32; i++) {
    char c = text.bytes[i];
    if (c >= ' ' && c <= '~') putchar(c);
    else printf("\\x%02x", (unsigned)(unsigned char)c);
  }
  printf("\"%s", text.length > 32 ? "..." : "");
}

bool check_text(jt_text actual, jt_text expected, const char *expression,
                check_place place) {
  if (actual.length == expected.length && !actual.bytes == !expected.bytes &&
      (actual.length == 0 || memcmp(actual.bytes, expected.bytes, actual.length) == 0))
    return true;
  printf("    %s:%d: %s is ", place.file, place.line, expression);
  print_text(actual);
  printf(", not ");
  print_text(expected);
  printf("\n");
  return failed(place);
}

bool check_no(const char *fault, const char *expression, check_place place) {
  if (fault == NULL) return true;
  printf("    %s:%d: %s says: %s\n", place.file, place.line, expression, fault);
  return failed(place);
}

bool check_not_here(const char *why, check_place place) {
  printf("    %s:%d: %s\n", place.file, place.line, why);
  return failed(place);
}

unsigned check_failures(void) {
  return atomic_load(&failures);
}

void check_say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("    ");
  vprintf(format, arguments);
  printf("\n");
  fflush(stdout);
  va_end(arguments);
}

void check_prove(const char *promise, const char *method, uint64_t tried) {
  printf("prove\t%s\t%s\t%llu\t%u\n", promise, method, (unsigned long long)tried,
         check_failures());
  fflush(stdout);
}

_Noreturn void check_skip(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("    skipped: ");
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  exit(SKIPPED);
}

/* -------------------------------------------------------------------- time */

double check_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct timespec duration(double seconds) {
  if (seconds < 0) seconds = 0;
  struct timespec time = { .tv_sec = (time_t)seconds };
  time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
  return time;
}

void check_pause(double seconds) {
  struct timespec time = duration(seconds);
  while (nanosleep(&time, &time) != 0 && errno == EINTR) continue;
}

/* ---------------------------------------------------------------- children */

/* Waits for the child, by SIGCHLD, which is blocked. False: not in time. */
static bool join_in_time(pid_t child, double seconds, int *status) {
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  double limit = check_now() + seconds;
  for (;;) {
    pid_t done = waitpid(child, status, WNOHANG);
    if (done == child) return true;
    double left = limit - check_now();
    if (done < 0 || left <= 0) return false;
    /* Another child's end may take the signal away from this one's. */
    struct timespec time = duration(left < 0.1 ? left : 0.1);
    sigtimedwait(&ended, NULL, &time);
  }
}

static void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(FAILED);
}

pid_t check_fork(void (*run)(void *), void *context) {
  pid_t parent = getpid();
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) {
    printf("    cannot fork: %s\n", strerror(errno));
    exit(FAILED);
  }
  if (child > 0) return child;
  die_with(parent);
  atomic_store(&failures, 0);
  run(context);
  fflush(stdout);
  _exit(check_failures() > 0 ? FAILED : 0);
}

int check_join(pid_t child, double seconds) {
  int status = 0;
  double start = check_now();
  if (join_in_time(child, seconds, &status)) return status;
  printf("    a child was not done after %.1f seconds\n", check_now() - start);
  check_kill(child);
  failed(CHECK_HERE);
  return SIGKILL;
}

static const char *ending(int status, char *text, size_t size) {
  if (WIFSIGNALED(status))
    snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
  else
    snprintf(text, size, "exit status %d", WEXITSTATUS(status));
  return text;
}

bool check_join_well(pid_t child, check_place place) {
  char text[80];
  int status = check_join(child, CHECK_SECONDS);
  if (status == 0) return true;
  printf("    %s:%d: the child ended badly: %s\n", place.file, place.line,
         ending(status, text, sizeof text));
  return failed(place);
}

void check_kill(pid_t child) {
  int status;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
}

void *check_memory(size_t bytes) {
  void *memory = calloc(1, bytes > 0 ? bytes : 1);
  if (memory != NULL) return memory;
  printf("    no memory for %zu bytes\n", bytes);
  exit(FAILED);
}

void *check_shared(size_t bytes) {
  void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
  if (base != MAP_FAILED) return base;
  printf("    cannot map %zu bytes: %s\n", bytes, strerror(errno));
  exit(FAILED);
}

bool check_await(const _Atomic uint32_t *word, uint32_t value, const char *expression,
                 check_place place) {
  double limit = check_now() + CHECK_SECONDS;
  for (unsigned tries = 0; atomic_load(word) < value; tries++) {
    if (check_now() > limit) {
      printf("    %s:%d: %s is still %u, not %u\n", place.file, place.line, expression,
             atomic_load(word), value);
      return failed(place);
    }
    if (tries > 100) check_pause(0.0002);
  }
  return true;
}

bool check_await_sleeping(pid_t process) {
  char path[64], line[256] = "";
  double limit = check_now() + CHECK_SECONDS;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
  while (check_now() < limit) {
    FILE *file = fopen(path, "r");
    bool read = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL) fclose(file);
    const char *name_end = read ? strrchr(line, ')') : NULL;
    if (name_end != NULL && name_end[1] == ' ' && name_end[2] == 'S') return true;
    check_pause(0.0005);
  }
  printf("    process %d does not sleep: %s", (int)process, line);
  return failed(CHECK_HERE);
}

/* ----------------------------------------------------------------- folders */

static int remove_entry(const char *path, const struct stat *status, int kind,
                        struct FTW *walk) {
  (void)status, (void)kind, (void)walk;
  return remove(path);
}

static void make_folder(void) {
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/job_store.XXXXXX",
           base != NULL && base[0] != '\0' ? base : "/tmp");
  if (mkdtemp(folder) == NULL) {
    printf("cannot make %s: %s\n", folder, strerror(errno));
    exit(FAILED);
  }
}

const char *check_folder(void) {
  return folder;
}

const char *check_path(const char *name) {
  static _Thread_local char paths[8][512];
  static _Thread_local unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

void check_mount(const char *path, unsigned mebibytes) {
  char size[32];
  snprintf(size, sizeof size, "size=%um", mebibytes);
  CHECK_INT(mkdir(path, 0700), 0);
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("none", path, "tmpfs", 0, size) != 0)
    check_skip("cannot mount a tmpfs: %s", strerror(errno));
}

/* ------------------------------------------------------------------ random */

uint64_t check_random_from(uint64_t *state) {
  uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
  mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
  return mixed ^ mixed >> 31;
}

uint64_t check_random(void) {
  return check_random_from(&random_state);
}

uint64_t check_below(uint64_t limit) {
  return check_random() % limit;
}

void check_reseed(uint64_t number) {
  random_state = seed + (number << 32);
}

static double wanted_scale(void) {
  const char *wanted = getenv("JT_TEST_SCALE");
  return wanted != NULL ? atof(wanted) : 1;
}

static double scale(void) {
  return CHECK_SANITIZED ? wanted_scale() / 4 : wanted_scale();
}

uint64_t check_times(uint64_t times) {
  double scaled = (double)times * scale();
  return scaled < 1 ? 1 : (uint64_t)scaled;
}

/* ------------------------------------------------------------------- cases */

/* exit, not _exit: a sanitizer may have something to say. */
_Noreturn static void run_case(const check_case *one, pid_t parent) {
  setpgid(0, 0);
  die_with(parent);
  check_reseed(0);
  one->run();
  fflush(stdout);
  exit(check_failures() > 0 ? FAILED : 0);
}

/* Returns the exit status, or -1. */
static int watch_case(const check_case *one, pid_t child) {
  char text[80];
  int status = 0;
  double seconds = (one->seconds > 0 ? one->seconds : CHECK_SECONDS);
  if (CHECK_SANITIZED) seconds *= 4;
  if (wanted_scale() > 1) seconds *= wanted_scale();
  bool done = join_in_time(child, seconds, &status);
  kill(-child, SIGKILL);
  if (!done) {
    printf("    stopped after %.0f seconds\n", seconds);
    check_kill(child);
    return -1;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) <= FAILED) return WEXITSTATUS(status);
  if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) return SKIPPED;
  printf("    the case ended badly: %s\n", ending(status, text, sizeof text));
  return -1;
}

static int do_case(const check_case *one) {
  pid_t parent = getpid();
  double start = check_now();
  make_folder();
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) run_case(one, parent);
  int result = child > 0 ? watch_case(one, child) : -1;
  nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  printf("%s %s (%.2f s)\n",
         result == 0 ? "ok" : result == SKIPPED ? "skipped" : "FAILED", one->name,
         check_now() - start);
  fflush(stdout);
  return result;
}

static bool is_wanted(const char *name, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], name) == 0) return true;
  return argc <= 1;
}

static void prepare(void) {
  sigset_t ended;
  const char *wanted = getenv("JT_TEST_SEED");
  if (wanted != NULL) seed = strtoull(wanted, NULL, 0);
  check_reseed(0);
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ended, NULL);
  printf("JT_TEST_SEED=%llu, counts x %g\n", (unsigned long long)seed, scale());
}

int check_main(int argc, char **argv, const check_case *cases, size_t count) {
  unsigned passed = 0, bad = 0, skipped = 0;
  prepare();
  for (size_t i = 0; i < count; i++) {
    if (!is_wanted(cases[i].name, argc, argv)) continue;
    int result = do_case(&cases[i]);
    if (result == 0) passed++;
    else if (result == SKIPPED) skipped++;
    else bad++;
  }
  printf("%u passed, %u failed, %u skipped\n", passed, bad, skipped);
  return bad > 0 || passed + skipped == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
