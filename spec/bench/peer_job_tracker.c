/*
** peer_job_tracker.c - our own store, as a file: like the peers it can then be
** shared by processes that are not related.
*/
#include "peer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

static void expect(jt_code code, const char *call) {
  if (code != JT_OK) bench_die("%s: %s", call, jt_code_message(code));
}

static void *open_store(const char *folder, uint32_t jobs, size_t result) {
  char path[4096];
  jt_store *store;
  jt_error error;
  /* A result that is replaced stays until the new one is there. */
  uint64_t size = (256 + (uint64_t)result + result / 8) * jobs + (8u << 20);
  jt_options options = { .size = size, .max_jobs = jobs };
  snprintf(path, sizeof path, "%s/job_tracker", folder);
  if (jt_store_open(path, &options, &store, &error) != JT_OK)
    bench_die("job_tracker: %s", error.message);
  unlink(path);
  return store;
}

static void close_store(void *self) {
  jt_store_close(self);
}

static void create(void *self, const bench_id *id) {
  expect(jt_create_numbered(self, BENCH_TYPE, BENCH_TYPE_LENGTH, id->number), "create");
}

static void update(void *self, const bench_id *id, double progress, const char *step) {
  jt_change change = { .fields = JT_SET_PROGRESS | JT_SET_STEP, .progress = progress,
                       .step = { step, strlen(step) } };
  expect(jt_update(self, id->text, BENCH_ID_LENGTH, &change), "update");
}

static double get(void *self, const bench_id *id) {
  union { jt_job job; char bytes[512]; } copy;
  size_t needed;
  expect(jt_get(self, id->text, BENCH_ID_LENGTH, &copy.job, sizeof copy, &needed),
         "get");
  return copy.job.progress;
}

static void replace(void *self, const bench_id *id, const char *result, size_t length) {
  jt_change change = { .fields = JT_SET_RESULT, .result = { result, length } };
  expect(jt_update(self, id->text, BENCH_ID_LENGTH, &change), "update");
}

static const char *get_result(void *self, const bench_id *id, void *out,
                              size_t capacity) {
  size_t needed;
  expect(jt_get(self, id->text, BENCH_ID_LENGTH, out, capacity, &needed), "get");
  return jt_job_part(out, JT_RESULT).bytes;
}

static uint64_t count(void *self) {
  jt_stats stats;
  jt_store_stats(self, &stats);
  return stats.jobs;
}

const bench_peer peer_job_tracker = { "ours", NULL, open_store, close_store,
                                      create, update, get, replace, get_result, count };
