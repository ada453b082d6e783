/*
** together_bench.c - one process that reads and one that updates, each alone and both
** at once, on the same store. Prints samples for report.lua: nanoseconds of CPU time a
** call.
**
**   together_bench ROUNDS JOBS
**
** Reader and writer have a CPU each, and sleep while the other is measured alone. What
** two CPUs take from each other in any case (a shared cache, two threads of a core), a
** third process tells: on the writer's CPU, it updates a store of its own. Where other
** programs take turns on these CPUs, the two are less often at work at once.
**
** What is written on one CPU has to come to the other, whatever wrote it. How long that
** takes by itself, two more processes tell: they move what a job consists of, a word that
** says where, and two lines there, and do nothing else.
*/
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "crowd.h"

enum { SLICE = 10 * 1000 * 1000 };   /* nanoseconds by the clock, of one phase */
enum { CALLS = 64 };                 /* between two looks at it */
enum { JOB_WORDS = 16 };             /* of two lines */
enum { WORKERS = 5 };

/* Jobs that are nothing but their bytes. Shared. */
typedef struct bare {
  _Atomic uint32_t *where;           /* by job: its place */
  _Atomic uint64_t (*place)[JOB_WORDS];
  uint32_t spare;                    /* the writer's own: the place that no job has */
} bare;

typedef struct bench bench;

typedef struct worker {
  const char *name;
  int cpu;                      /* of child_use_cpu */
  void (*call)(bench *b, uint32_t job, bench_random *random);
  pid_t pid;
  int orders[2], answers[2];    /* pipes: how many work now; nanoseconds a call */
} worker;

struct bench {
  jt_store *store;              /* NULL: whoever needs one makes it */
  bare bare;
  uint32_t jobs;
  _Atomic uint32_t *arrived;    /* of the workers of a phase, shared */
};

/* -------------------------------------------------------------------- workers */

static void read_one(bench *b, uint32_t job, bench_random *random) {
  union { jt_job job; char bytes[512]; } copy;
  bench_id id = bench_make_id(job);
  size_t needed;
  (void)random;
  jt_code code = jt_get(b->store, id.text, BENCH_ID_LENGTH, &copy.job, sizeof copy,
                        &needed);
  if (code != JT_OK) bench_die("get: %s", jt_code_message(code));
}

static void update_one(bench *b, uint32_t job, bench_random *random) {
  bench_id id = bench_make_id(job);
  jt_code code = crowd_update_one(b->store, &id, bench_below(random, 1024) / 1024.0);
  if (code != JT_OK) bench_die("update: %s", jt_code_message(code));
}

/* As far apart as in a table that has room for three times as many. */
static uint32_t slot_of(uint32_t job) { return job * 3; }

/* The sum is for who reads only: what is loaded must be of use. */
static uint64_t copy_of(const bare *all, uint32_t place, uint64_t copy[JOB_WORDS]) {
  uint64_t sum = 0;
  for (int i = 0; i < JOB_WORDS; i++) {
    copy[i] = atomic_load_explicit(&all->place[place][i], memory_order_relaxed);
    sum += copy[i];
  }
  return sum;
}

static void read_bare(bench *b, uint32_t job, bench_random *random) {
  uint64_t copy[JOB_WORDS];
  volatile uint64_t sum;
  (void)random;
  sum = copy_of(&b->bare, atomic_load_explicit(&b->bare.where[slot_of(job)],
                                               memory_order_acquire), copy);
  (void)sum;
}

static void write_bare(bench *b, uint32_t job, bench_random *random) {
  bare *all = &b->bare;
  uint64_t copy[JOB_WORDS];
  uint32_t old = atomic_load_explicit(&all->where[slot_of(job)], memory_order_relaxed);
  copy_of(all, old, copy);
  copy[0] = bench_below(random, 1024);
  for (int i = 0; i < JOB_WORDS; i++)
    atomic_store_explicit(&all->place[all->spare][i], copy[i], memory_order_relaxed);
  atomic_store_explicit(&all->where[slot_of(job)], all->spare, memory_order_release);
  all->spare = old;
}

static void make_bare(bench *b) {
  b->bare.where = child_share(slot_of(b->jobs) * sizeof *b->bare.where);
  b->bare.place = child_share((b->jobs + 1) * sizeof *b->bare.place);
  for (uint32_t job = 0; job < b->jobs; job++)
    atomic_store_explicit(&b->bare.where[slot_of(job)], job, memory_order_relaxed);
  b->bare.spare = b->jobs;
}

static double work(bench *b, const worker *self, bench_random *random) {
  uint64_t calls = 0, end = bench_wall_time() + SLICE, start = bench_cpu_time();
  while (bench_wall_time() < end) {
    for (int i = 0; i < CALLS; i++, calls++)
      self->call(b, bench_below(random, b->jobs), random);
  }
  return (double)(bench_cpu_time() - start) / (double)calls;
}

/* Until all who are to work now are there. */
static void meet(const bench *b, uint32_t workers) {
  atomic_fetch_add_explicit(b->arrived, 1, memory_order_acq_rel);
  while (atomic_load_explicit(b->arrived, memory_order_acquire) < workers) sched_yield();
}

static jt_store *make_store(uint32_t jobs) {
  jt_store *store = crowd_make(jobs);
  crowd_update(store, jobs, jobs);
  return store;
}

_Noreturn static void be_worker(bench *b, const worker *self) {
  bench_random random = { (uint64_t)self->cpu };
  uint32_t workers;
  if (!child_use_cpu(self->cpu)) bench_die("no CPU for the %s", self->name);
  if (b->store == NULL) b->store = make_store(b->jobs);
  while (read(self->orders[0], &workers, sizeof workers) == sizeof workers) {
    meet(b, workers);
    double time = work(b, self, &random);
    if (write(self->answers[1], &time, sizeof time) != sizeof time) _exit(1);
  }
  _exit(0);
}

static void start(bench *b, worker *which) {
  if (pipe(which->orders) != 0 || pipe(which->answers) != 0)
    bench_die("pipe: %s", strerror(errno));
  which->pid = child_fork();
  if (which->pid == 0) be_worker(b, which);
}

/* --------------------------------------------------------------------- phases */

static void order(const worker *which, uint32_t workers) {
  if (write(which->orders[1], &workers, sizeof workers) != sizeof workers)
    bench_die("the %s does not listen", which->name);
}

static double answer_of(const worker *which) {
  double time;
  if (read(which->answers[0], &time, sizeof time) != sizeof time)
    bench_die("the %s does not answer", which->name);
  return time;
}

static void print_sample(const worker *which, const char *how, double time, bool print) {
  if (print) bench_sample(time, "together/%s/%s", which->name, how);
}

static void work_alone(const bench *b, const worker *which, bool print) {
  atomic_store_explicit(b->arrived, 0, memory_order_release);
  order(which, 1);
  print_sample(which, "alone", answer_of(which), print);
}

static void work_both(const bench *b, const worker *one, const worker *other,
                      const char *how, bool print) {
  atomic_store_explicit(b->arrived, 0, memory_order_release);
  order(one, 2);
  order(other, 2);
  print_sample(one, how, answer_of(one), print);
  print_sample(other, how, answer_of(other), print);
}

int main(int count, char **arguments) {
  if (count != 3) bench_die("usage: together_bench ROUNDS JOBS");
  long rounds = strtol(arguments[1], NULL, 10);
  bench b = { .jobs = (uint32_t)strtoul(arguments[2], NULL, 10) };
  worker reader = { .name = "reader", .cpu = 0, .call = read_one };
  worker writer = { .name = "writer", .cpu = 1, .call = update_one };
  worker stranger = { .name = "stranger", .cpu = 1, .call = update_one };
  worker bare_reader = { .name = "bare_reader", .cpu = 0, .call = read_bare };
  worker bare_writer = { .name = "bare_writer", .cpu = 1, .call = write_bare };
  worker *all[WORKERS] = { &stranger, &reader, &writer, &bare_reader, &bare_writer };
  b.arrived = child_share(sizeof *b.arrived);
  make_bare(&b);
  start(&b, &stranger);         /* before there is a store: it makes its own */
  b.store = make_store(b.jobs);
  for (int i = 1; i < WORKERS; i++) start(&b, all[i]);
  for (long round = 0; round <= rounds; round++) {   /* the first warms up */
    work_alone(&b, &reader, round > 0);
    work_alone(&b, &writer, round > 0);
    work_both(&b, &reader, &writer, "both", round > 0);
    work_both(&b, &reader, &stranger, "apart", round > 0);
    work_alone(&b, &bare_reader, round > 0);
    work_alone(&b, &bare_writer, round > 0);
    work_both(&b, &bare_reader, &bare_writer, "both", round > 0);
  }
  for (int i = 0; i < WORKERS; i++) child_kill(all[i]->pid);
  return 0;
}
