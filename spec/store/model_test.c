/*
** model_test.c - random calls on a store and on a naive table, compared after
** each: what the calls say, what jobs there are, and which went to make room.
*/
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "model.h"
#include "runs.h"

typedef struct shape {
  uint32_t max_jobs, units;
  uint32_t numbers;               /* ids are drawn from so few: they collide */
  size_t longest_step, longest_blob;
  uint32_t audit_every, compare_every;
} shape;

static const char *const types[] = {
  "a", "chapter", "a.b~c-d_e",
  "sixty_four_characters_of_type_0123456789.ABCDEFGHIJKLMNOPQRSTUVW"
};
enum { TYPES = sizeof types / sizeof types[0] };

static const char *some_type(void) {
  return types[check_below(TYPES)];
}

static job_id some_id(const model *m, const shape *s) {
  const model_job *job = check_below(8) != 0 ? model_any(m) : NULL;
  return job != NULL ? job->id : id_of(some_type(), (uint32_t)check_below(s->numbers));
}

/* Short ones often; each power of two is as likely. */
static size_t some_length(size_t longest) {
  unsigned bits = 0;
  while (bits < 40 && (size_t)1 << bits <= longest) bits++;
  size_t below = (size_t)1 << check_below(bits + 1);
  size_t length = (size_t)check_below(below);
  if (check_below(10) == 0) length = length / 64 * 64;
  if (check_below(20) == 0) length = longest;
  return length <= longest ? length : longest;
}

static jt_change some_change(const shape *s, char step[JT_STEP_MAX]) {
  static const double values[] = { 0, 1, 0.5, 0.1, 1.0 / 3 };
  jt_change change = { .fields = (unsigned)check_below(64) };
  change.status = (jt_status)check_below(JT_STATUSES);
  if (change.status == JT_PENDING) change.status = (jt_status)check_below(JT_STATUSES);
  change.progress = values[check_below(5)];
  change.step.length = some_length(s->longest_step);
  for (size_t i = 0; i < change.step.length; i++) step[i] = (char)check_random();
  change.step.bytes = step;
  return change;
}

static void some_blobs(const shape *s, model_blob blobs[MODEL_BLOBS]) {
  for (int i = 0; i < MODEL_BLOBS; i++)
    blobs[i] = (model_blob){ check_below(4) != 0, (uint32_t)check_random(),
                             some_length(s->longest_blob) };
}

static void step_once(model *m, const shape *s) {
  static char step[JT_STEP_MAX];
  model_blob blobs[MODEL_BLOBS];
  job_id id = some_id(m, s);
  uint64_t choice = check_below(1000);
  if (choice < 380) {
    model_create(m, some_type(), (uint32_t)check_below(s->numbers));
  } else if (choice < 900) {
    jt_change change = some_change(s, step);
    some_blobs(s, blobs);
    model_update(m, &id, &change, blobs);
  } else if (choice < 999) {
    model_delete(m, &id);
  } else if (check_below(4) == 0) {
    model_clear(m);
  }
}

static void compare_some_list(const model *m, jt_store *store) {
  int status = (int)check_below(JT_STATUSES + 1) - 1;
  const char *type = check_below(2) ? some_type() : NULL;
  size_t limit = check_below(3) ? m->capacity : check_below(4);
  model_compare_list(m, store, status, type, limit);
}

static void compare_all(const model *m) {
  jt_store view = region_view(m->store, true);
  model_compare(m, check_below(2) ? m->store : &view);
  compare_some_list(m, check_below(2) ? m->store : &view);
}

static void run_model(const shape *s, uint64_t times) {
  jt_store *store = region_make(s->max_jobs, s->units);
  model m = model_make(store, s->max_jobs + 1);
  for (uint64_t i = 0; i < times; i++) {
    step_once(&m, s);
    if (i % s->audit_every == 0) CHECK_AUDIT(store);
    if (i % s->compare_every == 0) compare_all(&m);
    if (check_failures() > 0) {
      check_say("that was operation %llu", (unsigned long long)i);
      break;
    }
  }
  CHECK_AUDIT(store);
  check_say("%u jobs and %u units: %llu operations, %llu evictions, %llu times full, "
            "%llu times where first fit had found room", s->max_jobs, s->units,
            (unsigned long long)times, (unsigned long long)m.evictions,
            (unsigned long long)m.full, (unsigned long long)m.misplaced);
  CHECK(m.evictions > 0);
  model_free(&m);
  region_free(store);
}

static void tiny(void) {
  static const shape shapes[] = {
    { 4, 16, 8, 100, 300, 1, 1 },     /* units are short */
    { 4, 64, 8, 200, 600, 1, 1 },     /* both are */
    { 2, 200, 4, 300, 600, 1, 1 },    /* cells are short */
    { 1, 16, 2, 60, 200, 1, 1 },
    { 7, 130, 14, 1000, 3000, 1, 1 },
  };
  enum { SHAPES = sizeof shapes / sizeof shapes[0] };
  for (unsigned i = 0; i < SHAPES && check_failures() == 0; i++)
    run_model(&shapes[i], check_times(RUNS_MODEL_TINY) / SHAPES);
}

static void medium(void) {
  static const shape shapes[] = {
    { 60, 600, 40, 400, 2000, 16, 64 },
    { 100, 400, 400, 100, 300, 16, 64 },
    { 100, 4000, 100, JT_STEP_MAX, 20000, 16, 64 },
  };
  enum { SHAPES = sizeof shapes / sizeof shapes[0] };
  for (unsigned i = 0; i < SHAPES && check_failures() == 0; i++)
    run_model(&shapes[i], check_times(RUNS_MODEL_MEDIUM) / SHAPES);
}

static void large(void) {
  static const shape s = { 400, 40000, 4000, JT_STEP_MAX, 600000, 500, 2000 };
  run_model(&s, check_times(RUNS_MODEL_LARGE) / 10);
}

/* Many finished jobs, of which a good part has to go at once. */
static void many_jobs_for_one_large_blob(void) {
  static const shape s = { 1500, 6000, 100000, 60, 300, 500, 4000 };
  static const model_blob none[MODEL_BLOBS];
  const jt_change finish = { .fields = JT_SET_STATUS, .status = JT_FAILED };
  jt_store *store = region_make(s.max_jobs, s.units);
  model m = model_make(store, s.max_jobs + 1);
  for (uint32_t i = 0; i < s.max_jobs; i++) {
    job_id id = id_of("done", i);
    model_create(&m, "done", i);
    model_update(&m, &id, &finish, none);
  }
  for (uint64_t i = 0; i < check_times(20000) && check_failures() == 0; i++) {
    const model_job *any = model_any(&m);
    model_blob blobs[MODEL_BLOBS] = { { true, 1, 100000 + check_below(100000) } };
    jt_change large_result = { .fields = JT_SET_RESULT };
    if (i % 500 == 0 && any != NULL) model_update(&m, &any->id, &large_result, blobs);
    else step_once(&m, &s);
    if (i % s.audit_every == 0) CHECK_AUDIT(store);
  }
  CHECK(m.evictions > 500);
  model_free(&m);
  region_free(store);
}

static void reopen(model *m) {
  jt_store *second = NULL;
  if (check_below(2)) second = file_open(check_path("store"), false);
  jt_store_close(m->store);
  m->store = second != NULL ? second : file_open(check_path("store"), false);
  CHECK(jt_store_version(m->store) >= m->version);
  m->version = jt_store_version(m->store);
  model_compare(m, m->store);
}

/* A file, closed and opened again now and then, and a second opening of it that
   may only read. */
static void reopened_file(void) {
  static const shape s = { 20, 300, 40, 200, 2000, 8, 8 };
  jt_store *store = file_store("store", region_size(s.max_jobs, s.units), s.max_jobs);
  jt_store *view = file_open(check_path("store"), true);
  model m = model_make(store, s.max_jobs + 1);
  for (uint64_t i = 0; i < check_times(RUNS_MODEL_MEDIUM) / 2; i++) {
    step_once(&m, &s);
    if (i % s.compare_every == 0) model_compare(&m, view);
    if (i % s.compare_every == 1) compare_some_list(&m, view);
    if (check_below(50) == 0) reopen(&m);
    if (i % s.audit_every == 0) CHECK_AUDIT(m.store);
    if (check_failures() > 0) break;
  }
  CHECK(m.evictions > 0);
  jt_store_close(m.store);
  jt_store_close(view);
  model_free(&m);
}

static const check_case cases[] = {
  CASE(tiny), CASE(medium), CASE(large), CASE(many_jobs_for_one_large_blob),
  CASE(reopened_file),
};
CHECK_MAIN(cases)
