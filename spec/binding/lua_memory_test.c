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

#include "../store/check.h"   /* PROVE_REFUSED, CHECK_SANITIZED */
#include "harness.h"
#include "memory_cases.h"

/* --------------------------------------------------------------- refusing */

typedef enum side { LUA_SIDE, C_SIDE, SIDES } side;

static const char *const side_names[SIDES] = { "Lua", "C" };

/* A sanitizer takes over C's allocation itself. */
#if CHECK_SANITIZED
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

#if CHECK_SANITIZED

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
#if !CHECK_SANITIZED
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

static unsigned long long refusals[SIDES];

static void run_case(lua_State *L, const call_case *of, const char *where) {
  for (side by = 0; by < SIDES_HERE; by++) {
    attempt first = { .L = L, .of = of }, a = first;
    char name[200];
    long granted = 0;
    try_with(&first, by, 1000000);   /* what is made once only is made now */
    while (try_with(&a, by, granted)) granted++;
    refusals[by] += (unsigned long long)granted;
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
  test_compile(L, memory_prelude);
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
    for (const call_case *of = memory_cases; of->name != NULL; of++)
      run_case(L, of, where);
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
  refusals[LUA_SIDE] += (unsigned long long)granted;
  test_result(right && granted > 20, "require in a new state", "wrong outcome");
  test_result(c_blocks == before && lua_blocks == lua_before,
              "require in a new state", "memory left over");
}

/* Of C's, only an encoder's text and what jansson writes take any. */
static const unsigned long long fewest[SIDES] = { 1000, 20 };

static void say_what_was_tried(void) {
  for (side by = 0; by < SIDES_HERE; by++) {
    char method[100];
    snprintf(method, sizeof method, "each call of the API: each allocation of %s",
             side_names[by]);
    test_result(refusals[by] > fewest[by], method, "hardly any was refused");
    test_prove(PROVE_REFUSED, method, refusals[by]);
  }
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  json_set_alloc_funcs(jansson_malloc, free);
  run_cases("memory", "tracker = JobTracker");
  run_first_require();
  run_cases("file", "tracker = assert(JobTracker.open(path))");
  test_result(lua_blocks == 0, "all Lua states", "memory left over");
  test_result(count_mappings() == 0, "all Lua states", "a file is still mapped");
  say_what_was_tried();
  test_remove_folder();
  return test_close();
}
