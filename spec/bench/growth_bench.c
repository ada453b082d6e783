/*
** growth_bench.c - by how much is a call longer on a store that does not fit into the
** caches than on a small one, beside the same question about one word read at random
** from as much memory. Prints samples for report.lua: nanoseconds of CPU time.
**
**   growth_bench FOLDER ROUNDS FEW MANY     FOLDER: a tmpfs; jobs
**
** A bare read must wait for the one before (where it looks is what that one has found):
** what is measured is how long a word takes to come, not how many can be on their way.
** Its memory is a file on the same tmpfs, with so many bytes a job as a store has.
*/
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"

enum { BATCH = 20000, WARM_UP = 4000, JOB_SIZE = 144 };

/* A store, and memory of its size. */
typedef struct place {
  uint32_t jobs;
  void *store;
  size_t words;
  uint64_t *memory;
} place;

typedef struct bench {
  place few, many;
  bench_id id[BATCH];
  bench_random random;
} bench;

static const bench_peer *const ours = &peer_job_tracker;

/* ------------------------------------------------------------------ making */

static void fill_store(place *where) {
  for (uint32_t i = 0; i < where->jobs; i++) {
    bench_id id = bench_make_id(i);
    ours->create(where->store, &id);
    ours->update(where->store, &id, 0.5, bench_step(i));
  }
}

static uint64_t *map_file(const char *folder, size_t size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/memory", folder);
  int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) bench_die("%s: %s", path, strerror(errno));
  unlink(path);
  int code = posix_fallocate(file, 0, (off_t)size);
  if (code != 0) bench_die("%s: %s", path, strerror(code));
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) bench_die("mmap: %s", strerror(errno));
  close(file);
  return memory;
}

static place make_place(const char *folder, uint32_t jobs, bench_random *random) {
  place made = { .jobs = jobs, .words = (size_t)jobs * JOB_SIZE / 8 };
  bench_progress("%u jobs", jobs);
  made.store = ours->open(folder, jobs, 0);
  fill_store(&made);
  made.memory = map_file(folder, made.words * 8);
  for (size_t i = 0; i < made.words; i++)
    made.memory[i] = bench_below(random, (uint32_t)made.words);
  return made;
}

/* --------------------------------------------------------------- measuring */

/* The number of the call goes in too, so that no chain of reads ends in a circle. */
static uint64_t read_words(const place *where, uint32_t count, uint64_t at) {
  for (uint32_t i = 0; i < count; i++)
    at = where->memory[(at + i) % where->words];
  return at;
}

static double time_reads(bench *b, const place *where) {
  volatile uint64_t at = read_words(where, WARM_UP, bench_below(&b->random, 1000));
  uint64_t start = bench_cpu_time();
  at = read_words(where, BATCH, at);
  return (double)(bench_cpu_time() - start) / BATCH;
}

static void choose(bench *b, const place *where) {
  for (int i = 0; i < BATCH; i++)
    b->id[i] = bench_make_id(bench_below(&b->random, where->jobs));
}

static void get_some(bench *b, const place *where, int count) {
  for (int i = 0; i < count; i++)
    if (!(ours->get(where->store, &b->id[i]) >= 0.5)) bench_die("not as it was left");
}

static double time_gets(bench *b, const place *where) {
  choose(b, where);
  get_some(b, where, WARM_UP);
  choose(b, where);
  uint64_t start = bench_cpu_time();
  get_some(b, where, BATCH);
  return (double)(bench_cpu_time() - start) / BATCH;
}

static void update_some(bench *b, const place *where, int count) {
  for (int i = 0; i < count; i++)
    ours->update(where->store, &b->id[i], 0.5 + i / 65536.0, bench_step((uint32_t)i));
}

static double time_updates(bench *b, const place *where) {
  choose(b, where);
  update_some(b, where, WARM_UP);
  choose(b, where);
  uint64_t start = bench_cpu_time();
  update_some(b, where, BATCH);
  return (double)(bench_cpu_time() - start) / BATCH;
}

static void measure(bench *b, const char *name,
                    double (*time_calls)(bench *, const place *)) {
  double few = time_calls(b, &b->few);
  bench_sample(time_calls(b, &b->many) - few, "growth/%s", name);
}

int main(int count, char **arguments) {
  static bench b;
  if (count != 5) bench_die("usage: growth_bench FOLDER ROUNDS FEW MANY");
  b.few = make_place(arguments[1], (uint32_t)strtoul(arguments[3], NULL, 10), &b.random);
  b.many = make_place(arguments[1], (uint32_t)strtoul(arguments[4], NULL, 10), &b.random);
  for (long round = strtol(arguments[2], NULL, 10); round > 0; round--) {
    measure(&b, "get", time_gets);
    measure(&b, "read", time_reads);
    measure(&b, "update", time_updates);
  }
  ours->close(b.few.store);
  ours->close(b.many.store);
  return 0;
}
