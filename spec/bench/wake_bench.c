/*
** wake_bench.c - for how long does a process that waits for a job sleep on after its
** update? By turns with one that sleeps on a futex and is woken by nothing but the
** system call for it: the least that a wake-up takes. Prints samples for report.lua:
** microseconds by the clock, of two processes on two CPUs.
**
**   wake_bench ROUNDS
**
** The clock starts before the update and ends when wait_job's work is done: jt_wait has
** returned and the job is copied out.
*/
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "crowd.h"

enum { JOBS = 1000, WARM_UP = 20 };

/* Shared by both. */
typedef struct board {
  _Atomic uint32_t word;      /* the bare futex's: the number of the last waking */
  _Atomic uint32_t ready;     /* the turn before which the sleeper is going to sleep, */
  _Atomic uint32_t woken;     /* and which it was woken in, */
  uint64_t woken_at;          /* then */
} board;

typedef struct bench {
  jt_store *store;
  bench_id id;
  board *board;
  pid_t sleeper;
  int state;                  /* its /proc/.../stat */
} bench;

/* ------------------------------------------------------------- going to sleep */

static void copy_job(const bench *b, jt_job *job, size_t capacity) {
  size_t needed;
  jt_code code = jt_get(b->store, b->id.text, BENCH_ID_LENGTH, job, capacity, &needed);
  if (code != JT_OK) bench_die("get: %s", jt_code_message(code));
}

static void wait_for_update(const bench *b, uint32_t turn) {
  union { jt_job job; char bytes[512]; } copy;
  jt_code code;
  copy_job(b, &copy.job, sizeof copy);
  uint64_t after = copy.job.version;
  atomic_store_explicit(&b->board->ready, turn, memory_order_release);
  do {
    code = jt_wait(b->store, b->id.text, BENCH_ID_LENGTH, &after, JT_FOREVER);
  } while (code == JT_INTERRUPTED);
  if (code != JT_OK) bench_die("wait: %s", jt_code_message(code));
  copy_job(b, &copy.job, sizeof copy);
}

static void wait_for_word(const bench *b, uint32_t turn) {
  uint32_t before = atomic_load_explicit(&b->board->word, memory_order_relaxed);
  atomic_store_explicit(&b->board->ready, turn, memory_order_release);
  while (atomic_load_explicit(&b->board->word, memory_order_acquire) == before)
    if (syscall(SYS_futex, &b->board->word, FUTEX_WAIT, before, NULL, NULL, 0) != 0 &&
        errno != EINTR && errno != EAGAIN)
      bench_die("futex: %s", strerror(errno));
}

/* Odd turns are ours, even ones the futex's. */
_Noreturn static void be_sleeper(const bench *b) {
  child_use_cpu(1);
  for (uint32_t turn = 1;; turn++) {
    if (turn % 2 == 1) wait_for_update(b, turn);
    else wait_for_word(b, turn);
    b->board->woken_at = bench_wall_time();
    atomic_store_explicit(&b->board->woken, turn, memory_order_release);
  }
}

/* --------------------------------------------------------------------- waking */

static void wait_until(_Atomic uint32_t *what, uint32_t turn) {
  while (atomic_load_explicit(what, memory_order_acquire) != turn) sched_yield();
}

/* The kernel says whether it sleeps; between 'ready' and the end of the turn there is
   nothing else that it sleeps in. */
static void wait_until_asleep(const bench *b, uint32_t turn) {
  char text[256];
  const char *state;
  wait_until(&b->board->ready, turn);
  do {
    ssize_t length = pread(b->state, text, sizeof text - 1, 0);
    if (length <= 0) bench_die("cannot read the sleeper's state");
    text[length] = '\0';
    state = strrchr(text, ')');
  } while (state == NULL || state[2] != 'S');
}

static void wake_by_update(const bench *b, uint32_t turn) {
  jt_code code = crowd_update_one(b->store, &b->id, turn % 1024 / 1024.0);
  if (code != JT_OK) bench_die("update: %s", jt_code_message(code));
}

static void wake_by_word(const bench *b, uint32_t turn) {
  atomic_store_explicit(&b->board->word, turn, memory_order_release);
  syscall(SYS_futex, &b->board->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static double take_turn(const bench *b, uint32_t turn) {
  wait_until_asleep(b, turn);
  uint64_t start = bench_wall_time();
  if (turn % 2 == 1) wake_by_update(b, turn);
  else wake_by_word(b, turn);
  wait_until(&b->board->woken, turn);
  return (double)(b->board->woken_at - start) / 1000;
}

static void start_sleeper(bench *b) {
  char path[64];
  b->sleeper = child_fork();
  if (b->sleeper == 0) be_sleeper(b);
  snprintf(path, sizeof path, "/proc/%d/stat", (int)b->sleeper);
  b->state = open(path, O_RDONLY | O_CLOEXEC);
  if (b->state < 0) bench_die("%s: %s", path, strerror(errno));
}

int main(int count, char **arguments) {
  if (count != 2) bench_die("usage: wake_bench ROUNDS");
  uint32_t rounds = (uint32_t)strtoul(arguments[1], NULL, 10);
  bench b = { .id = bench_make_id(JOBS / 2) };
  b.board = child_share(sizeof *b.board);
  b.store = crowd_make(JOBS);
  start_sleeper(&b);
  child_use_cpu(0);
  for (uint32_t round = 0; round < rounds + WARM_UP; round++) {
    double ours = take_turn(&b, 2 * round + 1), bare = take_turn(&b, 2 * round + 2);
    if (round < WARM_UP) continue;
    bench_sample(ours, "wake/return/ours");
    bench_sample(bare, "wake/return/futex");
  }
  child_kill(b.sleeper);
  return 0;
}
