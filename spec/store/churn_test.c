/*
** churn_test.c - the long run: an hour of a busy pipeline farm, as fast as it goes. At
** its end the store is to be as it was when it had been filled for the first time:
** in memory, in how far searches go, in how the heap is cut up, in how long calls take.
** What is printed on the way is a series, of eight looks.
**
** An hour: 1,000 jobs a second, 3,600,000 (JT_TEST_SCALE=60; by default a minute of it,
** and no times are taken), each with a creation, one to six updates or, one in 64, 200;
** results of up to 64 KB, most of them short; claims, cancels, deletions; workers killed
** in the midst of it; and now and then a retention so short that most of what has
** finished expires. The store is at its limit all that time, so that each job that comes
** takes another's place.
*/
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "audit.h"
#include "farm.h"
#include "runs.h"
#include "shape.h"

enum { PHASES = 8, JOBS_PER_KILL = 3000, ROUNDS = 11, CALLS = 2000 };

#define PROVE_STEADY "long churn leaves a store as it was"

/* Not one of many tests, side by side with others. */
static bool is_proof(void) {
  return check_times(1) > 1;
}

typedef struct setting {
  const char *name;
  uint32_t max_jobs, units;
  uint32_t part;                  /* see farm_make */
} setting;

typedef struct run {
  const setting *how;
  farm *farm;
  farm_role role[FARM_WORKERS], reading;
  pid_t worker[FARM_WORKERS], reader;
  uint64_t kills;
} run;

/* ----------------------------------------------------------------------- churning */

static void spawn(run *r, uint32_t worker) {
  farm_role *role = &r->role[worker];
  *role = (farm_role){ r->farm, worker, role->life + 1 };
  r->worker[worker] = check_fork(farm_work, role);
}

static void kill_one(run *r) {
  uint32_t worker = (uint32_t)check_below(FARM_WORKERS);
  int status;
  if (waitpid(r->worker[worker], &status, WNOHANG) != 0) {
    CHECK_NOT_HERE("a worker has ended before its time");
    return;
  }
  check_kill(r->worker[worker]);
  r->kills++;
  spawn(r, worker);
}

/* So short, now and then, that it sweeps the store nearly empty; the store has been
   full for some time before. */
static void change_retention(const run *r) {
  bool brief = check_below(5 * r->how->max_jobs / JOBS_PER_KILL) == 0;
  CHECK_CODE(jt_store_set_retention(r->farm->store, brief ? 5000 : JT_KEEP), JT_OK);
}

static bool is_at_its_limit(const run *r) {
  jt_stats stats;
  jt_store_stats(r->farm->store, &stats);
  return stats.jobs >= r->how->max_jobs / 16 * 15 ||
         stats.bytes_available < stats.bytes_used / 2;
}

static bool await_jobs(run *r, uint32_t created) {
  return CHECK_AWAIT(&r->farm->created, created) && check_failures() == 0;
}

static void end_all(run *r) {
  atomic_store(&r->farm->ending, 1);
  for (int i = 0; i < FARM_WORKERS; i++) CHECK_JOIN(r->worker[i]);
  CHECK_JOIN(r->reader);
  atomic_store(&r->farm->ending, 0);
  farm_look_after(r->farm);
}

/* Until so many jobs have been created. */
static void churn(run *r, uint32_t created, bool disturbed) {
  for (uint32_t i = 0; i < FARM_WORKERS; i++) spawn(r, i);
  r->reading = (farm_role){ r->farm, 0, r->reading.life + 1 };
  r->reader = check_fork(farm_read, &r->reading);
  while (disturbed) {
    uint32_t next = (uint32_t)check_below(2 * JOBS_PER_KILL);
    next += atomic_load(&r->farm->created);
    if (next >= created || !await_jobs(r, next)) break;
    kill_one(r);
    change_retention(r);
  }
  await_jobs(r, created);
  CHECK_CODE(jt_store_set_retention(r->farm->store, JT_KEEP), JT_OK);
  while (disturbed && !is_at_its_limit(r) && await_jobs(r, created)) created += 500;
  end_all(r);
}

/* ------------------------------------------------------- a store of the same content */

static void copy_job(jt_store *to, const jt_job *job, const job_id *id) {
  jt_text reason = jt_job_part(job, JT_CANCEL);
  jt_change change = { JT_SET_STATUS | JT_SET_PROGRESS | JT_SET_STEP | JT_SET_RESULT |
                         JT_SET_ERROR | JT_SET_META,
                       job->status, job->progress,
                       jt_job_part(job, JT_STEP), jt_job_part(job, JT_RESULT),
                       jt_job_part(job, JT_ERROR), jt_job_part(job, JT_META) };
  create(to, FARM_TYPE, farm_number(job));
  if (reason.bytes != NULL) {
    CHECK_CODE(set_status(to, id, JT_RUNNING), JT_OK);
    CHECK_CODE(jt_cancel(to, id->text, id->length, reason), JT_OK);
  }
  if (job->status != JT_PENDING) CHECK_CODE(update(to, id, &change), JT_OK);
}

/* Two stores with the same jobs: a clone of the one that was churned, and one that has
   never seen others. */
typedef struct pair {
  jt_store *churned, *fresh;
  job_id *ids;
  size_t count;
  uint32_t number;                /* of the next job to be created */
} pair;

/* Not beyond what was ever used, whose memory would be taken by looking at it. */
static jt_store *copy_of(const jt_store *store) {
  const jt_geometry *g = &store->geometry;
  jt_store *copy = region_make(g->max_jobs, g->end_unit - g->first_unit);
  uint64_t used = g->first_unit + jt_word_load(&store->header->heap_mark);
  memcpy(copy->base, store->base, used * JT_UNIT);
  return copy;
}

/* Each job is read and checked on the way. */
static pair pair_make(const run *r) {
  static const jt_filter all = { -1, { NULL, 0 }, 0 };
  size_t capacity = r->how->max_jobs;
  jt_key *keys = check_memory(capacity * sizeof *keys);
  pair p = { copy_of(r->farm->store), region_make(r->how->max_jobs, r->how->units),
             check_memory(capacity * sizeof *p.ids), 0, 0 };
  CHECK_CODE(jt_list(p.churned, &all, keys, capacity, &p.count), JT_OK);
  static _Alignas(jt_job) unsigned char room[JT_JOB_MAX + 2 * FARM_LONGEST];
  for (size_t i = p.count; i-- > 0;) {
    jt_job *job = (jt_job *)(void *)room;
    size_t size;
    CHECK_CODE(jt_get_listed(p.churned, &keys[i], &all, job, sizeof room, &size), JT_OK);
    farm_check(r->farm, job);
    p.ids[i] = id_of(FARM_TYPE, farm_number(job));
    copy_job(p.fresh, job, &p.ids[i]);
  }
  free(keys);
  return p;
}

static void pair_free(pair *p) {
  region_free(p->churned);
  region_free(p->fresh);
  free(p->ids);
}

/* ------------------------------------------------------------------ how long it takes */

static const job_id *any_of(const pair *p) {
  return &p->ids[check_below(p->count)];
}

static uint64_t get_all(pair *p, jt_store *store) {
  static _Alignas(jt_job) unsigned char room[JT_JOB_MAX + 2 * FARM_LONGEST];
  size_t needed;
  for (int i = 0; i < CALLS; i++) {
    const job_id *id = any_of(p);
    CHECK_CODE(jt_get(store, id->text, id->length, (jt_job *)(void *)room, sizeof room,
                      &needed), JT_OK);
  }
  return CALLS;
}

static uint64_t get_none(pair *p, jt_store *store) {
  static _Alignas(jt_job) unsigned char room[JT_JOB_MAX];
  size_t needed;
  (void)p;
  for (int i = 0; i < CALLS; i++) {
    job_id id = id_of("none", (uint32_t)check_random());
    CHECK_CODE(jt_get(store, id.text, id.length, (jt_job *)(void *)room, sizeof room,
                      &needed), JT_NOT_FOUND);
  }
  return CALLS;
}

static uint64_t update_all(pair *p, jt_store *store) {
  jt_change change = { .fields = JT_SET_STEP | JT_SET_PROGRESS, .progress = 0.5,
                       .step = text_of("Section 3 of 6: how long an update takes") };
  for (int i = 0; i < CALLS; i++) CHECK_CODE(update(store, any_of(p), &change), JT_OK);
  return CALLS;
}

/* So many that room is made at least twice; each finishes. */
static uint64_t create_some(pair *p, jt_store *store) {
  uint32_t jobs = (uint32_t)store->geometry.max_jobs / 8;
  for (uint32_t i = 0; i < jobs; i++) create_finished(store, "more", p->number + i);
  return jobs;
}

static uint64_t list_newest(pair *p, jt_store *store) {
  static const jt_filter completed = { JT_COMPLETED, { NULL, 0 }, 0 };
  jt_key keys[100];
  size_t count = 0;
  (void)p;
  for (int i = 0; i < 4; i++)
    CHECK_CODE(jt_list(store, &completed, keys, 100, &count), JT_OK);
  return 4;
}

/* Nanoseconds of this process's CPU time for each call. */
static double time_of(uint64_t (*calls)(pair *, jt_store *), pair *p, jt_store *store) {
  struct timespec from, to;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
  uint64_t count = calls(p, store);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
  return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
         (double)count;
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

static double median(double *values) {
  qsort(values, ROUNDS, sizeof *values, ascending);
  return values[ROUNDS / 2];
}

/* Batches by turns, each with its neighbour: what else the machine does meets both. */
static void compare(const char *name, uint64_t (*calls)(pair *, jt_store *), pair *p) {
  double churned[ROUNDS], fresh[ROUNDS], ratio[ROUNDS];
  for (int i = -1; i < ROUNDS; i++) {
    double before = time_of(calls, p, i % 2 ? p->fresh : p->churned);
    double after = time_of(calls, p, i % 2 ? p->churned : p->fresh);
    p->number += (uint32_t)p->fresh->geometry.max_jobs / 8;
    if (i < 0) continue;          /* nothing is in the caches yet */
    churned[i] = i % 2 ? after : before;
    fresh[i] = i % 2 ? before : after;
    ratio[i] = churned[i] / fresh[i];
  }
  double times = median(ratio);
  check_say("  %s: %.0f ns, in a fresh store of the same jobs %.0f ns; ratio %.2f", name,
            median(churned), median(fresh), times);
  CHECK(times < 2);
}

/* Times only where nobody else is at work. */
static void look_at_all(const run *r) {
  pair p = pair_make(r);
  if (is_proof()) {
    compare("get", get_all, &p);
    compare("get of none", get_none, &p);
    compare("list", list_newest, &p);
    compare("update", update_all, &p);
    compare("create and finish", create_some, &p);
  }
  CHECK_AUDIT(p.churned);
  CHECK_AUDIT(p.fresh);
  pair_free(&p);
}

/* -------------------------------------------------------------------------- the run */

static region_shape look(const run *r, const char *when) {
  region_shape s = shape_of(r->farm->store);
  shape_say(when, &s);
  CHECK_AUDIT(r->farm->store);
  CHECK(s.hit < 4 && s.longest_hit <= 300);
  CHECK(s.miss < 20 && s.longest_miss <= 300);
  return s;
}

/* Jobs that lie side by side at first lie apart later, with room between them that is too
   small for some; that comes to an end soon. */
static void check_memory_held(const region_shape *filled, const region_shape *early,
                              const region_shape *last) {
  CHECK(last->resident < filled->resident + filled->resident / 2 + 1000000);
  if (is_proof())
    CHECK(last->resident < early->resident + early->resident / 8 + 1000000);
}

static void prove(const run *r) {
  char method[100];
  const struct { const char *what; uint64_t count; } rows[] = {
    { "changing calls", atomic_load(&r->farm->calls) },
    { "reads", atomic_load(&r->farm->reads) },
    { "workers killed", r->kills }
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    snprintf(method, sizeof method, "%llu minutes of churn in %s: %s",
             (unsigned long long)check_times(RUNS_CHURN) / 60000, r->how->name,
             rows[i].what);
    check_prove(PROVE_STEADY, method, rows[i].count);
  }
}

static void long_run(const setting *how) {
  run r = { .how = how,
            .farm = farm_make(region_make(how->max_jobs, how->units), how->part) };
  uint64_t jobs = check_times(RUNS_CHURN);
  region_shape early = { 0 }, last = early;
  churn(&r, how->max_jobs, false);
  region_shape filled = look(&r, "filled");
  look_at_all(&r);
  for (uint32_t phase = 1; phase <= PHASES && check_failures() == 0; phase++) {
    char when[32];
    snprintf(when, sizeof when, "%u of %d", phase, PHASES);
    churn(&r, how->max_jobs + (uint32_t)(jobs * phase / PHASES), true);
    last = look(&r, when);
    if (phase == 2) early = last;
  }
  check_memory_held(&filled, &early, &last);
  look_at_all(&r);
  prove(&r);
  region_free(r.farm->store);
}

/* A power of two: the index is as full as it can be. */
static void limited_by_jobs(void) {
  static const setting how = { "16,384 jobs", 16384, 1024 * 1024, 1 };
  long_run(&how);
}

static void limited_by_memory(void) {
  static const setting how = { "8 MB", 10000, 128 * 1024, 1 };
  long_run(&how);
}

static void limited_by_many_jobs(void) {
  static const setting how = { "100,000 jobs", 100000, 2048 * 1024, 4 };
  long_run(&how);
}

static const check_case cases[] = {
  { "limited_by_jobs", limited_by_jobs, 120 },
  { "limited_by_memory", limited_by_memory, 120 },
  { "limited_by_many_jobs", limited_by_many_jobs, 120 },
};
CHECK_MAIN(cases)
