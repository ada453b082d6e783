/*
** limits_test.c - at the limits: a full index, a full heap, jobs past their
** retention, what a region's shape may be, lengths that nothing can hold.
*/
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "store/heap.h"

static uint64_t evictions(const jt_store *store) {
  return jt_word_load(&store->header->evictions);
}

static uint64_t jobs(jt_store *store) {
  jt_stats stats;
  jt_store_stats(store, &stats);
  return stats.jobs;
}

static jt_code try_create(jt_store *store, const char *type, uint32_t number) {
  return jt_create_numbered(store, type, strlen(type), number);
}

/* ------------------------------------------------------------------------ full */

static void unfinished_jobs_fill_the_index(void) {
  jt_store *store = region_make(4, 100);
  job_id ids[4];
  for (uint32_t i = 0; i < 4; i++) ids[i] = create(store, "job", i);
  CHECK_CODE(set_status(store, &ids[1], JT_RUNNING), JT_OK);
  uint64_t version = jt_store_version(store);
  CHECK_CODE(try_create(store, "job", 9), JT_FULL);
  char id[JT_ID_MAX + 1];
  CHECK_CODE(jt_create(store, "job", 3, id), JT_FULL);
  CHECK_INT(jt_store_version(store), version);
  for (int i = 0; i < 4; i++) CHECK(exists(store, &ids[i]));
  CHECK_CODE(try_create(store, "job", 0), JT_TAKEN);    /* that comes first */
  CHECK_CODE(set_status(store, &ids[2], JT_COMPLETED), JT_OK);
  create(store, "job", 9);
  CHECK(!exists(store, &ids[2]));
  CHECK_INT(evictions(store), 1);
  CHECK_CODE(try_create(store, "job", 10), JT_FULL);
  CHECK_CODE(erase(store, &ids[0]), JT_OK);
  create(store, "job", 10);
  CHECK_AUDIT(store);
  region_free(store);
}

static void unfinished_jobs_fill_the_heap(void) {
  jt_store *store = region_make(100, 16);
  job_id ids[8];
  for (uint32_t i = 0; i < 8; i++) ids[i] = create(store, "j", i);
  CHECK_CODE(try_create(store, "j", 9), JT_FULL);
  CHECK_CODE(set_status(store, &ids[3], JT_RUNNING), JT_FULL);  /* no room to change */
  CHECK_CODE(erase(store, &ids[0]), JT_OK);
  CHECK_CODE(set_status(store, &ids[3], JT_COMPLETED), JT_OK);
  CHECK_CODE(set_status(store, &ids[4], JT_FAILED), JT_OK);
  CHECK_CODE(set_result(store, &ids[5], 64, 'r'), JT_OK);       /* 3 and 4 go for it */
  CHECK(!exists(store, &ids[3]));
  for (int i = 5; i < 8; i++) CHECK(exists(store, &ids[i]));
  CHECK_AUDIT(store);
  region_free(store);
}

/* The jobs go in the order in which they finished, not that of their making. */
static void the_oldest_finished_goes_first(void) {
  enum { JOBS = 16 };
  jt_store *store = region_make(JOBS, 200);
  job_id ids[JOBS];
  for (uint32_t i = 0; i < JOBS; i++) ids[i] = create(store, "job", i);
  for (uint32_t i = 0; i < JOBS; i++) {
    uint32_t which = i * 5 % JOBS;
    CHECK_CODE(set_status(store, &ids[which], i % 2 ? JT_FAILED : JT_COMPLETED), JT_OK);
    check_pause(0.000002);        /* a microsecond tells them apart */
  }
  CHECK_CODE(set_result(store, &ids[0], 10, 'r'), JT_OK);  /* makes it no younger */
  for (uint32_t i = 0; i < JOBS; i++) {
    create(store, "new", i);
    CHECK(!exists(store, &ids[i * 5 % JOBS]));
    if (i + 1 < JOBS) CHECK(exists(store, &ids[(i + 1) * 5 % JOBS]));
  }
  CHECK_CODE(try_create(store, "new", JOBS), JT_FULL);
  CHECK_INT(evictions(store), JOBS);
  region_free(store);
}

static void what_can_never_fit_evicts_nothing(void) {
  jt_store *store = region_make(20, 100);
  job_id pending = create(store, "job", 1), done = create_finished(store, "job", 2);
  for (uint32_t i = 3; i < 10; i++) create_finished(store, "job", i);
  CHECK_CODE(set_result(store, &pending, 97 * 64, 'x'), JT_FULL);
  CHECK_CODE(set_result(store, &done, 101 * 64, 'x'), JT_FULL);
  CHECK_INT(evictions(store), 0);
  /* A finished job's old result stays until the new one is there. */
  CHECK_CODE(set_result(store, &done, 50 * 64, 'x'), JT_OK);
  CHECK_CODE(set_result(store, &done, 50 * 64, 'y'), JT_FULL);
  CHECK_INT(evictions(store), 0);
  CHECK_INT(jobs(store), 9);
  CHECK_AUDIT(store);
  region_free(store);
}

/* The index could have a place, the heap never: none has to go for it. */
static void a_creation_that_can_never_fit_evicts_nothing(void) {
  static const char long_type[] = "a_type_that_makes_a_record_of_three_units......";
  jt_store *store = region_make(4, 16);
  job_id big = create(store, "big", 1);
  create(store, "small", 1);
  CHECK_CODE(set_result(store, &big, 8 * 64, 'b'), JT_OK);
  job_id done = create_finished(store, "done", 1);
  create(store, "small", 2);
  CHECK_INT(jt_word_load(&store->header->units_used), 16);
  CHECK_INT(jt_word_load(&store->header->units_pinned), 14);
  CHECK_CODE(try_create(store, long_type, 1), JT_FULL);
  CHECK(exists(store, &done));
  CHECK_INT(evictions(store), 0);
  create(store, "small", 3);      /* but two units will do */
  CHECK(!exists(store, &done));
  CHECK_AUDIT(store);
  region_free(store);
}

/* There are units enough, but jobs that stay lie between them. */
static void what_cannot_lie_together_evicts_nothing(void) {
  enum { JOBS = 40 };
  jt_store *store = region_make(JOBS, 2 * JOBS);
  job_id ids[JOBS];
  for (uint32_t i = 0; i < JOBS - 1; i++) ids[i] = create(store, "job", i);
  for (uint32_t i = 0; i < JOBS - 1; i += 2)
    CHECK_CODE(set_status(store, &ids[i], JT_FAILED), JT_OK);
  CHECK_CODE(set_result(store, &ids[1], 20 * 64, 'x'), JT_FULL);
  CHECK_INT(evictions(store), 0);
  for (int i = 0; i < JOBS - 1; i++) CHECK(exists(store, &ids[i]));
  CHECK_AUDIT(store);
  region_free(store);
}

/* One large result, for which most of the finished jobs have to go: whether they
   lie as they finished, or anyhow. */
static void check_large_result(bool in_order, uint32_t share_of_heap) {
  enum { JOBS = 2000, UNITS = 2 * JOBS + 10 };
  jt_store *store = region_make(JOBS + 1, UNITS);
  job_id *ids = check_memory(JOBS * sizeof *ids);
  job_id large = create(store, "large", 1);
  for (uint32_t i = 0; i < JOBS; i++) ids[i] = create(store, "job", i);
  for (uint32_t i = 0; i < JOBS; i++) {
    uint32_t which = in_order ? i : i * 997 % JOBS;
    CHECK_CODE(set_status(store, &ids[which], JT_COMPLETED), JT_OK);
  }
  size_t bytes = (size_t)UNITS * 64 * share_of_heap / 100;
  if (!CHECK_CODE(set_result(store, &large, bytes, 'L'), JT_OK))
    check_say("%llu of %u finished jobs had gone for a result of %u %% of the heap",
              (unsigned long long)evictions(store), JOBS, share_of_heap);
  CHECK(exists(store, &large));
  CHECK_AUDIT(store);
  free(ids);
  region_free(store);
}

static void a_large_result_makes_many_go(void) {
  check_large_result(true, 20);
  check_large_result(true, 50);
  check_large_result(true, 95);
}

static void a_large_result_makes_many_go_that_lie_anyhow(void) {
  check_large_result(false, 5);
  check_large_result(false, 20);
  check_large_result(false, 95);
}

/* ------------------------------------------------------------------- retention */

static void check_gone(jt_store *store, const job_id *id) {
  jt_key keys[10];
  jt_filter all = { -1, { NULL, 0 }, 0 };
  size_t count = 0, needed;
  uint64_t after = 0;
  jt_job job;
  CHECK(!exists(store, id));
  CHECK_CODE(jt_wait(store, id->text, id->length, NULL, 0), JT_NOT_FOUND);
  CHECK_CODE(jt_wait(store, id->text, id->length, &after, JT_FOREVER), JT_NOT_FOUND);
  CHECK_CODE(set_result(store, id, 10, 'x'), JT_NOT_FOUND);
  CHECK_CODE(erase(store, id), JT_NOT_FOUND);
  CHECK_CODE(jt_list(store, &all, keys, 10, &count), JT_OK);
  for (size_t i = 0; i < count; i++)
    CHECK_CODE(jt_get_listed(store, &keys[i], &all, &job, 0, &needed), JT_TOO_SMALL);
  CHECK_INT(count, 2);            /* the two that have not finished */
}

static void expired_jobs_are_gone_at_once(void) {
  jt_store *store = region_make(10, 200);
  job_id pending = create(store, "job", 1), running = create(store, "job", 2);
  job_id done = create_finished(store, "job", 3);
  CHECK_CODE(set_status(store, &running, JT_RUNNING), JT_OK);
  CHECK_CODE(jt_store_set_retention(store, 3600 * INT64_C(1000000)), JT_OK);
  CHECK(exists(store, &done));
  CHECK_CODE(jt_store_set_retention(store, INT64_MAX), JT_OK);
  CHECK(exists(store, &done));
  CHECK_CODE(jt_store_set_retention(store, 0), JT_OK);
  jt_store view = region_view(store, true);
  CHECK(!exists(&view, &done));
  check_gone(store, &done);
  CHECK(exists(store, &pending) && exists(store, &running));
  CHECK_INT(jobs(store), 3);      /* its room is not taken yet */
  CHECK_CODE(jt_store_set_retention(store, JT_KEEP), JT_OK);
  CHECK(exists(store, &done));
  CHECK_CODE(jt_store_set_retention(store, 0), JT_OK);
  CHECK_CODE(set_status(store, &pending, JT_FAILED), JT_OK);
  CHECK(!exists(store, &pending));
  CHECK_AUDIT(store);
  region_free(store);
}

static void retention_ends_in_time(void) {
  jt_store *store = region_make(10, 200);
  CHECK_CODE(jt_store_set_retention(store, 150000), JT_OK);
  job_id done = create_finished(store, "job", 1);
  double start = check_now();
  while (exists(store, &done) && check_now() - start < 5) check_pause(0.001);
  CHECK(check_now() - start > 0.14 && check_now() - start < 1);
  region_free(store);
}

/* All the expired go in one pass, and nobody else. */
static void the_expired_are_swept_out(void) {
  jt_store *store = region_make(10, 200);
  job_id old[4], young[4], pending[2];
  for (uint32_t i = 0; i < 4; i++) old[i] = create_finished(store, "old", i);
  check_pause(0.2);
  for (uint32_t i = 0; i < 4; i++) young[i] = create_finished(store, "young", i);
  for (uint32_t i = 0; i < 2; i++) pending[i] = create(store, "pending", i);
  CHECK_CODE(jt_store_set_retention(store, 200000), JT_OK);
  CHECK(exists(store, &young[0]) && !exists(store, &old[3]));
  create(store, "new", 1);
  CHECK_INT(evictions(store), 4);
  CHECK_INT(jobs(store), 7);
  CHECK_CODE(jt_store_set_retention(store, JT_KEEP), JT_OK);
  for (int i = 0; i < 4; i++) CHECK(exists(store, &young[i]) && !exists(store, &old[i]));
  CHECK(exists(store, &pending[0]) && exists(store, &pending[1]));
  CHECK_AUDIT(store);
  region_free(store);
}

/* ----------------------------------------------------------------- the geometry */

static void check_shape(uint64_t size, uint64_t max_jobs) {
  jt_geometry g;
  jt_error error;
  if (!jt_geometry_make(size, max_jobs, &g, &error)) {
    CHECK_CODE(error.code, JT_INCOMPATIBLE);
    return;
  }
  CHECK(g.size == size && g.max_jobs == max_jobs);
  CHECK(g.cells >= 2 * max_jobs && (g.cells & (g.cells - 1)) == 0);
  CHECK(g.candidates >= 1);
  CHECK(g.cells_at >= 2 * JT_PAGE && g.cells_at % JT_UNIT == 0);
  CHECK(g.scratch_at >= g.cells_at + (uint64_t)g.cells * 8 && g.scratch_at % 8 == 0);
  CHECK(g.bitmap_at >= g.scratch_at + g.candidates * sizeof(jt_candidate));
  CHECK(g.bitmap_at % 8 == 0);
  uint64_t units = g.end_unit - g.first_unit;
  CHECK((uint64_t)g.first_unit * JT_UNIT >= g.bitmap_at + (units + 63) / 64 * 8);
  CHECK((uint64_t)g.end_unit * JT_UNIT <= size);
  CHECK(g.first_unit < g.end_unit && units >= 16 && g.end_unit < 1u << JT_UNIT_BITS);
}

static void shapes_are_consistent(void) {
  for (uint64_t size = 8192; size < 40000; size++) check_shape(size, 1 + size % 40);
  for (int i = 0; i < 100000; i++) {
    uint64_t size = check_random() >> (20 + check_below(40));
    check_shape(size, check_random() >> (30 + check_below(34)));
  }
}

static void check_refused(uint64_t size, uint64_t max_jobs, const char *word) {
  jt_geometry g;
  jt_error error;
  CHECK(!jt_geometry_make(size, max_jobs, &g, &error));
  CHECK_CODE(error.code, JT_INCOMPATIBLE);
  if (!CHECK(strstr(error.message, word) != NULL)) check_say("%s", error.message);
}

static void shapes_that_cannot_be_are_refused(void) {
  const uint64_t most = UINT64_C(1) << 27, gib = UINT64_C(1) << 30;
  jt_geometry g;
  uint64_t least = region_size(100, 16);
  check_refused(1 << 20, 0, "max_jobs");
  check_refused(16 * gib - 64, most + 1, "max_jobs");
  check_refused(1 << 20, UINT64_MAX, "max_jobs");
  check_refused(16 * gib, 100, "16 GiB");
  check_refused(UINT64_MAX, 100, "16 GiB");
  check_refused(0, 100, "bytes");
  check_refused(least - 1, 100, "bytes");
  CHECK(jt_geometry_make(least, 100, &g, NULL));
  CHECK(jt_geometry_make(16 * gib - 64, most, &g, NULL));
  CHECK(jt_geometry_make(region_size(1, 16), 1, &g, NULL));
}

/* ---------------------------------------------------------- what nothing can hold */

static void set_huge_result(void *context) {
  const jt_text *text = context;
  jt_store *store = region_make(4, 100);
  job_id id = create(store, "job", 1), done = create_finished(store, "done", 1);
  jt_change change = { .fields = JT_SET_RESULT, .result = *text };
  CHECK_CODE(update(store, &id, &change), JT_FULL);
  CHECK(exists(store, &id) && exists(store, &done));
  CHECK_INT(evictions(store), 0);
  CHECK_AUDIT(store);
  region_free(store);
}

/* Nobody has so many bytes; a caller's mistake must not be taken for few. */
static void lengths_beyond_everything_are_full(void) {
  static const size_t lengths[] = {
    100 * 64 + 1, (size_t)1 << 30, (size_t)1 << 34, ((size_t)1 << 36) - 1,
    (size_t)1 << 36, ((size_t)1 << 36) + 64, (size_t)1 << 38, ((size_t)1 << 38) + 64,
    ((size_t)1 << 40) + 100, SIZE_MAX / 2, SIZE_MAX - 63, SIZE_MAX - 62, SIZE_MAX
  };
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    jt_text text = { "not so many", lengths[i] };
    if (!CHECK_JOIN(check_fork(set_huge_result, &text)))
      check_say("with a result of %zu bytes", lengths[i]);
  }
}

/* The largest of everything at once. */
static void the_longest_of_all_fits(void) {
  jt_store *store = region_make(2, 1000);
  char type[JT_TYPE_MAX + 1], step[JT_STEP_MAX];
  memset(type, 'T', JT_TYPE_MAX);
  type[JT_TYPE_MAX] = '\0';
  memset(step, 's', sizeof step);
  job_id id = create(store, type, UINT32_MAX);
  CHECK_INT(id.length, JT_ID_MAX);
  jt_change change = { .fields = 63, .status = JT_COMPLETED, .progress = 1,
                       .step = { step, sizeof step }, .result = text_filled(10000, 'r'),
                       .error = text_filled(0, 'e'), .meta = text_filled(20000, 'm') };
  CHECK_CODE(update(store, &id, &change), JT_OK);
  jt_job *job;
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_STEP), change.step);
  CHECK_TEXT(jt_job_part(job, JT_RESULT), change.result);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), change.error);
  CHECK_TEXT(jt_job_part(job, JT_META), change.meta);
  CHECK_AUDIT(store);
  free(job);
  free((void *)(uintptr_t)change.result.bytes);
  free((void *)(uintptr_t)change.error.bytes);
  free((void *)(uintptr_t)change.meta.bytes);
  region_free(store);
}

static const check_case cases[] = {
  CASE(unfinished_jobs_fill_the_index), CASE(unfinished_jobs_fill_the_heap),
  CASE(the_oldest_finished_goes_first), CASE(what_can_never_fit_evicts_nothing),
  CASE(a_creation_that_can_never_fit_evicts_nothing),
  CASE(what_cannot_lie_together_evicts_nothing), CASE(a_large_result_makes_many_go),
  CASE(a_large_result_makes_many_go_that_lie_anyhow),
  CASE(expired_jobs_are_gone_at_once), CASE(retention_ends_in_time),
  CASE(the_expired_are_swept_out), CASE(shapes_are_consistent),
  CASE(shapes_that_cannot_be_are_refused), CASE(lengths_beyond_everything_are_full),
  CASE(the_longest_of_all_fits),
};
CHECK_MAIN(cases)
