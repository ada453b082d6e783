/*
** midst_test.c - in what order a call does things, seen in its seen. (Killed there:
** kill_points_test.c, step_test.c. A pass of eviction: evict_test.c.)
*/
#include <stdlib.h>
#include <sys/mman.h>

#include "audit.h"
#include "deaths.h"
#include "midst.h"
#include "store/cells.h"
#include "store/heap.h"
#include "store/record.h"

static struct {
  jt_store *store;
  uint32_t number;                /* of the job, and its id */
  job_id id;
  uint32_t unit;                  /* of the record that is written */
  uint64_t version;               /* what the store, or the record, said */
} seen;

/* ------------------------------------------------------------------- a change */

static void read_the_stores_version(void) {
  seen.version = jt_store_version(seen.store);
}

enum { MAX_JOBS = 4096 };         /* their cells are some pages */

/* A job's number whose cell is on a page with nothing else but cells. */
static uint32_t number_in_the_middle(const jt_store *store, jt_word **cell) {
  const jt_geometry *g = &store->geometry;
  for (uint32_t number = 0;; number++) {
    job_id id = id_of("job", number);
    uint32_t home = jt_cell_home(g, jt_hash(id.text, id.length));
    *cell = &store->cells[home];
    if (home > g->cells / 4 && home < g->cells / 4 * 3) return number;
  }
}

static void create_one(jt_store *store) {
  CHECK_CODE(jt_create_numbered(store, "job", 3, seen.number), JT_OK);
}

static void update_one(jt_store *store) {
  CHECK_CODE(set_status(store, &seen.id, JT_RUNNING), JT_OK);
}

static void delete_one(jt_store *store) {
  CHECK_CODE(erase(store, &seen.id), JT_OK);
}

/* Whoever polls it and sees it looks at once: what has changed must be there. */
static void the_cell_comes_before_the_stores_version(void) {
  void (*const calls[])(jt_store *store) = { create_one, update_one, delete_one };
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    jt_store *store = region_make(MAX_JOBS, 100);
    jt_word *cell;
    seen.store = store;
    seen.number = number_in_the_middle(store, &cell);
    seen.id = id_of("job", seen.number);
    if (calls[i] != create_one) create_one(store);
    uint64_t before = jt_store_version(store);
    midst_look(cell, PROT_READ, read_the_stores_version);
    calls[i](store);
    CHECK(midst_happened());
    CHECK_INT(seen.version, before);
    CHECK_INT(jt_store_version(store), before + 1);
    CHECK_AUDIT(store);
    region_free(store);
  }
}

static void read_the_records_version(void) {
  seen.version = jt_word_load(jt_unit_words(seen.store, seen.unit) +
                               JT_RECORD_VERSION);
}

/* Where the next record comes to lie: half of it is on one page, half on the next. */
static uint32_t next_record_on_two_pages(jt_store *store) {
  uint32_t second = jt_heap_take(store, 2) + 1;
  while ((uintptr_t)jt_unit_words(store, second) % JT_PAGE != 0)
    second = jt_heap_take(store, 1);
  jt_heap_give(store, second - 1, 2);
  return second - 1;
}

/* A reader that copies the version first has that record's other words with it. */
static void a_records_version_is_its_last_word(void) {
  jt_store *store = region_make(4, 200);
  seen.store = store;
  seen.number = 1;
  seen.id = id_of("job", 1);
  seen.unit = next_record_on_two_pages(store);
  seen.version = UINT64_MAX;
  midst_look((void *)jt_unit_words(store, seen.unit + 1), PROT_READ,
             read_the_records_version);
  create_one(store);
  CHECK(midst_happened());
  CHECK_INT(seen.version, 0);
  read_the_records_version();
  CHECK_INT(seen.version, jt_store_version(store));
  CHECK(exists(store, &seen.id));
  CHECK_NO(audit_allowing(store, AUDIT_LEAKS));
  region_free(store);
}

/* --------------------------------------------------------------------- a read */

enum { BYTES = 3 * JT_PAGE };

/* Another has its units, and has written there. */
static void let_another_follow(void) {
  CHECK_CODE(erase(seen.store, &seen.id), JT_OK);
  job_id other = create(seen.store, "other", 2);
  CHECK_CODE(set_result(seen.store, &other, BYTES, 'o'), JT_OK);
}

/* By one who may only read, and who does not write it off first. */
static void an_orphan_is_looked_at_again(void) {
  jt_store *store = region_make(4, 4 + 4 + BYTES / JT_UNIT);
  jt_store view = region_view(store, true);
  mortal *m = mortal_make(store, DEATH_KILL);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  CHECK_CODE(set_result(store, &m->jobs[0], BYTES, 'r'), JT_OK);
  mortal_end(m);
  seen.store = store;
  seen.id = m->jobs[0];
  void *middle = (void *)jt_unit_words(store, store->geometry.end_unit -
                                              BYTES / JT_UNIT / 2);
  jt_job *job;
  midst_look(middle, PROT_NONE, let_another_follow);
  CHECK_CODE(get(&view, &seen.id, &job), JT_NOT_FOUND);
  CHECK(midst_happened());
  CHECK_AUDIT(store);
  free(job);
  region_free(store);
}

static const check_case cases[] = {
  CASE(the_cell_comes_before_the_stores_version),
  CASE(a_records_version_is_its_last_word), CASE(an_orphan_is_looked_at_again),
};
CHECK_MAIN(cases)
