/*
** crowd.c - see crowd.h.
*/
#include "crowd.h"

#include <string.h>

jt_store *crowd_make(uint32_t jobs) {
  jt_error error;
  jt_options options = { .size = JT_MEMORY_SIZE, .max_jobs = jobs };
  bench_progress("creating %u jobs", jobs);
  if (jt_store_configure(&options, &error) != JT_OK) bench_die("%s", error.message);
  jt_store *store = jt_store_memory(&error);
  if (store == NULL) bench_die("%s", error.message);
  for (uint32_t i = 0; i < jobs; i++) {
    bench_id id = bench_make_id(i);
    jt_code code = jt_create_numbered(store, BENCH_TYPE, BENCH_TYPE_LENGTH, id.number);
    if (code != JT_OK) bench_die("create: %s", jt_code_message(code));
  }
  return store;
}

jt_code crowd_update_one(jt_store *store, const bench_id *id, double progress) {
  const char *step = bench_step(id->number);
  jt_change change = { .fields = JT_SET_PROGRESS | JT_SET_STEP, .progress = progress,
                       .step = { step, strlen(step) } };
  return jt_update(store, id->text, BENCH_ID_LENGTH, &change);
}

void crowd_update(jt_store *store, uint32_t jobs, uint64_t times) {
  bench_random random = { times };
  bench_progress("updating them %llu times", (unsigned long long)times);
  for (uint64_t i = 0; i < times; i++) {
    bench_id id = bench_make_id(bench_below(&random, jobs));
    jt_code code = crowd_update_one(store, &id, (double)(i + 1) / (double)times);
    if (code != JT_OK) bench_die("update: %s", jt_code_message(code));
  }
}
