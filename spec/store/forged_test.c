/*
** forged_test.c - regions that lie with care: checksums are right, what they
** vouch for is not. Duplicate cells, shared runs, lengths without end, values
** out of range; and pages of two moments mixed, as a power cut leaves them.
*/
#include <math.h>
#include <stdlib.h>

#include "audit.h"
#include "exercise.h"
#include "raw.h"
#include "runs.h"
#include "store/cells.h"
#include "store/heap.h"
#include "store/read.h"
#include "store/recover.h"

/* A region with two jobs that must survive what is forged beside them. */
typedef struct scene {
  jt_store *store;
  job_id first, second;
  jt_job *seen[2];
} scene;

static scene make_scene(void) {
  scene s = { .store = region_make(8, 100) };
  s.first = create(s.store, "good", 1);
  s.second = create_finished(s.store, "good", 2);
  CHECK_CODE(set_result(s.store, &s.second, 200, 'g'), JT_OK);
  CHECK_CODE(get(s.store, &s.first, &s.seen[0]), JT_OK);
  CHECK_CODE(get(s.store, &s.second, &s.seen[1]), JT_OK);
  return s;
}

static uint32_t cells_of_scene(void) {
  jt_store *store = region_make(8, 100);
  uint32_t cells = store->geometry.cells;
  region_free(store);
  return cells;
}

static void end_scene(scene *s) {
  free(s->seen[0]);
  free(s->seen[1]);
  region_free(s->store);
}

static uint64_t hash_of(const job_id *id) {
  return jt_hash(id->text, id->length);
}

static uint32_t cell_of(const jt_store *store, const job_id *id) {
  return jt_cells_find(store, (jt_text){ id->text, id->length }, hash_of(id));
}

static void check_good_jobs(const scene *s) {
  const job_id *ids[2] = { &s->first, &s->second };
  for (int i = 0; i < 2; i++) {
    jt_job *job;
    CHECK_CODE(get(s->store, ids[i], &job), JT_OK);
    CHECK(job_same(job, s->seen[i]));
    free(job);
  }
}

/* ------------------------------------------------------------------ forging */

/* A record, and words of it to be replaced before the checksum is made. */
typedef struct forgery {
  const char *name;
  raw_record record;
  size_t word;                    /* 0: none */
  uint64_t value;
} forgery;

static const char forged_id[] = "forged_0000000f";

static raw_record plain_record(void) {
  return (raw_record){ .version = 40, .sequence = 40, .created_at = 1000,
                      .updated_at = 2000, .progress = 0.5,
                      .id = { forged_id, sizeof forged_id - 1 },
                      .step = text_of("forged") };
}

/* Writes it at 'unit', with a right checksum, and a cell in the first vacant
   place for it. Returns the place. */
static uint32_t forge(jt_store *store, const forgery *f, uint32_t unit) {
  uint64_t words[RAW_WORDS];
  size_t count = raw_encode(&f->record, words);
  if (f->word != 0) words[f->word] = f->value;
  raw_seal(words, count);
  raw_write(store, unit, words, count);
  uint64_t hash = jt_hash(f->record.id.bytes, f->record.id.length);
  uint32_t at = jt_cells_vacant(store, hash);
  jt_cell_publish(store, at, jt_cell_make(hash, words[1], unit));
  return at;
}

static uint32_t end_unit(const jt_store *store) {
  return store->geometry.end_unit;
}

/* Readers and writers without verification, recovery from a dead writer, a first
   opening: none may crash; the last drops it. It has so many units, the heap's last. */
static void check_forgery_in(uint32_t units, const forgery *f, bool valid) {
  unsigned failures = check_failures();
  scene s = make_scene();
  uint32_t at = forge(s.store, f, end_unit(s.store) - units);
  job_id id = { sizeof forged_id - 1, "" };
  memcpy(id.text, forged_id, sizeof forged_id);
  jt_store *used = region_clone(s.store), view = region_view(s.store, true);
  exercise_reading(&view);
  exercise(used);
  region_copy(used, s.store);
  jt_recover(used, JT_TRUST);
  exercise(used);
  region_verify(s.store);
  CHECK_NO(audit_allowing(s.store, AUDIT_LIVES));
  check_good_jobs(&s);
  CHECK_INT(jt_cell_is_job(jt_word_load(&s.store->cells[at])), valid);
  CHECK_INT(jt_word_load(&s.store->header->damaged), !valid);
  exercise(s.store);
  CHECK_NO(audit_allowing(s.store, AUDIT_LIVES));
  if (check_failures() > failures) check_say("that was: %s", f->name);
  region_free(used);
  end_scene(&s);
}

static void check_forgery(const forgery *f, bool valid) {
  check_forgery_in(20, f, valid);
}

static void check_unlisted(jt_store *store, uint64_t version) {
  enum { KEYS = 64 };
  static _Alignas(jt_job) unsigned char buffer[2 * JT_JOB_MAX];
  jt_job *job = (jt_job *)(void *)buffer;
  const jt_filter all = { -1, { NULL, 0 }, 0 };
  jt_key keys[KEYS];
  size_t count = 0, needed;
  CHECK_CODE(jt_list(store, &all, keys, KEYS, &count), JT_OK);
  for (size_t i = 0; i < count; i++) {
    jt_code code = jt_get_listed(store, &keys[i], &all, job, sizeof buffer, &needed);
    CHECK(code != JT_OK || job->version != version);
  }
}

/* Nobody is given what says such a thing, whether he verifies it or not. */
static void check_unread(const forgery *f) {
  unsigned failures = check_failures();
  scene s = make_scene();
  forge(s.store, f, end_unit(s.store) - 20);
  job_id id = { sizeof forged_id - 1, "" };
  memcpy(id.text, forged_id, sizeof forged_id);
  jt_store view = region_view(s.store, true);
  jt_job *ours, *theirs;
  CHECK(get(s.store, &id, &ours) != JT_OK);
  CHECK(get(&view, &id, &theirs) != JT_OK);
  free(ours), free(theirs);
  check_unlisted(s.store, f->record.version), check_unlisted(&view, f->record.version);
  if (check_failures() > failures) check_say("that was: %s", f->name);
  end_scene(&s);
}

static uint64_t shape(uint64_t status, uint64_t blobs, uint64_t id, uint64_t step) {
  return status | blobs << 8 | id << 16 | step << 32;
}

enum { ID = sizeof forged_id - 1, STEP = 6 };

static void what_a_record_may_not_say(void) {
  const double nan = NAN, inf = INFINITY, two = 2, minus = -0.5;
  uint64_t bits[4];
  memcpy(&bits[0], &nan, 8), memcpy(&bits[1], &inf, 8);
  memcpy(&bits[2], &two, 8), memcpy(&bits[3], &minus, 8);
  const forgery forgeries[] = {
    { "status 4", plain_record(), 2, shape(4, 0, ID, STEP) },
    { "status 255", plain_record(), 2, shape(255, 0, ID, STEP) },
    { "a blob that is not there", plain_record(), 2, shape(0, 8, ID, STEP) },
    { "blobs that are not there", plain_record(), 2, shape(0, 7, ID, STEP) },
    { "no id", plain_record(), 2, shape(0, 0, 0, STEP) },
    { "an id of 9", plain_record(), 2, shape(0, 0, 9, STEP) },
    { "an id of 74", plain_record(), 2, shape(0, 0, 74, STEP) },
    { "an id of 65535", plain_record(), 2, shape(0, 0, 65535, STEP) },
    { "a step of 4097", plain_record(), 2, shape(0, 0, ID, 4097) },
    { "a step of 65535", plain_record(), 2, shape(0, 0, ID, 65535) },
    { "a step beyond the heap", plain_record(), 2, shape(0, 0, ID, 4096) },
    { "sixteen blobs", plain_record(), 2, shape(0, 16, ID, STEP) },
    { "owner 257", plain_record(), 2, shape(0, 0, ID, STEP) | UINT64_C(257) << 48 },
    { "owner 65535", plain_record(), 2, shape(1, 0, ID, STEP) | UINT64_C(65535) << 48 },
    { "a version too large", plain_record(), 1, JT_VERSION_LIMIT },
    { "the largest version", plain_record(), 1, UINT64_MAX },
    { "a sequence after the version", plain_record(), 3, 41 },
    { "a sequence of 0", plain_record(), 3, 0 },
    { "created before the epoch", plain_record(), 4, (uint64_t)-1 },
    { "created in the year 10000", plain_record(), 4, UINT64_C(253402300800000000) },
    { "updated before the epoch", plain_record(), 5, (uint64_t)INT64_MIN },
    { "started before the epoch", plain_record(), 6, (uint64_t)-5 },
    { "finished before the epoch", plain_record(), 7, (uint64_t)-5 },
    { "progress not a number", plain_record(), 8, bits[0] },
    { "progress without end", plain_record(), 8, bits[1] },
    { "progress 2", plain_record(), 8, bits[2] },
    { "progress -0.5", plain_record(), 8, bits[3] },
  };
  for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
    check_forgery(&forgeries[i], false);
    check_unread(&forgeries[i]);
  }
  forgery honest = { "an honest record", plain_record(), 0, 0 };
  check_forgery(&honest, true);
}

/* With room for all of it, and right in all else. */
static void an_id_longer_than_any(void) {
  static const size_t lengths[] = { JT_ID_MAX + 1, 127, 128, 500 };
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    forgery f = { "an id with room for it", plain_record(), 0, 0 };
    jt_text id = text_filled(lengths[i], 'i');
    memcpy((char *)(uintptr_t)id.bytes + id.length - 9, "_0000000f", 9);
    f.record.id = id;
    check_forgery_in(70, &f, false);
    check_unread(&f);
    free((void *)(uintptr_t)id.bytes);
  }
}

/* Its id's bytes are the two words of a blob that there could be. */
static void a_fifth_blob(void) {
  scene s = make_scene();
  uint64_t pair = (uint64_t)(end_unit(s.store) - 10) << JT_LENGTH_BITS | 8;
  end_scene(&s);
  char id[] = "........i_0000000f";
  memcpy(id, &pair, sizeof pair);
  forgery f = { "a fifth blob", plain_record(), 2, shape(0, 16, sizeof id - 1, STEP) };
  f.record.id = (jt_text){ id, sizeof id - 1 };
  check_forgery(&f, false);
  check_unread(&f);
}

static void a_step_longer_than_any(void) {
  for (size_t length = JT_STEP_MAX; length <= JT_STEP_MAX + 1; length++) {
    forgery f = { "a step with room for it", plain_record(), 0, 0 };
    f.record.step = text_filled(length, 's');
    check_forgery_in(70, &f, length <= JT_STEP_MAX);
    free((void *)(uintptr_t)f.record.step.bytes);
  }
}

/* Any of the slots, whether it was ever used or not. The first to open the file
   alone knows that nobody lives. */
static void owners_that_never_were(void) {
  for (uint64_t owner = 1; owner <= JT_OWNERS; owner += 51)
    for (uint64_t status = 0; status < JT_STATUSES; status++) {
      forgery f = { "an owner that never was", plain_record(), 2,
                    shape(status, 0, ID, STEP) | owner << 48 };
      check_forgery(&f, true);
    }
}

static void where_a_blob_may_not_be(void) {
  jt_store *any = region_make(8, 100);
  uint32_t first = any->geometry.first_unit, end = end_unit(any), own = end - 20;
  const uint64_t longest = (UINT64_C(1) << JT_LENGTH_BITS) - 1, size = any->geometry.size;
  const struct { const char *name; uint32_t unit; uint64_t length; } blobs[] = {
    { "in unit 0", 0, 8 }, { "in the header", 1, 8 }, { "before the heap", first - 1, 8 },
    { "after the heap", end, 8 }, { "at the last unit there can be", (1u << 28) - 1, 8 },
    { "one unit too long", end - 1, 65 }, { "of the longest length", end - 10, longest },
    { "as long as the store", end - 10, size }, { "as long as the heap", end - 10, 6400 },
    { "where its record is", own, 64 }, { "over the end of its record", own + 1, 64 },
    { "over the start of its record", own - 1, 100 },
    { "one that has another's bytes", end - 10, 300 },
  };
  for (size_t i = 0; i < sizeof blobs / sizeof blobs[0]; i++) {
    forgery f = { blobs[i].name, plain_record(), 0, 0 };
    for (int which = 0; which < RAW_BLOBS; which++) {
      f.record = plain_record();
      f.record.blob[which] = (raw_blob){ 1, 0, 12345 };
      f.word = 9;
      f.value = (uint64_t)blobs[i].unit << JT_LENGTH_BITS | blobs[i].length;
      check_forgery(&f, false);
    }
  }
  region_free(any);
}

/* A cell may refer to anything. */
static void where_a_record_may_not_be(void) {
  jt_store *any = region_make(8, 100);
  uint32_t first = any->geometry.first_unit, end = end_unit(any);
  const uint32_t units[] = { 0, 1, 2, 64, first - 1, end - 1, end, end + 1,
                             (1u << 28) - 1 };
  uint64_t hash = jt_hash(forged_id, sizeof forged_id - 1);
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    scene s = make_scene();
    uint32_t at = jt_cells_vacant(s.store, hash);
    jt_cell_publish(s.store, at, jt_cell_make(hash, 3, units[i]));
    CHECK(jt_cell_is_job(jt_word_load(&s.store->cells[at])));
    jt_store *used = region_clone(s.store);
    exercise(used);
    region_verify(s.store);
    CHECK_AUDIT(s.store);
    CHECK_INT(jt_word_load(&s.store->header->damaged), 1);
    check_good_jobs(&s);
    region_free(used);
    end_scene(&s);
  }
  region_free(any);
}

/* -------------------------------------------------------------- shared runs */

static void two_jobs_never_share_units(void) {
  for (uint32_t shift = 0; shift < 8; shift++) {
    scene s = make_scene();
    char id[2][16] = { "forged_0000000f", "forged_000000f0" };
    uint32_t unit = end_unit(s.store) - 20;
    jt_text blob = text_filled(150, 'b');
    memcpy(s.store->base + (size_t)(unit + 4) * JT_UNIT, blob.bytes, blob.length);
    for (uint32_t i = 0; i < 2; i++) {
      forgery f = { "", plain_record(), 0, 0 };
      f.record.id = (jt_text){ id[i], 15 };
      f.record.version = f.record.sequence = 40 + i;
      /* The second's record begins where the shift leads: in the first's run, in
         its blob, behind it. Both refer to one blob. */
      uint64_t sum = jt_hash(blob.bytes, blob.length);
      f.record.blob[i] = (raw_blob){ unit + 4, 150, sum };
      forge(s.store, &f, i == 0 ? unit : unit + shift);
    }
    region_verify(s.store);
    CHECK_AUDIT(s.store);
    check_good_jobs(&s);
    CHECK(jt_word_load(&s.store->header->damaged) >= 1);
    exercise(s.store);
    CHECK_NO(audit_allowing(s.store, AUDIT_LIVES));
    free((void *)(uintptr_t)blob.bytes);
    end_scene(&s);
  }
}

/* ---------------------------------------------------------------- the cells */

/* A cell twice: also around the end, and before the right one. */
static void a_job_is_there_once(void) {
  uint32_t cells = cells_of_scene();
  for (uint32_t i = 0; i < cells; i++) {
    scene s = make_scene();
    uint64_t cell = jt_word_load(&s.store->cells[cell_of(s.store, &s.second)]);
    bool vacant = !jt_cell_is_job(jt_word_load(&s.store->cells[i]));
    if (vacant) jt_cell_publish(s.store, i, cell);
    region_verify(s.store);
    CHECK_AUDIT(s.store);
    check_good_jobs(&s);
    CHECK_INT(jt_word_load(&s.store->header->damaged), vacant);
    CHECK_CODE(erase(s.store, &s.second), JT_OK);
    CHECK(!exists(s.store, &s.second));
    end_scene(&s);
  }
}

/* An older record of the same job is in another cell: one of the two is left. */
static void an_id_is_there_once(void) {
  uint32_t cells = cells_of_scene();
  for (uint32_t i = 0; i < cells; i++) {
    scene s = make_scene();
    if (jt_cell_is_job(jt_word_load(&s.store->cells[i]))) {
      end_scene(&s);
      continue;
    }
    forgery f = { "", plain_record(), 0, 0 };
    f.record.id = (jt_text){ s.first.text, s.first.length };
    f.record.version = f.record.sequence = 1 + i;
    uint32_t at = forge(s.store, &f, end_unit(s.store) - 20);
    uint64_t cell = jt_word_load(&s.store->cells[at]);
    jt_cell_publish(s.store, at, JT_CELL_EMPTY);
    jt_cell_publish(s.store, i, cell);
    region_verify(s.store);
    CHECK_AUDIT(s.store);
    CHECK_INT(jt_word_load(&s.store->header->damaged), 1);
    CHECK(exists(s.store, &s.first));
    CHECK_CODE(erase(s.store, &s.first), JT_OK);
    CHECK(!exists(s.store, &s.first));
    end_scene(&s);
  }
}

static void a_cell_far_from_home_is_found(void) {
  uint32_t cells = cells_of_scene();
  for (uint32_t distance = 1; distance < cells; distance++) {
    scene s = make_scene();
    uint32_t at = cell_of(s.store, &s.first), to = (at + distance) % cells;
    if (to != cell_of(s.store, &s.second)) {
      jt_cell_publish(s.store, to, jt_word_load(&s.store->cells[at]));
      jt_cell_publish(s.store, at, JT_CELL_EMPTY);
    }
    region_verify(s.store);
    CHECK_AUDIT(s.store);
    check_good_jobs(&s);
    CHECK_INT(jt_word_load(&s.store->header->damaged), 0);
    end_scene(&s);
  }
}

/* ------------------------------------------------------- at the limits of values */

/* A value that is just right must not become a wrong one when the job goes on:
   what a call says is done can be read again. */
static void check_goes_on(size_t word, uint64_t value) {
  scene s = make_scene();
  forgery f = { "", plain_record(), word, value };
  forge(s.store, &f, end_unit(s.store) - 20);
  region_verify(s.store);
  job_id id = { sizeof forged_id - 1, "" };
  memcpy(id.text, forged_id, sizeof forged_id);
  for (int i = 0; i < 3; i++) {
    jt_code code = set_result(s.store, &id, 10, 'x');
    if (code == JT_OK) CHECK(exists(s.store, &id));
    job_id fresh = id_of("fresh", (uint32_t)i);
    code = jt_create_numbered(s.store, "fresh", 5, (uint32_t)i);
    if (code == JT_OK) CHECK(exists(s.store, &fresh));
  }
  check_good_jobs(&s);
  end_scene(&s);
}

static void after_the_last_time(void) {
  check_goes_on(5, UINT64_C(253402300800000000) - 1);
}

static void after_the_last_version(void) {
  check_goes_on(1, JT_VERSION_LIMIT - 1);
}

/* A reader slept through 2^24 publications: the cell is the same again, to the
   bit, and what it refers to is not. */
static void a_cell_that_came_round_is_noticed(void) {
  scene s = make_scene();
  jt_sight sight;
  uint64_t words[RAW_WORDS];
  uint32_t at = cell_of(s.store, &s.second);
  CHECK_CODE(jt_sight_at(s.store, at, &sight), JT_OK);
  CHECK(jt_sight_holds(s.store, &sight));
  uint32_t unit = jt_cell_unit(jt_word_load(&s.store->cells[at]));
  raw_record record = raw_read(s.store, unit);
  record.version += UINT64_C(1) << 24;
  size_t count = raw_encode(&record, words);
  raw_write(s.store, unit, words, count);
  CHECK(!jt_sight_holds(s.store, &sight));
  CHECK_CODE(jt_sight_at(s.store, at, &sight), JT_OK);
  CHECK(jt_sight_holds(s.store, &sight));
  end_scene(&s);
}

/* Who serves ids in URLs and JSON relies on their form. */
static void ids_of_another_form_are_dropped(void) {
  static const char *const ids[] = {
    "forged/0000000f", "forged_0000000F", "forged_0000000g", "../../_0000000f",
    "\"quote\"_0000000", "\xff\xfe\xfd\xfc\xfb\xfa_00000000", "forged 0000000f"
  };
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    unsigned failures = check_failures();
    scene s = make_scene();
    forgery f = { "", plain_record(), 0, 0 };
    f.record.id = (jt_text){ ids[i], 15 };
    forge(s.store, &f, end_unit(s.store) - 20);
    region_verify(s.store);
    CHECK_INT(jt_word_load(&s.store->header->damaged), 1);
    check_good_jobs(&s);
    if (check_failures() > failures) check_say("the id %.15s", ids[i]);
    end_scene(&s);
  }
}

/* --------------------------------------------------------------- torn pages */

enum { TORN_JOBS = 60 };

static void see_all(jt_store *store, jt_job *jobs[TORN_JOBS]) {
  for (uint32_t i = 0; i < TORN_JOBS; i++) {
    job_id id = id_of("torn", i);
    get(store, &id, &jobs[i]);
  }
}

static void work_on(jt_store *store) {
  for (int i = 0; i < 150; i++) {
    uint32_t which = (uint32_t)check_below(TORN_JOBS);
    job_id id = id_of("torn", which);
    jt_code code = jt_create_numbered(store, "torn", 4, which);
    if (code == JT_TAKEN && check_below(5) == 0) erase(store, &id);
    else set_result(store, &id, check_below(600), (char)check_random());
  }
}

/* Some pages (or sectors) are of before, some of after: each job is one or the
   other, or dropped. */
static void check_torn(jt_store *before, jt_store *after, size_t piece) {
  jt_job *old[TORN_JOBS], *new[TORN_JOBS], *now[TORN_JOBS];
  jt_store *torn = region_clone(before);
  see_all(before, old);
  see_all(after, new);
  for (uint64_t at = sizeof(jt_word); at < torn->geometry.size; at += piece) {
    uint64_t left = torn->geometry.size - at;
    if (check_below(2))
      memcpy(torn->base + at, after->base + at, left < piece ? left : piece);
  }
  region_verify(torn);
  CHECK_AUDIT(torn);
  see_all(torn, now);
  for (int i = 0; i < TORN_JOBS; i++)
    CHECK(now[i] == NULL || job_same(now[i], old[i]) || job_same(now[i], new[i]));
  exercise(torn);
  CHECK_AUDIT(torn);
  for (int i = 0; i < TORN_JOBS; i++) free(old[i]), free(new[i]), free(now[i]);
  region_free(torn);
}

static void pages_of_two_moments(void) {
  jt_store *store = region_make(TORN_JOBS, 1200), *before = region_clone(store);
  for (uint64_t i = 0; i < check_times(RUNS_DAMAGE_RANDOM) / 10; i++) {
    work_on(store);
    region_copy(before, store);
    work_on(store);
    check_torn(before, store, i % 2 ? 512 : JT_PAGE);
  }
  region_free(store);
  region_free(before);
}

static const check_case cases[] = {
  CASE(what_a_record_may_not_say), CASE(a_step_longer_than_any),
  CASE(an_id_longer_than_any), CASE(a_fifth_blob),
  CASE(owners_that_never_were),
  CASE(where_a_blob_may_not_be),
  CASE(where_a_record_may_not_be), CASE(two_jobs_never_share_units),
  CASE(a_job_is_there_once), CASE(an_id_is_there_once),
  CASE(a_cell_far_from_home_is_found),
  CASE(after_the_last_time), CASE(after_the_last_version),
  CASE(a_cell_that_came_round_is_noticed), CASE(ids_of_another_form_are_dropped),
  CASE(pages_of_two_moments),
};
CHECK_MAIN(cases)
