/*
** store_bench.c - create, get and update, ours and each peer's by turns, on the
** same jobs in the same order. Prints samples for report.lua: nanoseconds of CPU
** time a call. Knows the stores by peer.h only.
**
**   store_bench FOLDER ROUNDS JOBS...     FOLDER: a tmpfs, where the files go
**
** What a sample is: for create, the filling of a fresh store with all its jobs,
** in slices by turns; for get and update, a batch of calls on jobs chosen at
** random, after many on others, so that a store that fits into the caches is back in
** them after the peer's turn.
*/
#include <stdbool.h>
#include <stdlib.h>

#include "peer.h"

enum { BATCH = 20000, SLICE = 50000 };   /* at most */

/* The ids lie in a row in the order of the calls, and nothing else does: to fetch the
   next one costs nobody a cache miss, and little room in the caches. */
typedef struct bench {
  uint32_t jobs;
  void *store[BENCH_PEERS];
  uint32_t rounds, batch, warm_up;
  double *progress;       /* what each job has */
  bench_id *id;           /* of all jobs for create, of a batch for the rest */
  uint32_t index[BATCH];  /* of the jobs in the batch */
  double next[BATCH];     /* the progress that update gives them */
} bench;

static void *allocate(size_t count, size_t size) {
  void *block = calloc(count, size);
  if (block == NULL) bench_die("not enough memory");
  return block;
}

/* ------------------------------------------------------------------- create */

static void open_all(bench *b, const char *folder, uint32_t pass) {
  for (int i = 0; i < BENCH_PEERS; i++) {
    int who = bench_turn(pass, i);
    b->store[who] = bench_peers[who]->open(folder, b->jobs, 0);
  }
}

static void close_all(bench *b) {
  for (int i = 0; i < BENCH_PEERS; i++) bench_peers[i]->close(b->store[i]);
}

static uint64_t create_slice(const bench_peer *peer, void *store, const bench_id *from,
                             uint32_t count) {
  uint64_t start = bench_cpu_time();
  for (uint32_t i = 0; i < count; i++) peer->create(store, &from[i]);
  return bench_cpu_time() - start;
}

static void create_all(bench *b, uint32_t round) {
  uint64_t time[BENCH_PEERS] = { 0 };
  for (uint32_t from = 0; from < b->jobs; from += SLICE, round++) {
    uint32_t left = b->jobs - from, count = left < SLICE ? left : SLICE;
    for (int i = 0; i < BENCH_PEERS; i++) {
      int who = bench_turn(round, i);
      time[who] += create_slice(bench_peers[who], b->store[who], b->id + from, count);
    }
  }
  for (int i = 0; i < BENCH_PEERS; i++) {
    if (bench_peers[i]->count(b->store[i]) != b->jobs)
      bench_die("%s did not create all jobs", bench_peers[i]->name);
    bench_sample((double)time[i] / b->jobs, "store/create/%u/%s", b->jobs,
                 bench_peers[i]->name);
  }
}

/* Fills fresh stores, so many times; the last ones stay open. */
static void measure_create(bench *b, const char *folder, uint32_t pass, uint32_t times) {
  for (uint32_t i = 0; i < b->jobs; i++) b->id[i] = bench_make_id(i);
  for (uint32_t round = 0; round < times; round++) {
    if (round > 0) close_all(b);
    open_all(b, folder, pass);
    create_all(b, round);
  }
}

/* ----------------------------------------------------------- get and update */

static void choose(bench *b, bench_random *random) {
  for (uint32_t i = 0; i < b->batch; i++) {
    b->index[i] = bench_below(random, b->jobs);
    b->id[i] = bench_make_id(b->index[i]);
    b->next[i] = bench_below(random, 1024) / 1024.0;
  }
}

/* Warming up: calls that change nothing, on jobs chosen at random, the same for each
   peer. */
static void warm_up_get(const bench *b, int who, bench_random random) {
  for (uint32_t i = 0; i < b->warm_up; i++) {
    uint32_t index = bench_below(&random, b->jobs);
    bench_id id = bench_make_id(index);
    if (bench_peers[who]->get(b->store[who], &id) != b->progress[index])
      bench_die("%s: %s is not as it was left", bench_peers[who]->name, id.text);
  }
}

static void warm_up_update(const bench *b, int who, bench_random random) {
  for (uint32_t i = 0; i < b->warm_up; i++) {
    uint32_t index = bench_below(&random, b->jobs);
    bench_id id = bench_make_id(index);
    bench_peers[who]->update(b->store[who], &id, b->progress[index], bench_step(index));
  }
}

static double get_batch(const bench *b, int who) {
  const bench_peer *peer = bench_peers[who];
  double sum = 0;
  for (uint32_t i = 0; i < b->batch; i++) sum += peer->get(b->store[who], &b->id[i]);
  return sum;
}

static void measure_get(const bench *b, int who, bench_random random) {
  const bench_peer *peer = bench_peers[who];
  double expected = 0;
  for (uint32_t i = 0; i < b->batch; i++) expected += b->progress[b->index[i]];
  warm_up_get(b, who, random);
  uint64_t start = bench_cpu_time();
  double sum = get_batch(b, who);
  uint64_t time = bench_cpu_time() - start;
  if (sum != expected) bench_die("%s has other jobs than it was given", peer->name);
  bench_sample((double)time / b->batch, "store/get/%u/%s", b->jobs, peer->name);
}

static void update_batch(const bench *b, int who) {
  const bench_peer *peer = bench_peers[who];
  const char *step = bench_step((uint32_t)(b->next[0] * 1024));
  for (uint32_t i = 0; i < b->batch; i++)
    peer->update(b->store[who], &b->id[i], b->next[i], step);
}

static void measure_update(const bench *b, int who, bench_random random) {
  warm_up_update(b, who, random);
  uint64_t start = bench_cpu_time();
  update_batch(b, who);
  uint64_t time = bench_cpu_time() - start;
  bench_sample((double)time / b->batch, "store/update/%u/%s", b->jobs,
               bench_peers[who]->name);
}

/* What update wrote, get finds in the next round, and verify_all after the last. */
static void measure_calls(bench *b, uint32_t pass) {
  bench_random random = { b->jobs + pass };
  for (uint32_t round = 0; round < b->rounds; round++) {
    choose(b, &random);
    bench_random others = { ~random.state };
    for (int i = 0; i < BENCH_PEERS; i++) measure_get(b, bench_turn(round, i), others);
    for (int i = 0; i < BENCH_PEERS; i++) measure_update(b, bench_turn(round, i), others);
    for (uint32_t i = 0; i < b->batch; i++) b->progress[b->index[i]] = b->next[i];
  }
}

static void verify_all(const bench *b) {
  for (uint32_t i = 0; i < b->jobs; i++) {
    bench_id id = bench_make_id(i);
    for (int who = 0; who < BENCH_PEERS; who++)
      if (bench_peers[who]->get(b->store[who], &id) != b->progress[i])
        bench_die("%s has lost an update of %s", bench_peers[who]->name, id.text);
  }
}

/* --------------------------------------------------------------------- main */

/* Large stores take long to fill. */
static uint32_t creations(uint32_t jobs, uint32_t rounds) {
  uint32_t times = jobs > 100000 ? rounds / 30 : jobs > 10000 ? rounds / 10 : rounds / 5;
  return times / BENCH_PEERS + 1;
}

/* Up to a size every job is called for before the timing, twice on average, so that
   what can be in the caches is. Large stores get few samples, but long ones. */
static void plan(bench *b, uint32_t rounds) {
  bool large = b->jobs > 10000;
  b->rounds = (large ? (rounds + 3) / 4 : rounds) / BENCH_PEERS + 1;
  b->batch = large ? BATCH : BATCH / 5;
  b->warm_up = b->jobs <= 100000 ? 2 * b->jobs : BATCH;
}

/* One pass; there are as many as peers, so that each opens its store first once. */
static void measure(const char *folder, uint32_t rounds, uint32_t jobs, uint32_t pass) {
  bench *b = allocate(1, sizeof *b);
  b->jobs = jobs;
  plan(b, rounds);
  b->progress = allocate(jobs, sizeof *b->progress);
  b->id = allocate(jobs > BATCH ? jobs : BATCH, sizeof *b->id);
  measure_create(b, folder, pass, creations(jobs, rounds));
  measure_calls(b, pass);
  verify_all(b);
  close_all(b);
  free(b->id);
  free(b->progress);
  free(b);
}

int main(int count, char **arguments) {
  if (count < 4) bench_die("usage: store_bench FOLDER ROUNDS JOBS...");
  uint32_t rounds = (uint32_t)strtoul(arguments[2], NULL, 10);
  bench_name_peers();
  for (int i = 3; i < count; i++) {
    uint32_t jobs = (uint32_t)strtoul(arguments[i], NULL, 10);
    bench_progress("%u jobs", jobs);
    for (uint32_t pass = 0; pass < BENCH_PEERS; pass++)
      measure(arguments[1], rounds, jobs, pass);
  }
  return 0;
}
