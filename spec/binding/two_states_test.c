/*
** two_states_test.c - two Lua states in two threads of one process use the
** default store, and then a store file, at the same time.
**
** Each round starts both threads with the same Lua program; 'me' is 1 or 2.
** The program raises what it finds wrong. Afterwards a third state, in the main
** thread, looks at what is there.
*/
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* What every program starts with: the tracker that both share. */
static const char prelude[] =
  "local JobTracker = job_tracker.JobTracker\n"
  "tracker = tracker or (in_file and assert(JobTracker.open(folder .. '/jobs',\n"
  "  { size = '8M' }))) or JobTracker\n"
  "function await(id, options)\n"
  "  options = options or {}\n"
  "  options.timeout = 60\n"
  "  return assert(tracker.wait_job(id, options))\n"
  "end\n";

typedef struct round {
  const char *name;
  const char *prepare;   /* in the main thread, before; may return a task_id */
  const char *work;      /* in both threads; 'me', and that id as 'shared' */
  const char *inspect;   /* in the main thread, afterwards */
} round;

static const round rounds[] = {
  { "each state's jobs are its own and all there",
    "tracker.clear_jobs()",
    "local ids = {}\n"
    "for i = 1, 500 do\n"
    "  local id = assert(tracker.create_job('owner' .. me))\n"
    "  ids[i] = id\n"
    "  assert(tracker.update_job(id, { status = 'running' }))\n"
    "  for part = 1, 4 do\n"
    "    assert(tracker.update_job(id, { progress = part / 4,\n"
    "      current_step = me .. ':' .. part, meta = { me, part } }))\n"
    "    local job = assert(tracker.get_job(id))\n"
    "    assert(job.progress == part / 4 and job.meta[1] == me)\n"
    "    assert(job.current_step == me .. ':' .. part and job.meta[2] == part)\n"
    "  end\n"
    "  assert(tracker.update_job(id, { status = 'completed', result = id }))\n"
    "end\n"
    "for i = 1, 500 do\n"
    "  assert(tracker.get_job(ids[i]).result == ids[i])\n"
    "end\n",
    "local now = tracker.stats()\n"
    "assert(now.completed == 1000 and now.jobs_used == 1000)\n"
    "assert(now.version == 1000 * 7, now.version)\n"
    "for owner = 1, 2 do\n"
    "  local jobs = tracker.list_jobs({ task_type = 'owner' .. owner })\n"
    "  assert(#jobs == 500)\n"
    "end\n"
    "assert(tracker.clear_jobs() == 1000 and tracker.stats().bytes_used == 0)\n" },

  { "a job that both change is always of one update",
    "return assert(tracker.create_job('both'))",
    "for i = 1, 2000 do\n"
    "  local number = me * 10000 + i\n"
    "  assert(tracker.update_job(shared, { progress = number / 100000,\n"
    "    current_step = 'step ' .. number, error = 'error ' .. number,\n"
    "    meta = { number = number, text = ('x'):rep(i % 300) } }))\n"
    "  local job = assert(tracker.get_job(shared))\n"
    "  local is = job.meta.number\n"
    "  assert(job.progress == is / 100000, 'progress of another update')\n"
    "  assert(job.current_step == 'step ' .. is, 'step of another update')\n"
    "  assert(job.error == 'error ' .. is, 'error of another update')\n"
    "  assert(#job.meta.text == is % 10000 % 300, 'meta of another update')\n"
    "end\n",
    "local job = tracker.get_job(shared)\n"
    "assert(job.meta.number % 10000 == 2000)\n"
    "assert(tracker.stats().jobs_used == 1)\n" },

  { "each waits for what the other does",
    "return assert(tracker.create_job('turns'))",
    "local job = { version = 0 }\n"
    "for turn = 1, 400 do\n"
    "  if turn % 2 == me - 1 then\n"
    "    assert(tracker.update_job(shared, { current_step = 'turn ' .. turn }))\n"
    "  else\n"
    "    repeat\n"
    "      job = await(shared, { after = job.version })\n"
    "    until job.current_step == 'turn ' .. turn\n"
    "  end\n"
    "end\n"
    "if me == 1 then tracker.update_job(shared, { status = 'completed' })\n"
    "else assert(await(shared).progress == 1) end\n",
    "local job = tracker.get_job(shared)\n"
    "assert(job.current_step == 'turn 400' and job.version >= 402)\n" },

  { "one of both is the owner, and is dead when its thread has ended",
    "tracker.clear_jobs() return assert(tracker.create_job('owned'))",
    "local ok, message, code = tracker.claim_job(shared)\n"
    "if ok then\n"
    "  assert(tracker.update_job(shared, { status = 'running', meta = me }))\n"
    "else   -- the other one has it, or had it and has ended\n"
    "  assert(code == 'claimed' or code == 'invalid_transition', message)\n"
    "end\n"
    "for _ = 1, 300 do\n"
    "  local id = assert(tracker.create_job('own'))\n"
    "  assert(tracker.claim_job(id) and tracker.claim_job(id))\n"
    "  assert(tracker.get_job(id).status == 'pending')\n"
    "  assert(tracker.update_job(id, { status = 'completed' }))\n"
    "end\n",
    "local now, job = tracker.stats(), tracker.get_job(shared)\n"
    "assert(now.completed == 600 and now.failed == 1)\n"
    "assert(job.status == 'failed' and (job.meta == 1 or job.meta == 2))\n"
    "assert(job.error:find('died during: Initializing$'), job.error)\n"
    "assert(select(2, tracker.version()) == 0)\n" },

  { "jobs that one deletes are gone for the other",
    "tracker.clear_jobs() return assert(tracker.create_job('gone'))",
    "if me == 1 then\n"
    "  for _ = 1, 300 do tracker.delete_job(assert(tracker.create_job('x'))) end\n"
    "  assert(tracker.delete_job(shared))\n"
    "else\n"
    "  for _ = 1, 300 do tracker.list_jobs({ task_type = 'x' }) end\n"
    "  local job, message, code = tracker.wait_job(shared, { timeout = 60 })\n"
    "  assert(job == nil and message and code == 'not_found', code)\n"
    "end\n",
    "assert(tracker.stats().jobs_used == 0)" },
};

typedef struct worker {
  lua_State *L;
  int me;
  const char *shared;
  const char *work;
  bool in_file;
  char failure[512];     /* empty: none */
} worker;

static void set_globals(const worker *w) {
  lua_pushinteger(w->L, w->me);
  lua_setglobal(w->L, "me");
  lua_pushstring(w->L, w->shared);
  lua_setglobal(w->L, "shared");
  lua_pushboolean(w->L, w->in_file);
  lua_setglobal(w->L, "in_file");
}

/* Runs a program; its first result, if that is a string, stays in the state. */
static bool run(worker *w, const char *source) {
  set_globals(w);
  test_compile(w->L, prelude);
  bool ok = lua_pcall(w->L, 0, 0, 0) == 0;
  if (ok) {
    test_compile(w->L, source);
    ok = lua_pcall(w->L, 0, 1, 0) == 0;
  }
  if (!ok) snprintf(w->failure, sizeof w->failure, "%s", lua_tostring(w->L, -1));
  return ok;
}

static void open_state(worker *w) {
  w->L = luaL_newstate();
  if (w->L == NULL) exit(EXIT_FAILURE);
  lua_pushcfunction(w->L, test_open_state);
  if (lua_pcall(w->L, 0, 0, 0) != 0)
    snprintf(w->failure, sizeof w->failure, "%s", lua_tostring(w->L, -1));
}

/* The whole life of a state is in its thread. */
static void *work(void *argument) {
  worker *w = argument;
  open_state(w);
  if (w->failure[0] == '\0') run(w, w->work);
  lua_close(w->L);
  return NULL;
}

static void run_both(const round *r, const char *shared, bool in_file,
                     worker both[2]) {
  pthread_t thread[2];
  for (int i = 0; i < 2; i++) {
    both[i] = (worker){ .me = i + 1, .work = r->work, .in_file = in_file,
                        .shared = shared };
    if (pthread_create(&thread[i], NULL, work, &both[i]) != 0) exit(EXIT_FAILURE);
  }
  for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
}

static void run_round(worker *main_state, const round *r) {
  worker both[2];
  char shared[100] = "", name[200];
  const char *failure = main_state->failure;
  if (run(main_state, r->prepare)) {
    const char *id = lua_tostring(main_state->L, -1);
    snprintf(shared, sizeof shared, "%s", id == NULL ? "" : id);
    lua_settop(main_state->L, 0);
    main_state->shared = shared;
    run_both(r, shared, main_state->in_file, both);
    for (int i = 0; i < 2 && *failure == '\0'; i++) failure = both[i].failure;
    if (*failure == '\0' && !run(main_state, r->inspect))
      failure = main_state->failure;
    main_state->shared = NULL;
  }
  snprintf(name, sizeof name, "%s (%s)", r->name,
           main_state->in_file ? "file" : "memory");
  test_result(*failure == '\0', name, failure);
  lua_settop(main_state->L, 0);
}

#define ROUNDS (sizeof rounds / sizeof rounds[0])

static void run_all(bool in_file) {
  worker main_state = { .in_file = in_file };
  open_state(&main_state);
  for (size_t i = 0; i < ROUNDS; i++) {
    run_round(&main_state, &rounds[i]);
    main_state.failure[0] = '\0';
  }
  lua_close(main_state.L);
}

#if defined __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

/* Each state maps the file for itself. ThreadSanitizer goes by address: it
   takes the two views of one lock for two locks. */
static void run_in_file(void) {
#ifdef THREAD_SANITIZER
  for (size_t i = 0; i < ROUNDS; i++)
    test_skip(rounds[i].name, "ThreadSanitizer cannot follow two mappings");
#else
  run_all(true);
#endif
}

int main(void) {
  run_all(false);
  run_in_file();
  test_remove_folder();
  return test_close();
}
