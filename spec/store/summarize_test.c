/*
** summarize_test.c - the jobs counted by type: compared with a naive table's count, and
** in regions whose records are written by the tests' own hand.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "deaths.h"
#include "model.h"
#include "raw.h"
#include "runs.h"
#include "store/cells.h"

/* Without jobs, if it is not there. */
static const jt_type_summary *summary_of(const jt_summary *summary, const char *type) {
  for (size_t i = 0; i < summary->count; i++)
    if (strcmp(summary->types[i].type, type) == 0) return &summary->types[i];
  static const jt_type_summary nothing;
  return &nothing;
}

static uint64_t jobs_of(const jt_type_summary *sum) {
  uint64_t jobs = 0;
  for (int i = 0; i < JT_STATUSES; i++) jobs += sum->by_status[i];
  return jobs;
}

static uint64_t all_jobs(const jt_summary *summary) {
  uint64_t jobs = jobs_of(&summary->others);
  for (size_t i = 0; i < summary->count; i++) jobs += jobs_of(&summary->types[i]);
  return jobs;
}

/* What is true of every summary: sorted, no type twice or without jobs, and each
   finished job in one class. */
static void check_shape(const jt_summary *summary) {
  CHECK(summary->count <= JT_SUMMARY_TYPES);
  CHECK_INT(summary->others.type[0], 0);
  for (size_t i = 0; i < summary->count; i++) {
    const jt_type_summary *sum = &summary->types[i];
    uint64_t took = 0;
    if (i > 0) CHECK(strcmp(sum[-1].type, sum->type) < 0);
    CHECK(jt_type_valid(sum->type, strlen(sum->type)));
    CHECK(jobs_of(sum) > 0);
    for (int k = 0; k <= JT_BOUNDS; k++) took += sum->took[k];
    CHECK_INT(took, sum->by_status[JT_COMPLETED] + sum->by_status[JT_FAILED]);
  }
}

static jt_summary *summarize(jt_store *store) {
  jt_summary *summary = check_memory(sizeof *summary);
  memset(summary, 0xa5, sizeof *summary);
  CHECK_CODE(jt_summarize(store, summary), JT_OK);
  check_shape(summary);
  return summary;
}

/* --------------------------------------------------------- beside a naive table */

static const char *const types[] = {
  "a", "a.b", "chapter", "Chapter",
  "sixty_four_characters_of_type_0123456789.ABCDEFGHIJKLMNOPQRSTUVW",
  "sixty_four_characters_of_type_0123456789.ABCDEFGHIJKLMNOPQRSTUVX"
};
enum { TYPES = sizeof types / sizeof types[0] };

static bool is_of(const model_job *job, const char *type) {
  return job->there && job->id.length - 9 == strlen(type) &&
         memcmp(job->id.text, type, strlen(type)) == 0;
}

/* A model's jobs take no longer than the test. */
static jt_type_summary expected_of(const model *m, const char *type) {
  jt_type_summary sum = { .last_success = 0 };
  for (uint32_t i = 0; i < m->capacity; i++) {
    const model_job *job = &m->jobs[i];
    if (!is_of(job, type)) continue;
    sum.by_status[job->status]++;
    if (job->finished_at == 0) continue;
    int64_t begun = job->started_at != 0 ? job->started_at : job->created_at;
    sum.duration += (uint64_t)(job->finished_at - begun);
    if (job->status == JT_COMPLETED && job->finished_at > sum.last_success)
      sum.last_success = job->finished_at;
  }
  return sum;
}

static void compare(const model *m, jt_store *store) {
  jt_summary *summary = summarize(store);
  size_t there = 0;
  for (int i = 0; i < TYPES; i++) {
    jt_type_summary expected = expected_of(m, types[i]);
    const jt_type_summary *sum = summary_of(summary, types[i]);
    there += jobs_of(&expected) > 0;
    for (int k = 0; k < JT_STATUSES; k++)
      CHECK_INT(sum->by_status[k], expected.by_status[k]);
    CHECK_INT(sum->duration, expected.duration);
    CHECK_INT(sum->last_success, expected.last_success);
  }
  CHECK_INT(summary->count, there);
  CHECK_INT(jobs_of(&summary->others), 0);
  free(summary);
}

static void change_one(model *m) {
  static const model_blob none[MODEL_BLOBS];
  const model_job *job = check_below(3) != 0 ? model_any(m) : NULL;
  if (job == NULL) {
    model_create(m, types[check_below(TYPES)], (uint32_t)check_below(30));
  } else if (check_below(6) == 0) {
    job_id id = job->id;
    model_delete(m, &id);
  } else {
    job_id id = job->id;
    jt_change change = { .fields = JT_SET_STATUS,
                         .status = (jt_status)(1 + check_below(JT_STATUSES - 1)) };
    model_update(m, &id, &change, none);
  }
}

static void what_a_naive_count_says(void) {
  jt_store *store = region_make(60, 400), view = region_view(store, true);
  model m = model_make(store, 61);
  compare(&m, store);
  for (uint64_t i = 0; i < check_times(RUNS_CHANGES) && check_failures() == 0; i++) {
    for (uint64_t n = check_below(12); n > 0; n--) change_one(&m);
    compare(&m, i % 2 ? store : &view);
  }
  CHECK_AUDIT(store);
  model_free(&m);
  region_free(store);
}

/* ---------------------------------------------------------- written by our own hand */

/* A record of job number 'at' of the heap; there are three units for each. */
static void write_job(jt_store *store, uint32_t at, raw_record record) {
  record.version = record.sequence = at + 1;
  record.progress = 0.5;
  record.step = text_of("by hand");
  raw_publish(store, store->geometry.first_unit + 3 * at, &record);
}

static void write_times(jt_store *store, uint32_t at, jt_status status, int64_t created,
                        int64_t started, int64_t finished) {
  job_id id = id_of("hand", at);
  write_job(store, at, (raw_record){ .status = status, .id = { id.text, id.length },
            .created_at = created, .updated_at = finished, .started_at = started,
            .finished_at = finished });
}

static void durations_have_classes(void) {
  for (size_t class = 0; class < JT_BOUNDS; class++) {
    jt_store *store = region_make(16, 100), view = region_view(store, true);
    int64_t bound = jt_bounds[class], created = 1000, started = INT64_C(7000000000000000);
    if (class > 0) CHECK(bound > jt_bounds[class - 1]);
    write_times(store, 0, JT_COMPLETED, created, started, started + bound);
    write_times(store, 1, JT_FAILED, created, started, started + bound + 1);
    write_times(store, 2, JT_FAILED, created, 0, created + bound);       /* never ran */
    jt_summary *summary = summarize(&view);
    const jt_type_summary *sum = summary_of(summary, "hand");
    CHECK_INT(sum->took[class], 2);
    CHECK_INT(sum->took[class + 1], 1);
    CHECK_INT(sum->duration, 3 * bound + 1);
    CHECK_INT(sum->last_success, started + bound);
    free(summary);
    region_free(store);
  }
}

/* The clock was set back; or somebody wrote what no clock says. */
static void durations_are_not_negative(void) {
  jt_store *store = region_make(16, 100), view = region_view(store, true);
  write_times(store, 0, JT_COMPLETED, 9000, 9000, 8999);
  write_times(store, 1, JT_COMPLETED, 9000, 0, 0);
  write_times(store, 2, JT_FAILED, 0, INT64_C(253402300799999999), 1);
  jt_summary *summary = summarize(&view);
  const jt_type_summary *sum = summary_of(summary, "hand");
  CHECK_INT(sum->took[0], 3);
  CHECK_INT(sum->duration, 0);
  CHECK_INT(sum->last_success, 8999);
  free(summary);
  region_free(store);
}

static void their_sum_does_not_overflow(void) {
  enum { JOBS = 100 };
  const int64_t longest = INT64_C(253402300799999999);
  jt_store *store = region_make(JOBS, 400), view = region_view(store, true);
  for (uint32_t i = 0; i < JOBS; i++) write_times(store, i, JT_FAILED, 0, 0, longest);
  jt_summary *summary = summarize(&view);
  const jt_type_summary *sum = summary_of(summary, "hand");
  CHECK_INT(sum->took[JT_BOUNDS], JOBS);
  CHECK(sum->duration == UINT64_MAX);
  CHECK_INT(sum->last_success, 0);
  free(summary);
  region_free(store);
}

/* Only who opens a file to write verifies it. */
static void what_is_no_type_gets_no_place(void) {
  static const char *const ids[] = {
    "a\"b_00000001", "a\nb_00000001", "a\\b_00000001", "a b_00000001", "a\0b_00000001",
    "\xff\xfe\xfd_00000001", "\0\0\0_00000001", "(other)_00000001"
  };
  static const size_t lengths[] = { 12, 12, 12, 12, 12, 12, 12, 16 };
  enum { IDS = sizeof ids / sizeof ids[0] };
  jt_store *store = region_make(16, 100), view = region_view(store, true);
  write_times(store, IDS, JT_PENDING, 1, 0, 0);
  for (uint32_t i = 0; i < IDS; i++)
    write_job(store, i, (raw_record){ .status = JT_PENDING,
              .id = { ids[i], lengths[i] } });
  jt_summary *summary = summarize(&view);
  CHECK_INT(summary->count, 1);
  CHECK_INT(jobs_of(summary_of(summary, "hand")), 1);
  CHECK_INT(jobs_of(&summary->others), IDS);
  free(summary);
  region_free(store);
}

/* ------------------------------------------------------------------- many types */

static const char *name_of(uint32_t number) {
  static char name[16];
  snprintf(name, sizeof name, "type%u", number);
  return name;
}

/* Each type in a row of its own or among the others, with all its jobs. */
static void check_types(uint32_t count, uint32_t jobs_each) {
  jt_store *store = region_make(count * jobs_each, count * jobs_each * 3);
  for (uint32_t i = 0; i < count * jobs_each; i++) {
    job_id id = create(store, name_of(i % count), i);
    if (i % 2) CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  }
  jt_summary *summary = summarize(store);
  CHECK_INT(summary->count, count < JT_SUMMARY_TYPES ? count : JT_SUMMARY_TYPES);
  for (size_t i = 0; i < summary->count; i++)
    CHECK_INT(jobs_of(&summary->types[i]), jobs_each);
  CHECK_INT(jobs_of(&summary->others), (count - summary->count) * jobs_each);
  CHECK_INT(all_jobs(summary), count * jobs_each);
  free(summary);
  region_free(store);
}

static void only_so_many_types_have_places(void) {
  check_types(1, 40);
  check_types(JT_SUMMARY_TYPES - 1, 3);
  check_types(JT_SUMMARY_TYPES, 3);
  check_types(JT_SUMMARY_TYPES + 1, 3);
  check_types(10 * JT_SUMMARY_TYPES, 5);
}

static void a_type_with_many_jobs_has_one(void) {
  enum { MANY = 1000, JOBS = 2000 };
  jt_store *store = region_make(JOBS, JOBS * 3);
  for (uint32_t i = 0; i < JOBS - MANY; i++) create(store, name_of(i), i);
  for (uint32_t i = 0; i < MANY; i++) create(store, "zzz", i);
  jt_summary *summary = summarize(store);
  CHECK_INT(jobs_of(summary_of(summary, "zzz")), MANY);
  CHECK_INT(all_jobs(summary), JOBS);
  free(summary);
  region_free(store);
}

/* --------------------------------------------------- as every other look shows it */

static void orphans_are_failed(void) {
  jt_store *store = region_make(8, 100), view = region_view(store, true);
  job_id id = orphan_make(store, "mortal", 1);
  jt_job *job;
  CHECK_CODE(get(&view, &id, &job), JT_OK);
  jt_summary *seen = summarize(&view);
  const jt_type_summary *sum = summary_of(seen, "mortal");
  CHECK_INT(sum->by_status[JT_FAILED], 1);
  CHECK_INT(jobs_of(sum), 1);
  CHECK_INT(job->started_at, 0);
  CHECK_INT(sum->duration, job->updated_at - job->created_at);
  CHECK_INT(sum->last_success, 0);
  jt_summary *stored = summarize(store);      /* writes it off */
  sum = summary_of(stored, "mortal");
  CHECK_INT(sum->by_status[JT_FAILED], 1);
  CHECK_INT(jobs_of(sum), 1);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 1);
  free(job);
  free(seen);
  free(stored);
  region_free(store);
}

static void the_expired_are_none(void) {
  jt_store *store = region_make(8, 100);
  create_finished(store, "done", 1);
  create(store, "job", 2);
  CHECK_CODE(jt_store_set_retention(store, 0), JT_OK);
  jt_summary *summary = summarize(store);
  CHECK_INT(summary->count, 1);
  CHECK_INT(all_jobs(summary), 1);
  free(summary);
  region_free(store);
}

/* ------------------------------------------------------------ while others write */

enum { CHANGING = 40 };

typedef struct traffic {
  jt_store *store;
  _Atomic uint32_t ready, ending;
} traffic;

static void write_on(void *context) {
  traffic *t = context;
  check_reseed(78);
  atomic_store(&t->ready, 1);
  while (atomic_load(&t->ending) == 0) {
    uint32_t number = (uint32_t)check_below(CHANGING);
    job_id id = id_of(number % 2 ? "odd" : "even", number);
    CHECK_CODE(set_result(t->store, &id, check_below(200), 'w'), JT_OK);
  }
}

/* Jobs that change are counted once all the same. */
static void none_is_missed_or_counted_twice(void) {
  traffic *t = check_shared(sizeof *t);
  t->store = region_make(CHANGING, 2000);
  jt_store view = region_view(t->store, true);
  jt_summary *summary = check_memory(sizeof *summary);
  uint64_t whole = 0;
  for (uint32_t i = 0; i < CHANGING; i++) create(t->store, i % 2 ? "odd" : "even", i);
  pid_t writer = check_fork(write_on, t);
  CHECK_AWAIT(&t->ready, 1);
  while (whole < check_times(RUNS_CHANGES) && check_failures() == 0) {
    jt_code code = jt_summarize(&view, summary);
    if (code == JT_BUSY) continue;
    CHECK_CODE(code, JT_OK);
    CHECK_INT(summary->count, 2);
    CHECK_INT(jobs_of(&summary->types[0]), CHANGING / 2);
    CHECK_INT(jobs_of(&summary->types[1]), CHANGING / 2);
    whole++;
  }
  atomic_store(&t->ending, 1);
  CHECK_JOIN(writer);
  CHECK(jt_store_version(t->store) > CHANGING);
  free(summary);
  region_free(t->store);
}

static const check_case cases[] = {
  CASE(what_a_naive_count_says), CASE(durations_have_classes),
  CASE(durations_are_not_negative), CASE(their_sum_does_not_overflow),
  CASE(what_is_no_type_gets_no_place), CASE(only_so_many_types_have_places),
  CASE(a_type_with_many_jobs_has_one), CASE(orphans_are_failed),
  CASE(the_expired_are_none), CASE(none_is_missed_or_counted_twice),
};
CHECK_MAIN(cases)
