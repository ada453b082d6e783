/*
** blob_bench.c - reading and replacing large results, ours and each peer's by turns, on
** the same jobs in the same order. Prints samples for report.lua: microseconds of CPU
** time a call. Knows the stores by peer.h only.
**
**   blob_bench FOLDER ROUNDS JOBS BYTES...    FOLDER: a tmpfs; BYTES: of a result
*/
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/* Calls in a sample: so many, or as many as move so many bytes, if those are fewer. */
enum { BATCH = 1000, MOVED = 32 << 20 };

typedef struct bench {
  uint32_t jobs, batch;
  size_t size;                  /* of each result */
  void *store[BENCH_PEERS];
  uint64_t *stamp;              /* what each job's result begins with */
  uint32_t *index;              /* the jobs of a batch, and their ids */
  bench_id *id;
  char *result;                 /* what is written; only its stamp differs */
  char *out;                    /* where jobs are copied to */
  size_t capacity;
} bench;

static void *allocate(size_t count, size_t size) {
  void *block = calloc(count, size);
  if (block == NULL) bench_die("not enough memory");
  return block;
}

static void choose(bench *b, bench_random *random) {
  for (uint32_t i = 0; i < b->batch; i++) {
    b->index[i] = bench_below(random, b->jobs);
    b->id[i] = bench_make_id(b->index[i]);
  }
}

/* Each result has its stamp at both ends. */
static void replace(const bench *b, int who, uint32_t i, uint64_t stamp) {
  memcpy(b->result, &stamp, sizeof stamp);
  memcpy(b->result + b->size - sizeof stamp, &stamp, sizeof stamp);
  bench_peers[who]->replace(b->store[who], &b->id[i], b->result, b->size);
}

/* Returns the stamp of what was copied out. */
static uint64_t get(const bench *b, int who, uint32_t i) {
  uint64_t stamp, end;
  const char *result =
    bench_peers[who]->get_result(b->store[who], &b->id[i], b->out, b->capacity);
  memcpy(&stamp, result, sizeof stamp);
  memcpy(&end, result + b->size - sizeof end, sizeof end);
  if (stamp != end) bench_die("%s has not copied all", bench_peers[who]->name);
  return stamp;
}

static void print_sample(const bench *b, const char *call, int who, uint64_t time) {
  bench_sample((double)time / b->batch / 1000, "blob/%s/%zu/%s", call, b->size,
               bench_peers[who]->name);
}

static void measure_get(const bench *b, int who) {
  uint64_t sum = 0, expected = 0;
  for (uint32_t i = 0; i < b->batch; i++) expected += b->stamp[b->index[i]];
  uint64_t start = bench_cpu_time();
  for (uint32_t i = 0; i < b->batch; i++) sum += get(b, who, i);
  uint64_t time = bench_cpu_time() - start;
  if (sum != expected) bench_die("%s has other results", bench_peers[who]->name);
  print_sample(b, "get", who, time);
}

static void measure_replace(const bench *b, int who, uint64_t stamp) {
  uint64_t start = bench_cpu_time();
  for (uint32_t i = 0; i < b->batch; i++) replace(b, who, i, stamp + i);
  print_sample(b, "replace", who, bench_cpu_time() - start);
}

/* What is replaced, get finds in the next rounds. */
static void measure(bench *b, uint32_t rounds, uint32_t pass) {
  bench_random random = { b->size + pass };
  for (uint32_t round = 0; round < rounds; round++) {
    uint64_t stamp = (uint64_t)(round + 1) << 32;
    choose(b, &random);
    for (int i = 0; i < BENCH_PEERS; i++) measure_get(b, bench_turn(round, i));
    for (int i = 0; i < BENCH_PEERS; i++) measure_replace(b, bench_turn(round, i), stamp);
    for (uint32_t i = 0; i < b->batch; i++) b->stamp[b->index[i]] = stamp + i;
  }
}

static void fill(bench *b, int who) {
  for (uint32_t i = 0; i < b->jobs; i++) {
    b->id[0] = bench_make_id(i);
    bench_peers[who]->create(b->store[who], &b->id[0]);
    replace(b, who, 0, b->stamp[i] = i);
  }
}

static void verify(const bench *b, int who) {
  for (uint32_t i = 0; i < b->jobs; i++) {
    b->id[0] = bench_make_id(i);
    if (get(b, who, 0) != b->stamp[i])
      bench_die("%s has lost a result", bench_peers[who]->name);
  }
}

static void prepare(bench *b, size_t size) {
  b->size = size;
  b->batch = size * BATCH > MOVED ? (uint32_t)(MOVED / size) : BATCH;
  b->capacity = size + BENCH_JOB_ROOM;
  b->stamp = allocate(b->jobs, sizeof *b->stamp);
  b->index = allocate(BATCH, sizeof *b->index);
  b->id = allocate(BATCH, sizeof *b->id);
  b->result = allocate(1, size);
  b->out = allocate(1, b->capacity);
  memset(b->result, 'x', size);
}

static void release(bench *b) {
  free(b->stamp), free(b->index), free(b->id), free(b->result), free(b->out);
}

/* One pass; there are as many as peers, so that each opens its store first once. */
static void measure_size(bench *b, const char *folder, uint32_t rounds, size_t size,
                         uint32_t pass) {
  prepare(b, size);
  for (int i = 0; i < BENCH_PEERS; i++) {
    int who = bench_turn(pass, i);
    b->store[who] = bench_peers[who]->open(folder, b->jobs, size);
    fill(b, who);
  }
  measure(b, rounds / BENCH_PEERS + 1, pass);
  for (int i = 0; i < BENCH_PEERS; i++) {
    verify(b, i);
    bench_peers[i]->close(b->store[i]);
  }
  release(b);
}

int main(int count, char **arguments) {
  if (count < 5) bench_die("usage: blob_bench FOLDER ROUNDS JOBS BYTES...");
  uint32_t rounds = (uint32_t)strtoul(arguments[2], NULL, 10);
  bench b = { .jobs = (uint32_t)strtoul(arguments[3], NULL, 10) };
  for (int i = 4; i < count; i++) {
    size_t size = strtoul(arguments[i], NULL, 10);
    bench_progress("results of %zu bytes", size);
    for (uint32_t pass = 0; pass < BENCH_PEERS; pass++)
      measure_size(&b, arguments[1], rounds, size, pass);
  }
  return 0;
}
