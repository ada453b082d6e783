/*
** cells_test.c - src/store/cells.c: how long searches are after long churn, that
** each entry stays findable, and the way around the table's end.
*/
#include <stdlib.h>

#include "audit.h"
#include "runs.h"
#include "store/cells.h"

static uint64_t hash_of(const job_id *id) {
  return jt_hash(id->text, id->length);
}

static uint32_t home_of(const jt_store *store, const job_id *id) {
  return jt_cell_home(&store->geometry, hash_of(id));
}

static uint32_t cell_of(const jt_store *store, const job_id *id) {
  return jt_cells_find(store, (jt_text){ id->text, id->length }, hash_of(id));
}

/* ------------------------------------------------------------------- churn */

typedef struct lengths {
  double found, missed;           /* cells looked at, on average */
  uint32_t longest_found, longest_missed;
} lengths;

/* Of a search that finds each job, and of one that begins at each cell and
   finds nothing: that ends at an empty cell, or where no job can be. */
static lengths measure(const jt_store *store, const job_id *ids, uint32_t jobs) {
  const jt_geometry *g = &store->geometry;
  lengths l = { 0 };
  for (uint32_t i = 0; i < jobs; i++) {
    uint32_t at = cell_of(store, &ids[i]);
    if (!CHECK(at != JT_NO_CELL)) return l;
    uint32_t length = 1 + ((at - home_of(store, &ids[i])) & (g->cells - 1));
    l.found += length;
    if (length > l.longest_found) l.longest_found = length;
  }
  uint32_t run = 0, most = jt_cells_to_search(store);
  for (uint32_t i = 2 * g->cells; i-- > 0;) {
    bool empty = jt_word_load(&store->cells[i & (g->cells - 1)]) == JT_CELL_EMPTY;
    run = empty ? 1 : run + 1;
    if (i >= g->cells) continue;
    uint32_t length = run < most ? run : most;
    l.missed += length;
    if (length > l.longest_missed) l.longest_missed = length;
  }
  l.found /= jobs;
  l.missed /= g->cells;
  return l;
}

static void say(const char *when, const lengths *l) {
  check_say("%s: cells looked at when found %.2f, at most %u; when not %.2f, at most %u",
            when, l->found, l->longest_found, l->missed, l->longest_missed);
}

static job_id create_any(jt_store *store) {
  for (;;) {
    uint32_t number = (uint32_t)check_random();
    jt_code code = jt_create_numbered(store, "churn", 5, number);
    if (code != JT_TAKEN) CHECK_CODE(code, JT_OK);
    if (code == JT_OK) return id_of("churn", number);
  }
}

static void churn(jt_store *store, job_id *ids, uint32_t jobs, uint64_t times,
                  bool oldest_first) {
  for (uint64_t i = 0; i < times; i++) {
    uint32_t which = oldest_first ? (uint32_t)(i % jobs) : (uint32_t)check_below(jobs);
    CHECK_CODE(erase(store, &ids[which]), JT_OK);
    ids[which] = create_any(store);
  }
}

/* A table with as many jobs as it may have, and one in place of each that goes:
   what a full store does all day. */
static void check_churn(bool oldest_first) {
  enum { JOBS = 65536 };
  jt_store *store = region_make(JOBS, JOBS * 2 + 64);
  job_id *ids = check_memory(JOBS * sizeof *ids);
  for (uint32_t i = 0; i < JOBS; i++) ids[i] = create_any(store);
  lengths before = measure(store, ids, JOBS), after = before;
  say("fresh", &before);
  for (int round = 0; round < 4; round++) {
    churn(store, ids, JOBS, check_times(RUNS_CELLS_CHURN) / 4, oldest_first);
    after = measure(store, ids, JOBS);
    say("after a quarter of the churn", &after);
  }
  CHECK_AUDIT(store);
  CHECK(after.found <= 3);
  CHECK(after.longest_found <= 150);
  CHECK(after.missed <= 12);
  CHECK(after.longest_missed <= 150);
  free(ids);
  region_free(store);
}

static void searches_stay_short_when_any_job_goes(void) {
  check_churn(false);
}

static void searches_stay_short_when_the_oldest_goes(void) {
  check_churn(true);
}

/* ------------------------------------------------------------- small tables */

/* The next number from *number on whose job has that home. */
static uint32_t number_for(const jt_store *store, uint32_t home, uint32_t *number) {
  for (;; (*number)++) {
    job_id id = id_of("home", *number);
    if (home_of(store, &id) == home) return (*number)++;
  }
}

static uint64_t cell(const jt_store *store, uint32_t at) {
  return jt_word_load(&store->cells[at & (store->geometry.cells - 1)]);
}

static void goes_around_the_end(void) {
  jt_store *store = region_make(4, 64);
  uint32_t number = 0, cells = store->geometry.cells, last = cells - 1;
  job_id ids[4];
  for (int i = 0; i < 4; i++)
    ids[i] = create(store, "home", number_for(store, last, &number));
  for (uint32_t i = 0; i < 4; i++) CHECK_INT(cell_of(store, &ids[i]), (last + i) % cells);
  CHECK_AUDIT(store);
  CHECK_CODE(erase(store, &ids[0]), JT_OK);
  CHECK_INT(cell(store, last), JT_CELL_DELETED);
  CHECK_CODE(erase(store, &ids[2]), JT_OK);
  CHECK_INT(cell(store, 1), JT_CELL_DELETED);
  CHECK(exists(store, &ids[1]) && exists(store, &ids[3]));
  CHECK_AUDIT(store);
  CHECK_CODE(erase(store, &ids[3]), JT_OK);   /* cleans 2 and 1, not the last */
  CHECK_INT(cell(store, 2), JT_CELL_EMPTY);
  CHECK_INT(cell(store, 1), JT_CELL_EMPTY);
  CHECK_INT(cell(store, last), JT_CELL_DELETED);
  CHECK_CODE(erase(store, &ids[1]), JT_OK);   /* cleans 0 and, around the end, it */
  for (uint32_t at = 0; at < cells; at++) CHECK_INT(cell(store, at), JT_CELL_EMPTY);
  region_free(store);
}

static void a_deleted_cell_is_used_again(void) {
  jt_store *store = region_make(4, 64);
  uint32_t number = 0;
  job_id first = create(store, "home", number_for(store, 3, &number));
  job_id second = create(store, "home", number_for(store, 3, &number));
  CHECK_CODE(erase(store, &first), JT_OK);
  CHECK(exists(store, &second));
  job_id third = create(store, "home", number_for(store, 3, &number));
  CHECK_INT(cell_of(store, &third), 3);
  CHECK_INT(cell_of(store, &second), 4);
  /* A second job of an id behind a deleted cell is refused too. */
  CHECK_CODE(erase(store, &third), JT_OK);
  uint32_t same = (uint32_t)strtoul(second.text + 5, NULL, 16);
  CHECK_CODE(jt_create_numbered(store, "home", 4, same), JT_TAKEN);
  CHECK_AUDIT(store);
  region_free(store);
}

/* An id that begins with the other, and whose cell is met when that is looked for. */
static bool find_longer(const jt_store *store, job_id *longer, job_id *shorter) {
  char type[] = "...._00000001";
  for (uint32_t i = 0; i < 26 * 26 * 26 * 26; i++) {
    put_letters(type, i);
    *longer = id_of(type, 2);
    *shorter = (job_id){ sizeof type - 1, "" };
    memcpy(shorter->text, type, sizeof type);
    if (ids_meet(store, longer, shorter)) return true;
  }
  return false;
}

static void an_id_is_compared_to_its_end(void) {
  jt_store *store = region_make(4, 64);
  job_id longer, shorter;
  if (CHECK(find_longer(store, &longer, &shorter))) {
    CHECK_CODE(jt_create_numbered(store, shorter.text, 4 + 9, 2), JT_OK);
    CHECK(exists(store, &longer) && !exists(store, &shorter));
    CHECK_CODE(jt_create_numbered(store, shorter.text, 4, 1), JT_OK);
    CHECK(exists(store, &longer) && exists(store, &shorter));
  }
  CHECK_AUDIT(store);
  region_free(store);
}

/* No empty cell is left: a search must end all the same. */
static void a_table_of_deleted_cells_ends(void) {
  jt_store *store = region_make(4, 64);
  for (uint32_t at = 0; at < store->geometry.cells; at++)
    jt_word_store(&store->cells[at], JT_CELL_DELETED);
  job_id none = id_of("none", 1);
  CHECK(!exists(store, &none));
  CHECK_INT(cell_of(store, &none), JT_NO_CELL);
  CHECK_CODE(erase(store, &none), JT_NOT_FOUND);
  job_id ids[4];
  for (uint32_t i = 0; i < 4; i++) ids[i] = create(store, "some", i);
  CHECK_AUDIT(store);
  for (uint32_t i = 0; i < 4; i++) CHECK_CODE(erase(store, &ids[i]), JT_OK);
  CHECK_AUDIT(store);
  region_free(store);
}

/* Every sequence of creating and deleting in one cluster, compared by audit. */
static void small_table_in_every_order(void) {
  enum { IDS = 6 };
  jt_store *store = region_make(4, 64);
  uint32_t numbers[IDS], number = 0, home = store->geometry.cells - 3;
  for (uint32_t i = 0; i < IDS; i++)
    numbers[i] = number_for(store, home + i % 3, &number);
  bool there[IDS] = { false };
  int jobs = 0;
  for (uint64_t i = 0; i < check_times(200000); i++) {
    uint32_t which = (uint32_t)check_below(IDS);
    job_id id = id_of("home", numbers[which]);
    if (there[which]) {
      CHECK_CODE(erase(store, &id), JT_OK);
    } else {
      jt_code code = jt_create_numbered(store, "home", 4, numbers[which]);
      CHECK_CODE(code, jobs < 4 ? JT_OK : JT_FULL);
      if (code != JT_OK) continue;
    }
    there[which] = !there[which];
    jobs += there[which] ? 1 : -1;
    if (i % 16 == 0) CHECK_AUDIT(store);
    for (uint32_t k = 0; k < IDS; k++) {
      id = id_of("home", numbers[k]);
      if (exists(store, &id) != there[k]) CHECK_INT(!there[k], there[k]);
    }
  }
  region_free(store);
}

/* Damage has moved it, and has made the way to it empty. */
static void an_entry_moved_is_found_after_verification(void) {
  jt_store *store = region_make(4, 64);
  uint32_t number = 0, last = store->geometry.cells - 1;
  job_id first = create(store, "home", number_for(store, last - 1, &number));
  job_id second = create(store, "home", number_for(store, last - 1, &number));
  CHECK_INT(cell_of(store, &second), last);
  jt_cell_publish(store, 1, cell(store, last));
  jt_cell_publish(store, last, JT_CELL_EMPTY);
  CHECK_INT(cell_of(store, &second), JT_NO_CELL);
  region_verify(store);
  CHECK_INT(cell_of(store, &second), 1);
  CHECK_INT(cell_of(store, &first), last - 1);
  CHECK_INT(cell(store, last), JT_CELL_DELETED);
  CHECK_INT(cell(store, 0), JT_CELL_DELETED);
  CHECK_AUDIT(store);
  region_free(store);
}

static const check_case cases[] = {
  CASE(goes_around_the_end), CASE(a_deleted_cell_is_used_again),
  CASE(an_id_is_compared_to_its_end),
  CASE(a_table_of_deleted_cells_ends), CASE(small_table_in_every_order),
  CASE(an_entry_moved_is_found_after_verification),
  CASE(searches_stay_short_when_any_job_goes),
  CASE(searches_stay_short_when_the_oldest_goes),
};
CHECK_MAIN(cases)
