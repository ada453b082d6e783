/*
** recovery_test.c - a writer that died holding the lock, at each step of each
** call. A child takes the lock, builds by hand what the step leaves, and dies;
** the next call that changes anything has to find each job as it was before or
** as it was to be. (step_test.c does the same at every instruction.)
*/
#include <errno.h>
#include <stdlib.h>

#include "audit.h"
#include "raw.h"
#include "store/cells.h"
#include "store/heap.h"
#include "store/recover.h"

/* The jobs that every test begins with. The cells of first, second and third
   follow each other: one cluster, from one home. */
typedef struct scene {
  jt_store *store;
  job_id first, second, third, other;
} scene;

static job_id create_at_home(jt_store *store, uint32_t home, uint32_t *number) {
  for (;; (*number)++) {
    job_id id = id_of("near", *number);
    uint64_t hash = jt_hash(id.text, id.length);
    if (jt_cell_home(&store->geometry, hash) == home)
      return create(store, "near", (*number)++);
  }
}

static scene make_scene(void) {
  scene s = { .store = region_make(8, 200) };
  uint32_t number = 0, home = s.store->geometry.cells - 2;    /* around the end */
  s.first = create_at_home(s.store, home, &number);
  s.second = create_at_home(s.store, home, &number);
  s.third = create_at_home(s.store, home, &number);
  s.other = create_finished(s.store, "other", 1);
  CHECK_CODE(set_status(s.store, &s.second, JT_RUNNING), JT_OK);
  CHECK_CODE(set_result(s.store, &s.second, 1000, 'r'), JT_OK);
  CHECK_CODE(set_result(s.store, &s.other, 300, 'o'), JT_OK);
  CHECK_AUDIT(s.store);
  return s;
}

static uint32_t cell_of(const jt_store *store, const job_id *id) {
  return jt_cells_find(store, (jt_text){ id->text, id->length },
                       jt_hash(id->text, id->length));
}

static uint32_t unit_of(const jt_store *store, const job_id *id) {
  return jt_cell_unit(jt_word_load(&store->cells[cell_of(store, id)]));
}

static void bump(jt_word *word, uint64_t by) {
  jt_word_store(word, jt_word_load(word) + by);
}

/* ------------------------------------------------------- dying with the lock */

typedef void (*build)(const scene *s);

typedef struct death {
  const scene *scene;
  build build;
} death;

static void die_with_lock(void *context) {
  const death *d = context;
  pthread_mutex_t *lock = &d->scene->store->header->lock;
  int got = pthread_mutex_lock(lock);
  CHECK(got == 0 || got == EOWNERDEAD);
  d->build(d->scene);
}

static void let_die(const scene *s, build what) {
  death d = { s, what };
  CHECK_JOIN(check_fork(die_with_lock, &d));
}

/* The next changing call, which changes nothing itself. */
static void recover(const scene *s) {
  job_id none = id_of("none", 1);
  uint64_t before = jt_word_load(&s->store->header->recoveries);
  CHECK_CODE(erase(s->store, &none), JT_NOT_FOUND);
  CHECK_INT(jt_word_load(&s->store->header->recoveries), before + 1);
  CHECK_INT(jt_word_load(&s->store->header->damaged), 0);
  CHECK_AUDIT(s->store);
}

/* Whether a job has that step, and a result of so many such bytes. */
static void check_job(const scene *s, const job_id *id, const char *step, size_t bytes,
                      char fill) {
  jt_job *job;
  jt_text result = bytes > 0 ? text_filled(bytes, fill) : (jt_text){ NULL, 0 };
  if (CHECK_CODE(get(s->store, id, &job), JT_OK)) {
    CHECK_TEXT(jt_job_part(job, JT_STEP), text_of(step));
    CHECK_TEXT(jt_job_part(job, JT_RESULT), result);
  }
  free(job);
  free((void *)(uintptr_t)result.bytes);
}

static void check_untouched(const scene *s, bool second_too) {
  check_job(s, &s->first, "Initializing", 0, 0);
  if (second_too) check_job(s, &s->second, "Initializing", 1000, 'r');
  check_job(s, &s->third, "Initializing", 0, 0);
  check_job(s, &s->other, "Initializing", 300, 'o');
}

/* The store goes on as if nothing had been. */
static void check_usable(const scene *s) {
  job_id fresh = create(s->store, "fresh", 77);
  CHECK_CODE(set_result(s->store, &fresh, 500, 'f'), JT_OK);
  check_job(s, &fresh, "Initializing", 500, 'f');
  CHECK_CODE(erase(s->store, &fresh), JT_OK);
  CHECK_AUDIT(s->store);
}

typedef struct step {
  const char *name;
  build build;
  bool committed;
} step;

/* Lets each step be the last of a writer, and of two in a row. */
static void check_steps(const step *steps, size_t count,
                        void (*check)(const scene *s, bool committed)) {
  for (size_t i = 0; i < 2 * count; i++) {
    unsigned failures = check_failures();
    scene s = make_scene();
    let_die(&s, steps[i / 2].build);
    if (i % 2 != 0) {
      recover(&s);
      check(&s, steps[i / 2].committed);
      CHECK_CODE(erase(s.store, &s.first), JT_OK);
      s.first = create(s.store, "again", 1);
      let_die(&s, steps[i / 2].build);
    }
    recover(&s);
    check(&s, steps[i / 2].committed);
    check_usable(&s);
    if (check_failures() > failures) check_say("that was: %s", steps[i / 2].name);
    region_free(s.store);
  }
}
#define STEPS(steps) steps, sizeof steps / sizeof steps[0]

/* ---------------------------------------------------------------- creating */

static const char new_id[] = "new_0000002a";

static uint64_t next_version(const scene *s) {
  return jt_store_version(s->store) + 1;
}

static raw_record new_record(const scene *s) {
  uint64_t version = next_version(s);
  return (raw_record){ .version = version, .sequence = version, .created_at = 1000,
                       .updated_at = 1000, .id = text_of(new_id),
                       .step = text_of("Initializing") };
}

static void fill(const scene *s, uint32_t unit, const raw_record *record) {
  uint64_t words[RAW_WORDS];
  raw_write(s->store, unit, words, raw_encode(record, words));
}

static uint64_t new_hash(void) {
  return jt_hash(new_id, sizeof new_id - 1);
}

static void lock_taken(const scene *s) {
  (void)s;
}

static void create_taken(const scene *s) {
  jt_heap_take(s->store, 2);
}

static void create_half_filled(const scene *s) {
  raw_record record = new_record(s);
  uint32_t unit = jt_heap_take(s->store, 2);
  fill(s, unit, &record);
  jt_word_store(jt_unit_words(s->store, unit) + 5, 0);
}

static void create_filled(const scene *s) {
  raw_record record = new_record(s);
  fill(s, jt_heap_take(s->store, 2), &record);
}

static void create_published(const scene *s) {
  raw_record record = new_record(s);
  uint32_t unit = jt_heap_take(s->store, 2);
  fill(s, unit, &record);
  jt_cell_publish(s->store, jt_cells_vacant(s->store, new_hash()),
                  jt_cell_make(new_hash(), record.version, unit));
}

static void create_version_stored(const scene *s) {
  create_published(s);
  bump(&s->store->header->version, 1);
}

static void create_half_counted(const scene *s) {
  create_version_stored(s);
  bump(&s->store->header->by_status[JT_PENDING], 1);
}

static void check_create(const scene *s, bool committed) {
  job_id id = id_of("new", 0x2a);
  check_untouched(s, true);
  if (committed) check_job(s, &id, "Initializing", 0, 0);
  CHECK_INT(exists(s->store, &id), committed);
  if (committed) CHECK_CODE(erase(s->store, &id), JT_OK);
}

static void killed_while_creating(void) {
  static const step steps[] = {
    { "the lock taken", lock_taken, false },
    { "the run taken", create_taken, false },
    { "the record half filled", create_half_filled, false },
    { "the record filled", create_filled, false },
    { "the cell published", create_published, true },
    { "the version stored", create_version_stored, true },
    { "half counted", create_half_counted, true },
  };
  check_steps(STEPS(steps), check_create);
}

/* ---------------------------------------------------------------- updating */

/* The second job with another step and another result, as jt_update makes it. */
typedef struct revision {
  raw_record old, record;
  uint32_t at, old_unit, unit;
} revision;

static void revise(const scene *s, revision *r) {
  jt_store *store = s->store;
  r->at = cell_of(store, &s->second);
  r->old_unit = unit_of(store, &s->second);
  r->old = raw_read(store, r->old_unit);
  r->record = r->old;
  r->record.step = text_of("new step");
  r->record.version = next_version(s);
  r->unit = jt_heap_take(store, raw_units(&r->record));
  uint32_t blob = jt_heap_take(store, jt_units_for(2000));
  jt_text text = text_filled(2000, 'n');
  r->record.blob[0] = (raw_blob){ blob, 2000, jt_hash(text.bytes, 2000) };
  memcpy(store->base + (size_t)blob * JT_UNIT, text.bytes, 2000);
  free((void *)(uintptr_t)text.bytes);
}

static void publish(const scene *s, const revision *r) {
  uint64_t hash = jt_hash(r->record.id.bytes, r->record.id.length);
  fill(s, r->unit, &r->record);
  jt_cell_publish(s->store, r->at, jt_cell_make(hash, r->record.version, r->unit));
}

static void update_taken(const scene *s) {
  jt_heap_take(s->store, 3);
  jt_heap_take(s->store, 40);
}

static void update_blob_filled(const scene *s) {
  revision r;
  revise(s, &r);
}

static void update_filled(const scene *s) {
  revision r;
  revise(s, &r);
  fill(s, r.unit, &r.record);
}

static void update_published(const scene *s) {
  revision r;
  revise(s, &r);
  publish(s, &r);
}

static void update_half_counted(const scene *s) {
  update_published(s);
  bump(&s->store->header->version, 1);
  bump(&s->store->header->by_status[JT_RUNNING], (uint64_t)-1);
  bump(&s->store->header->units_pinned, (uint64_t)-19);
}

static void update_record_freed(const scene *s) {
  revision r;
  revise(s, &r);
  publish(s, &r);
  bump(&s->store->header->version, 1);
  jt_heap_give(s->store, r.old_unit, raw_units(&r.old));
}

static void update_blob_half_freed(const scene *s) {
  revision r;
  revise(s, &r);
  publish(s, &r);
  bump(&s->store->header->version, 1);
  jt_heap_give(s->store, r.old_unit, raw_units(&r.old));
  uint64_t at = r.old.blob[0].unit - s->store->geometry.first_unit;
  s->store->bitmap[at / 64] &= ~(UINT64_C(7) << at % 64);
}

static void check_update(const scene *s, bool committed) {
  check_untouched(s, false);
  check_job(s, &s->second, committed ? "new step" : "Initializing",
            committed ? 2000 : 1000, committed ? 'n' : 'r');
  CHECK_CODE(set_result(s->store, &s->second, 1000, 'r'), JT_OK);
}

static void killed_while_updating(void) {
  static const step steps[] = {
    { "the runs taken", update_taken, false },
    { "the blob filled", update_blob_filled, false },
    { "the record filled", update_filled, false },
    { "the cell published", update_published, true },
    { "half counted", update_half_counted, true },
    { "the old record freed", update_record_freed, true },
    { "the old blob half freed", update_blob_half_freed, true },
  };
  check_steps(STEPS(steps), check_update);
}

/* ---------------------------------------------------------------- removing */

static void delete_published(const scene *s) {
  jt_cell_publish(s->store, cell_of(s->store, &s->second), JT_CELL_DELETED);
}

static void delete_version_stored(const scene *s) {
  delete_published(s);
  bump(&s->store->header->version, 1);
}

static void delete_record_freed(const scene *s) {
  uint32_t unit = unit_of(s->store, &s->second);
  delete_version_stored(s);
  jt_heap_give(s->store, unit, 2);
}

static void delete_half_counted(const scene *s) {
  delete_record_freed(s);
  bump(&s->store->header->by_status[JT_RUNNING], (uint64_t)-1);
}

static void check_delete(const scene *s, bool committed) {
  check_untouched(s, !committed);
  CHECK_INT(exists(s->store, &s->second), !committed);
  if (!committed) return;
  uint32_t number = (uint32_t)strtoul(s->second.text + 5, NULL, 16);
  job_id again = create(s->store, "near", number);
  CHECK_CODE(set_result(s->store, &again, 1000, 'r'), JT_OK);
}

static void killed_while_deleting(void) {
  static const step steps[] = {
    { "the lock taken", lock_taken, false },
    { "the cell deleted", delete_published, true },
    { "the version stored", delete_version_stored, true },
    { "the record freed", delete_record_freed, true },
    { "half counted", delete_half_counted, true },
  };
  check_steps(STEPS(steps), check_delete);
}

/* The version must have grown by then: who asks "what changed since?" would
   never hear of the deletion. */
static void a_deletion_is_seen_in_the_version(void) {
  scene s = make_scene();
  uint64_t before = jt_store_version(s.store);
  let_die(&s, delete_published);
  recover(&s);
  CHECK(!exists(s.store, &s.second));
  CHECK(jt_store_version(s.store) > before);
  region_free(s.store);
}

/* First and second are deleted; the third goes, and its cell and those before it
   are to become empty: cut short before each. */
static void killed_while_cleaning_cells(void) {
  for (int emptied = 0; emptied <= 3; emptied++) {
    scene s = make_scene();
    uint32_t mask = s.store->geometry.cells - 1, at = cell_of(s.store, &s.third);
    CHECK_CODE(erase(s.store, &s.first), JT_OK);
    CHECK_CODE(erase(s.store, &s.second), JT_OK);
    CHECK_INT(jt_word_load(&s.store->cells[(at - 1) & mask]), JT_CELL_DELETED);
    let_die(&s, lock_taken);      /* the rest is built here: the dead hold the lock */
    for (uint32_t i = 0; (int)i < emptied; i++)
      jt_cell_publish(s.store, (at - i) & mask, JT_CELL_EMPTY);
    recover(&s);
    CHECK_INT(exists(s.store, &s.third), emptied == 0);
    check_job(&s, &s.other, "Initializing", 300, 'o');
    uint32_t number = 0, home = s.store->geometry.cells - 2;
    job_id ids[3];
    if (emptied == 0) number = 1 + (uint32_t)strtoul(s.third.text + 5, NULL, 16);
    for (int i = 0; i < 3; i++) ids[i] = create_at_home(s.store, home, &number);
    for (int i = 0; i < 3; i++) CHECK(exists(s.store, &ids[i]));
    CHECK_AUDIT(s.store);
    region_free(s.store);
  }
}

/* Eviction has removed some and not counted them; the scratch says nonsense. */
static void killed_while_evicting(void) {
  scene s = make_scene();
  job_id done[3];
  for (uint32_t i = 0; i < 3; i++) done[i] = create_finished(s.store, "done", i);
  let_die(&s, lock_taken);
  memset(s.store->scratch, 0xa5, s.store->geometry.candidates * sizeof(jt_candidate));
  jt_cell_publish(s.store, cell_of(s.store, &done[0]), JT_CELL_DELETED);
  jt_cell_publish(s.store, cell_of(s.store, &done[2]), JT_CELL_DELETED);
  recover(&s);
  check_untouched(&s, true);
  CHECK(!exists(s.store, &done[0]) && exists(s.store, &done[1]) &&
        !exists(s.store, &done[2]));
  for (uint32_t i = 0; i < 12; i++) create_finished(s.store, "more", i);
  check_job(&s, &s.second, "Initializing", 1000, 'r');
  CHECK_AUDIT(s.store);
  region_free(s.store);
}

/* -------------------------------------------------------- recovery itself */

static void recovery_forgot_all(const scene *s) {
  jt_heap_reset(s->store);
}

static void recovery_half_claimed(const scene *s) {
  jt_heap_reset(s->store);
  jt_heap_claim(s->store, unit_of(s->store, &s->third), 2);
  bump(&s->store->header->by_status[JT_PENDING], 40);
}

static void recovery_half_counted(const scene *s) {
  jt_recover(s->store, JT_TRUST);
  bump(&s->store->header->recoveries, (uint64_t)-1);
  jt_word_store(&s->store->header->by_status[JT_PENDING], 99);
  jt_word_store(&s->store->header->units_pinned, UINT64_MAX);
  jt_word_store(&s->store->header->heap_mark, UINT64_MAX);
}

static void check_recovery(const scene *s, bool committed) {
  (void)committed;
  check_untouched(s, true);
}

static void killed_while_recovering(void) {
  static const step steps[] = {
    { "all forgotten", recovery_forgot_all, false },
    { "half claimed", recovery_half_claimed, false },
    { "half counted", recovery_half_counted, false },
  };
  check_steps(STEPS(steps), check_recovery);
}

/* Writer after writer dies, each in the recovery from the one before. */
static void killed_while_recovering_from_a_kill(void) {
  scene s = make_scene();
  let_die(&s, update_published);
  for (int i = 0; i < 5; i++) {
    let_die(&s, recovery_forgot_all);
    let_die(&s, recovery_half_claimed);
    let_die(&s, recovery_half_counted);
  }
  recover(&s);
  check_update(&s, true);
  check_usable(&s);
  region_free(s.store);
}

static void cell_of_another_version(const scene *s) {
  uint32_t at = cell_of(s->store, &s->second), unit = unit_of(s->store, &s->second);
  raw_record record = raw_read(s->store, unit);
  uint64_t hash = jt_hash(s->second.text, s->second.length);
  jt_cell_publish(s->store, at, jt_cell_make(hash, record.version + 1, unit));
}

/* No reader takes the one for the other's: nor is it to keep the name and the units. */
static void a_cell_that_is_not_its_records_is_dropped(void) {
  scene s = make_scene();
  job_id none = id_of("none", 1);
  let_die(&s, cell_of_another_version);
  CHECK_CODE(erase(s.store, &none), JT_NOT_FOUND);
  CHECK_INT(jt_word_load(&s.store->header->recoveries), 1);
  CHECK_INT(jt_word_load(&s.store->header->damaged), 1);
  CHECK_AUDIT(s.store);
  check_untouched(&s, false);
  create(s.store, "near", (uint32_t)strtoul(s.second.text + 5, NULL, 16));
  check_usable(&s);
  region_free(s.store);
}

/* That it was no recovery from a killed writer; and how far searches go, which was said
   to be all around while it went on. Where it drops a job, who polls the version is to
   look again. */
static void what_an_opening_says(void) {
  scene s = make_scene();
  const jt_header *header = s.store->header;
  uint64_t version = jt_store_version(s.store);
  for (uint32_t dropped = 0; dropped < 2; dropped++) {
    if (dropped) *(s.store->base + (size_t)unit_of(s.store, &s.first) * JT_UNIT) ^= 1;
    region_verify(s.store);
    CHECK_INT(jt_word_load(&header->recoveries), 0);
    CHECK_INT(jt_word_load(&header->damaged), dropped);
    CHECK_INT(jt_store_version(s.store), version + dropped);
    CHECK(jt_cells_to_search(s.store) < s.store->geometry.cells / 2);
    CHECK_AUDIT(s.store);
  }
  region_free(s.store);
}

/* Readers go on before anybody recovers, also those who may only read. */
static void readers_do_not_need_recovery(void) {
  scene s = make_scene();
  let_die(&s, update_half_counted);
  jt_store view = region_view(s.store, true);
  scene seen = s;
  for (int i = 0; i < 2; i++) {
    seen.store = i == 0 ? s.store : &view;
    check_job(&seen, &s.second, "new step", 2000, 'n');
    check_untouched(&seen, false);
  }
  CHECK_INT(jt_word_load(&s.store->header->recoveries), 0);
  CHECK_NO(audit_allowing(s.store, AUDIT_LEAKS));
  recover(&s);
  region_free(s.store);
}

/* Also a writer that would have been the only one to see a full store. */
static void recovery_gives_back_what_was_taken(void) {
  scene s = make_scene();
  for (int i = 0; i < 20; i++) {
    uint32_t rest = 64;
    let_die(&s, update_taken);
    while (rest > 0 && jt_heap_take(s.store, rest) == 0) rest--;
    job_id big = create(s.store, "big", (uint32_t)i);
    CHECK_CODE(set_result(s.store, &big, 100 * 64, 'b'), JT_OK);
    CHECK_CODE(erase(s.store, &big), JT_OK);
  }
  CHECK_INT(jt_word_load(&s.store->header->recoveries), 20);
  CHECK_AUDIT(s.store);
  region_free(s.store);
}

static const check_case cases[] = {
  CASE(killed_while_creating), CASE(killed_while_updating), CASE(killed_while_deleting),
  CASE(a_deletion_is_seen_in_the_version), CASE(killed_while_cleaning_cells),
  CASE(killed_while_evicting), CASE(killed_while_recovering),
  CASE(killed_while_recovering_from_a_kill),
  CASE(a_cell_that_is_not_its_records_is_dropped), CASE(what_an_opening_says),
  CASE(readers_do_not_need_recovery),
  CASE(recovery_gives_back_what_was_taken),
};
CHECK_MAIN(cases)
