/*
** lua_memory_test.c - every call of the API, running out of memory at its first
** allocation, then at its second, and so on until it has all it asks for; once
** with Lua's allocations refused, once with those of C (jansson's, the store's
** and our own).
**
** After each refusal: the error says so; nothing is left over (blocks of C
** memory, descriptors, mappings of the store file); and where an error was
** raised, nothing happened to the store, so nobody can believe in a change that
** was made, or miss one.
*/
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "harness.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZER 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER 1
#endif
#endif

/* --------------------------------------------------------------- refusing */

typedef enum side { LUA_SIDE, C_SIDE, SIDES } side;

static const char *const side_names[SIDES] = { "Lua", "C" };

/* A sanitizer takes over C's allocation itself. */
#ifdef SANITIZER
#define SIDES_HERE 1
#else
#define SIDES_HERE SIDES
#endif

static struct {
  bool armed;
  side side;
  bool spares_jansson;
  long left;       /* allocations still granted */
  bool refused;    /* whether one was not: from then on, none is */
} limit;

static bool refuse(side by) {
  if (!limit.armed || limit.side != by || limit.left-- > 0) return false;
  limit.left = 0;
  limit.refused = true;
  return true;
}

static void arm(side by, long granted) {
  limit.side = by;
  limit.left = granted;
  limit.refused = false;
  limit.armed = true;
}

static void disarm(void) {
  limit.armed = false;
}

/* ----------------------------------------------------------- memory of C */

static long c_blocks;   /* that are allocated; 0 under a sanitizer, which has
                           a leak checker of its own */

#ifdef SANITIZER

#define raw_malloc malloc
#define raw_realloc realloc
#define raw_free free

#else

/* The C library's own, behind the names that this program takes over. */
void *__libc_malloc(size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_calloc(size_t count, size_t size);
void __libc_free(void *block);

#define raw_malloc __libc_malloc
#define raw_realloc __libc_realloc
#define raw_free __libc_free

#define TAKES_OVER __attribute__((visibility("default")))

static void *counted(void *block) {
  if (block != NULL) c_blocks++;
  else errno = ENOMEM;
  return block;
}

TAKES_OVER void *malloc(size_t size) {
  return counted(refuse(C_SIDE) ? NULL : __libc_malloc(size));
}

TAKES_OVER void *calloc(size_t count, size_t size) {
  return counted(refuse(C_SIDE) ? NULL : __libc_calloc(count, size));
}

TAKES_OVER void *realloc(void *block, size_t size) {
  if (block == NULL) return malloc(size);
  if (!refuse(C_SIDE)) return __libc_realloc(block, size);
  errno = ENOMEM;
  return NULL;
}

TAKES_OVER void free(void *block) {
  if (block != NULL) c_blocks--;
  __libc_free(block);
}

#endif

/* jansson 2.14 does not look whether its parser got memory, and trips over its
   own assertion (load.c, lex_unget_unsave). So cases that parse spare it. */
static void *jansson_malloc(size_t size) {
  if (!limit.spares_jansson) return malloc(size);
  void *block = raw_malloc(size);
#ifndef SANITIZER
  counted(block);
#endif
  return block;
}

/* --------------------------------------------------------- memory of Lua */

static long lua_blocks;

/* Lua counts on it that a block can shrink. */
static void *lua_memory(void *context, void *block, size_t old, size_t size) {
  (void)context;
  if (size == 0) {
    if (block != NULL) lua_blocks--;
    raw_free(block);
    return NULL;
  }
  bool grows = block == NULL || size > old;
  void *got = grows && refuse(LUA_SIDE) ? NULL : raw_realloc(block, size);
  if (block == NULL && got != NULL) lua_blocks++;
  return got;
}

/* ------------------------------------------------------------- what is held */

typedef struct holdings {
  long blocks, files, mappings;
} holdings;

static long count_files(void) {
  long count = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) return -1;
  while (readdir(dir) != NULL) count++;
  closedir(dir);
  return count;
}

static long count_mappings(void) {
  char line[1024];
  long count = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return -1;
  while (fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, test_folder()) != NULL) count++;
  fclose(maps);
  return count;
}

static holdings count_holdings(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT, 0);   /* twice: finalizers make garbage */
  lua_gc(L, LUA_GCCOLLECT, 0);
  return (holdings){ c_blocks, count_files(), count_mappings() };
}

/* ------------------------------------------------------------------ programs */

/* What every case may use. 'tracker' is the one under test. */
static const char prelude[] =
  "JobTracker, null = job_tracker.JobTracker, job_tracker.null\n"
  "path, other = folder .. '/jobs', folder .. '/other'\n"
  "JobTracker.open(path, { size = '4M' }).close()\n"
  "long = ('a long text; '):rep(4000)\n"
  "value = { list = { 1, 2.5, 1/3, true, null, {} }, text = 'h\\195\\169 \"\\\\ \\n',\n"
  "  ['a\\0b'] = 'c\\0d', long = long }\n"
  "full = { status = 'failed', progress = 1/3, current_step = 'Schritt \\195\\188',\n"
  "  result = value, error = 'bad \\255 byte', meta = { 1, { 2 } } }\n"
  "function new(fields)\n"
  "  local id = assert(tracker.create_job('memory'))\n"
  "  if fields then assert(tracker.update_job(id, fields)) end\n"
  "  return id\n"
  "end\n"
  "function refused(call, ...)\n"   /* the message of an error that is expected */
  "  local ok, message = pcall(call, ...)\n"
  "  if ok or message:find('not enough memory', 1, true) then\n"
  "    error(message, 0)\n"
  "  end\n"
  "  return message\n"
  "end\n"
  "function state()\n"
  "  local now, all = tracker.stats(), {}\n"
  "  for _, name in ipairs { 'version', 'jobs_used', 'bytes_used', 'pending',\n"
  "      'running', 'completed', 'failed', 'evictions', 'damaged' } do\n"
  "    all[#all + 1] = name .. '=' .. now[name]\n"
  "  end\n"
  "  return table.concat(all, ' ')\n"
  "end\n"
  "function use()\n"               /* the store still does what it is for */
  "  local probe = assert(tracker.create_job('probe'))\n"
  "  assert(tracker.update_job(probe, { status = 'running', meta = { 7 } }))\n"
  "  assert(tracker.get_job(probe).meta[1] == 7)\n"
  "  assert(tracker.delete_job(probe))\n"
  "end\n";

typedef struct call_case {
  const char *name;
  const char *prepare;   /* before each attempt; sets globals */
  const char *call;      /* runs out of memory; returns something */
  const char *check;     /* of a call that returned: its results are '...' */
} call_case;

#define FIELD(name, condition) \
  { "job." name, "job = tracker.get_job(new(full))", "return job." name, \
    "local value = ... return " condition }

static const call_case cases[] = {
  { "create_job", "tracker.clear_jobs()", "return tracker.create_job('memory')",
    "return tracker.get_job(...).status == 'pending' and "
    "tracker.stats().jobs_used == 1" },
  { "update_job of numbers", "id = new()",
    "return tracker.update_job(id, { progress = 0.5, status = 'running' })",
    "return tracker.get_job(id).progress == 0.5" },
  { "update_job of texts", "id = new()",
    "return tracker.update_job(id, { current_step = long:sub(1, 4096), "
    "error = long })",
    "local job = tracker.get_job(id) return job.error == long" },
  { "update_job of everything", "id = new()",
    "return tracker.update_job(id, full)",
    "local job = tracker.get_job(id) return job.result['a\\0b'] == 'c\\0d' and "
    "job.result.list[3] == 1/3 and job.meta[2][1] == 2 and #job.error == 10" },
  { "update_job that clears", "id = new(full)",
    "return tracker.update_job(id, { result = null, error = null, meta = null })",
    "local job = tracker.get_job(id) return not (job.result or job.error)" },
  { "update_job of an unknown job", "",
    "return tracker.update_job('none_00000000', full)",
    "local ok, message, code = ... return not ok and code == 'not_found'" },
  { "update_job against the lifecycle", "id = new(full)",
    "return tracker.update_job(id, { status = 'running', result = value })",
    "local ok, message, code = ... return code == 'invalid_transition'" },
  { "update_job of a bad value", "id = new()",
    "return refused(tracker.update_job, id, { result = { a = { {}, value, "
    "{ [long] = print } } } })",
    "return (...):find('result.a[3]', 1, true)" },
  { "update_job of a bad key", "id = new()",
    "return refused(tracker.update_job, id, { meta = { [1] = 1, x = 2 } })",
    "return (...):find('meta: keys', 1, true)" },
  { "update_job of an unknown field", "id = new()",
    "return refused(tracker.update_job, id, { x = 1 })",
    "return (...):find('unknown field \"x\"', 1, true)" },
  { "get_job", "id = new()", "return tracker.get_job(id)",
    "return (...).task_id == id" },
  { "get_job of a large job", "id = new(full)", "return tracker.get_job(id)",
    "return (...).result.long == long" },
  { "get_job of an unknown job", "", "return tracker.get_job('none_00000000')",
    "return ... == nil" },
  FIELD("task_id", "value:find('^memory_%x+$')"),
  FIELD("task_type", "value == 'memory'"),
  FIELD("status", "value == 'failed'"),
  FIELD("progress", "value == 1/3"),
  FIELD("current_step", "value == full.current_step"),
  FIELD("result", "value['a\\0b'] == 'c\\0d' and value.long == long"),
  FIELD("error", "value == full.error"),
  FIELD("meta", "value[2][1] == 2"),
  FIELD("cancel_requested", "value == nil"),
  FIELD("created_at", "#value == 27"),
  FIELD("updated_at", "#value == 27"),
  FIELD("started_at", "value == nil"),
  FIELD("finished_at", "#value == 27"),
  FIELD("version", "value == tracker.stats().version"),
  { "to_dict", "job = tracker.get_job(new(full))", "return job:to_dict(null)",
    "return (...).result.long == long and (...).started_at == null" },
  { "to_json", "job = tracker.get_job(new(full))", "return job:to_json()",
    "return (...):find(long, 1, true) and (...):find('\\239\\191\\189', 1, true)" },
  { "tostring", "job = tracker.get_job(new(full))", "return tostring(job)",
    "return (...):find('failed 33%', 1, true)" },
  { "==", "id = new() job = tracker.get_job(id)",
    "return job == tracker.get_job(id)", "return ..." },
  { "an assignment to a job", "job = tracker.get_job(new())",
    "return refused(function() job.progress = 1 end)",
    "return (...):find('read-only', 1, true)" },
  { "list_jobs", "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_jobs()",
    "return #... == 9 and (...)[1].result.long == long" },
  { "list_jobs with a filter",
    "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_jobs{ status = 'pending', task_type = 'memory', "
    "limit = 3 }", "return #... == 3" },
  { "list_jobs by pages", "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_jobs{ limit = 5 }",
    "local jobs, after = ... local more, none = tracker.list_jobs{ before = after }\n"
    "return #jobs == 5 and #more == 4 and none == nil" },
  { "list_changes", "tracker.clear_jobs() from = tracker.version()\n"
    "for i = 1, 9 do new(i > 5 and full) end",
    "return tracker.list_changes(from)",
    "local jobs, version = ... return #jobs == 9 and jobs[9].result.long == long and "
    "version == tracker.version()" },
  { "list_changes with a limit", "from = tracker.version() new() new(full)",
    "return tracker.list_changes(from, { limit = 1 })",
    "local jobs, version = ... return #jobs == 1 and version < tracker.version()" },
  { "version", "new()", "return tracker.version()",
    "local version, dead = ... return version == tracker.stats().version and dead == 0" },
  { "list_jobs with a bad option", "",
    "return refused(tracker.list_jobs, { limits = 3 })",
    "return (...):find('unknown option', 1, true)" },
  { "wait_job", "id = new(full)", "return tracker.wait_job(id)",
    "return (...).status == 'failed'" },
  { "wait_job after a version", "id = new()",
    "return tracker.wait_job(id, { after = 0, timeout = 1 })",
    "return (...).status == 'pending'" },
  { "wait_job until its time is over", "id = new()",
    "return tracker.wait_job(id, { timeout = 0 })",
    "local job, message, code = ... return code == 'timeout'" },
  { "wait_job met by a signal", "id = new() alarm_soon()",
    "return tracker.wait_job(id, { timeout = 0.02 })",
    "local job, message, code = ... return code == 'timeout'" },
  { "get_json", "id = new()", "return tracker.get_json(id)",
    "local text, version = ... return text:find(id, 1, true) and "
    "version == tracker.stats().version" },
  { "get_json of a large job", "id = new(full)", "return tracker.get_json(id)",
    "return (...):find(long, 1, true)" },
  { "get_json of an unknown job", "", "return tracker.get_json('none_00000000')",
    "return ... == nil" },
  { "stats", "new()", "return tracker.stats()", "return (...).jobs_used > 0" },
  { "summary", "tracker.clear_jobs() for i = 1, 9 do new(i > 5 and full) end "
    "tracker.create_job('a')", "return tracker.summary()",
    "local types, bounds = ... return #types == 2 and types[1].task_type == 'a' and "
    "types[2].failed == 4 and types[2].within[#bounds] == 4" },
  { "summary of many types",
    "tracker.clear_jobs() for i = 1, 120 do tracker.create_job('type' .. i) end",
    "return tracker.summary()",
    "return #... == 101 and (...)[101].pending == 20" },
  { "open of a new file", "os.remove(other)",
    "return tracker.open(other, { size = '256K' })",
    "return (...).create_job('x') and ((...).close() or true)" },
  { "open of a file",
    "os.remove(other) JobTracker.open(other, { size = '256K' }).close()",
    "return tracker.open(other, { mode = '0640', retention = 5 })",
    "return (...).create_job('x') and ((...).close() or true)" },
  { "open read-only", "", "return tracker.open(path, { readonly = true })",
    "local job, message, code = (...).create_job('x'); (...).close()\n"
    "return code == 'readonly'" },
  { "open of no file", "", "return tracker.open('/nowhere/at/all')",
    "local opened, message, code = ... return code == 'io'" },
  { "tostring of a tracker", "", "return tostring(tracker)",
    "return (...):find('^JobTracker')" },
  { "configure", "", "return tracker.configure({ retention = 1000 })",
    "return ..." },
  { "configure of another size", "new()",
    "return tracker.configure({ size = '123M' })",
    "local ok, message, code = ... return code == 'in_use'" },
  { "close", "opened = JobTracker.open(path)", "opened.close() return true",
    "return not pcall(opened.stats)" },
  { "claim_job", "id = new(full) id = new()", "return tracker.claim_job(id)",
    "return ... and tracker.claim_job(id) and tracker.delete_job(id)" },
  { "claim_job of a finished job", "id = new(full)", "return tracker.claim_job(id)",
    "local ok, message, code = ... return not ok and code == 'invalid_transition' and "
    "message:find('a failed job cannot be claimed', 1, true)" },
  { "claim_job of an unknown job", "", "return tracker.claim_job('none_00000000')",
    "local ok, message, code = ... return not ok and code == 'not_found'" },
  { "cancel_job", "id = new{ status = 'running' }",
    "return tracker.cancel_job(id, 'late')",
    "return tracker.get_job(id).cancel_requested == 'late'" },
  { "cancel_job of a pending job", "id = new()", "return tracker.cancel_job(id)",
    "return tracker.get_job(id).error == 'cancelled: on request'" },
  { "cancel_job of a bad reason", "id = new()",
    "return refused(tracker.cancel_job, id, {})",
    "return (...):find('reason must be a string', 1, true)" },
  { "an id that is a job", "job = tracker.get_job(new())",
    "return refused(tracker.get_job, job)",
    "return (...):find('such as job.task_id, got JobStatus', 1, true)" },
  { "a name that JobStatus has not", "",
    "return refused(function() return job_tracker.JobStatus.COMPLETE end)",
    "return (...):find('unknown name \"COMPLETE\"', 1, true)" },
  { "delete_job", "id = new(full)", "return tracker.delete_job(id)",
    "return tracker.get_job(id) == nil" },
  { "delete_job of an unknown job", "",
    "return tracker.delete_job('none_00000000')",
    "local ok, message, code = ... return code == 'not_found'" },
  { "clear_jobs", "tracker.clear_jobs() new() new(full)",
    "return tracker.clear_jobs()", "return ... == 2" },
  { "require, and now", "", "local module = open_module() return module, module.now()",
    "local it, now = ... return it.JobTracker.stats().jobs_used >= 0 and #now == 27" },
};

/* ------------------------------------------------------------------ attempts */

typedef struct attempt {
  lua_State *L;
  const call_case *of;
  char failure[600];     /* empty: none */
} attempt;

static void fail(attempt *a, const char *what, const char *detail) {
  if (a->failure[0] == '\0')
    snprintf(a->failure, sizeof a->failure, "%s%s", what, detail);
}

/* Runs a program with the 'arguments' values on top; leaves its results. */
static bool run(attempt *a, const char *source, int arguments) {
  test_compile(a->L, source);
  lua_insert(a->L, -1 - arguments);
  if (lua_pcall(a->L, arguments, LUA_MULTRET, 0) == 0) return true;
  fail(a, source, " raised: ");
  const char *message = lua_tostring(a->L, -1);
  size_t used = strlen(a->failure);
  snprintf(a->failure + used, sizeof a->failure - used, "%s",
           message == NULL ? "?" : message);
  return false;
}

static void state_of_store(attempt *a, char *text, size_t size) {
  if (run(a, "return state()", 0))
    snprintf(text, size, "%s", lua_tostring(a->L, -1));
  lua_settop(a->L, 0);
}

static bool says_out_of_memory(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  return message != NULL && strstr(message, "not enough memory") != NULL;
}

static void check_results(attempt *a) {
  if (run(a, a->of->check, lua_gettop(a->L)) && !lua_toboolean(a->L, -1))
    fail(a, "wrong results: ", a->of->check);
}

/* What is right after a call that was refused memory: an error that says so,
   and nothing done; or nil and a message (the store ran out of it); or that it
   could do without. */
static void check_refused(attempt *a, int status, const char *before) {
  char now[400] = "";
  bool raised = status != 0;
  if (raised && !says_out_of_memory(a->L))
    fail(a, "another error: ", lua_tostring(a->L, -1));
  bool told = !raised && lua_isnil(a->L, 1) && lua_isstring(a->L, 2);
  if (!raised && !told) {
    check_results(a);
    return;
  }
  state_of_store(a, now, sizeof now);
  if (strcmp(before, now) != 0) fail(a, "the store changed: ", now);
}

static void check_holdings(attempt *a, const holdings *before) {
  char text[200];
  lua_settop(a->L, 0);
  holdings now = count_holdings(a->L);
  snprintf(text, sizeof text, "%ld blocks, %ld files, %ld mappings",
           now.blocks - before->blocks, now.files - before->files,
           now.mappings - before->mappings);
  if (now.blocks != before->blocks || now.files != before->files ||
      now.mappings != before->mappings)
    fail(a, "left over: ", text);
}

/* Numbers of many digits are parsed when they are written, to see whether they
   read back. */
static bool parses(const call_case *of) {
  static const char *const names[] = {
    "update_job of everything", "job.result", "job.meta", "to_dict"
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(of->name, names[i]) == 0) return true;
  return false;
}

/* One attempt with so many allocations granted. False: it had all it wanted,
   or something is wrong. */
static bool try_with(attempt *a, side by, long granted) {
  char before[400] = "";
  lua_State *L = a->L;
  run(a, "opened, job, id = nil", 0);
  run(a, a->of->prepare, 0);
  state_of_store(a, before, sizeof before);
  holdings held = count_holdings(L);
  test_compile(L, a->of->call);
  limit.spares_jansson = parses(a->of);
  arm(by, granted);
  int status = lua_pcall(L, 0, LUA_MULTRET, 0);
  disarm();
  if (limit.refused) check_refused(a, status, before);
  else if (status == 0) check_results(a);
  else fail(a, "raised: ", lua_tostring(L, -1));
  run(a, "opened = nil", 0);
  if (strcmp(a->of->name, "close") != 0) check_holdings(a, &held);
  run(a, "use()", 0);
  lua_settop(L, 0);
  return limit.refused && a->failure[0] == '\0';
}

static void run_case(lua_State *L, const call_case *of, const char *where) {
  for (side by = 0; by < SIDES_HERE; by++) {
    attempt first = { .L = L, .of = of }, a = first;
    char name[200];
    long granted = 0;
    try_with(&first, by, 1000000);   /* what is made once only is made now */
    while (try_with(&a, by, granted)) granted++;
    snprintf(name, sizeof name, "%s (%s), out of memory for %s after %ld",
             of->name, where, side_names[by], granted);
    test_result(a.failure[0] == '\0', name, a.failure);
  }
}

/* -------------------------------------------------------------------- states */

static void ignore(int signal_number) {
  (void)signal_number;
}

/* A signal arrives in 5 ms, and its handler does nothing. */
static int alarm_soon(lua_State *L) {
  (void)L;
  const struct itimerval time = { .it_value = { .tv_usec = 5000 } };
  struct sigaction action = { .sa_handler = ignore };
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &time, NULL);
  return 0;
}

static int open_all(lua_State *L) {
  test_open_state(L);
  lua_pushcfunction(L, alarm_soon);
  lua_setglobal(L, "alarm_soon");
  lua_pushcfunction(L, luaopen_job_tracker);
  lua_setglobal(L, "open_module");
  test_compile(L, prelude);
  lua_call(L, 0, 0);
  return 0;
}

static lua_State *new_state(lua_CFunction open) {
  lua_State *L = lua_newstate(lua_memory, NULL);
  if (L == NULL) exit(EXIT_FAILURE);
  lua_pushcfunction(L, open);
  if (lua_pcall(L, 0, 0, 0) == 0) return L;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  exit(EXIT_FAILURE);
}

static void run_cases(const char *where, const char *choose) {
  lua_State *L = new_state(open_all);
  attempt a = { .L = L };
  if (run(&a, choose, 0))
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
      run_case(L, &cases[i], where);
  else
    test_result(false, where, a.failure);
  lua_close(L);
}

static int open_nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* The first require of a Lua state, which also registers metatables. */
static bool first_require(long granted, bool *right) {
  lua_State *L = new_state(open_nothing);
  lua_pushcfunction(L, luaopen_job_tracker);
  arm(LUA_SIDE, granted);
  int status = lua_pcall(L, 0, 1, 0);
  disarm();
  *right = status == 0 ? lua_istable(L, -1) : says_out_of_memory(L);
  lua_close(L);
  return limit.refused;
}

static void run_first_require(void) {
  long before = c_blocks, lua_before = lua_blocks, granted = 0;
  bool right = true;
  while (first_require(granted, &right) && right) granted++;
  test_result(right && granted > 20, "require in a new state", "wrong outcome");
  test_result(c_blocks == before && lua_blocks == lua_before,
              "require in a new state", "memory left over");
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  json_set_alloc_funcs(jansson_malloc, free);
  run_cases("memory", "tracker = JobTracker");
  run_first_require();
  run_cases("file", "tracker = assert(JobTracker.open(path))");
  test_result(lua_blocks == 0, "all Lua states", "memory left over");
  test_result(count_mappings() == 0, "all Lua states", "a file is still mapped");
  test_remove_folder();
  return test_close();
}
