/*
** recovery_bench.c - a writer is killed while it holds the lock: for how long does
** the next one's first call take? Prints samples for report.lua: milliseconds.
**
**   recovery_bench ROUNDS JOBS
**
** The next writer is, by turns, a process that has used the store before, and one
** just forked, which has none of the region's pages in its page table yet.
**
** The victim is no actor: it updates jobs as fast as it can and is killed at some
** moment. Whether it held the lock then, the store itself tells: it counts such
** deaths. Those who did not die of it are not counted; another one is sent.
*/
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "crowd.h"

enum { WARM_UP = 2000, ATTEMPTS = 200 };

/* Shared with the children. */
typedef struct board {
  _Atomic uint64_t updates;   /* how many the victim has made */
  double milliseconds;        /* that the next writer's call took, */
  double cpu_milliseconds;    /* and how many of them it computed */
} board;

typedef struct bench {
  jt_store *store;
  uint32_t jobs;
  board *board;
  bench_random random;
} bench;

static uint64_t recoveries(const bench *b) {
  jt_stats stats;
  jt_store_stats(b->store, &stats);
  return stats.recoveries;
}

_Noreturn static void be_victim(bench *b) {
  for (;;) {
    bench_id id = bench_make_id(bench_below(&b->random, b->jobs));
    if (crowd_update_one(b->store, &id, 0.5) != JT_OK) _exit(1);
    atomic_fetch_add_explicit(&b->board->updates, 1, memory_order_relaxed);
  }
}

/* Until the victim is in full swing, and then for up to a millisecond more. */
static void let_it_run(bench *b) {
  struct timespec moment = { 0, 100000 };
  while (atomic_load_explicit(&b->board->updates, memory_order_relaxed) < WARM_UP)
    nanosleep(&moment, NULL);
  moment.tv_nsec = (long)bench_below(&b->random, 1000000);
  nanosleep(&moment, NULL);
}

static void kill_a_writer(bench *b) {
  atomic_store_explicit(&b->board->updates, 0, memory_order_relaxed);
  b->random.state++;
  pid_t victim = child_fork();
  if (victim == 0) be_victim(b);
  let_it_run(b);
  kill(victim, SIGKILL);
  if (child_wait(victim) != SIGKILL) bench_die("the victim was not killed");
}

static void time_first_call(bench *b) {
  bench_id id = bench_make_id(bench_below(&b->random, b->jobs));
  uint64_t start = bench_wall_time(), cpu_start = bench_cpu_time();
  jt_code code = crowd_update_one(b->store, &id, 0.25);
  b->board->cpu_milliseconds = (double)(bench_cpu_time() - cpu_start) / 1e6;
  b->board->milliseconds = (double)(bench_wall_time() - start) / 1e6;
  if (code != JT_OK) bench_die("the next writer: %s", jt_code_message(code));
}

static void time_first_call_of_a_child(bench *b) {
  pid_t child = child_fork();
  if (child == 0) {
    time_first_call(b);
    _exit(0);
  }
  if (child_wait(child) != 0) bench_die("the next writer was killed");
}

static void measure(bench *b, const char *name, void (*next_writer)(bench *)) {
  for (int i = 0; i < ATTEMPTS; i++) {
    uint64_t before = recoveries(b);
    kill_a_writer(b);
    next_writer(b);
    if (recoveries(b) == before) continue;
    bench_sample(b->board->milliseconds, "recovery/%s/%u/ours", name, b->jobs);
    bench_sample(b->board->cpu_milliseconds, "recovery/%s/cpu/%u/ours", name, b->jobs);
    return;
  }
  bench_die("no writer was killed while it held the lock");
}

/* A store that has recovered has lost nothing. */
static void verify(const bench *b) {
  jt_stats stats;
  jt_store_stats(b->store, &stats);
  if (stats.jobs != b->jobs || stats.damaged != 0) bench_die("jobs were lost");
}

int main(int count, char **arguments) {
  if (count != 3) bench_die("usage: recovery_bench ROUNDS JOBS");
  bench b = { .jobs = (uint32_t)strtoul(arguments[2], NULL, 10) };
  b.board = child_share(sizeof *b.board);
  b.store = crowd_make(b.jobs);
  crowd_update(b.store, b.jobs, b.jobs);
  bench_progress("killing writers");
  for (long rounds = strtol(arguments[1], NULL, 10); rounds > 0; rounds--) {
    measure(&b, "experienced", time_first_call);
    measure(&b, "newcomer", time_first_call_of_a_child);
  }
  verify(&b);
  bench_fact("writers killed in an update", "%llu", (unsigned long long)recoveries(&b));
  return 0;
}
