/*
** trap_test.c - files made so that who opens them, or goes on with them, would be busy
** for hours: each thing in them is right by itself. (What is not: forged_test.c.)
*/
#include <stdlib.h>

#include "audit.h"
#include "raw.h"
#include "store/cells.h"

static uint64_t hash_of(const job_id *id) {
  return jt_hash(id->text, id->length);
}

static uint32_t cell_of(const jt_store *store, const job_id *id) {
  return jt_cells_find(store, (jt_text){ id->text, id->length }, hash_of(id));
}

/* Every cell a job, and each half a table away from its home: to make them all
   reachable would take as many steps as there are pairs. */
static void a_table_of_strays_is_no_trap(void) {
  enum { JOBS = 32768 };
  jt_store *store = region_make(JOBS, JOBS * 2 + 64);
  uint32_t cells = store->geometry.cells;
  for (uint32_t i = 0; i < JOBS; i++) create(store, "stray", i);
  uint64_t *copy = check_memory(cells * sizeof *copy);
  memcpy(copy, store->cells, cells * sizeof *copy);
  for (uint32_t i = 0; i < cells; i++)
    jt_word_store(&store->cells[(i + cells / 2) % cells], copy[i]);
  double start = check_now();
  region_verify(store);
  double seconds = check_now() - start;
  check_say("%u strays took %.2f s; %llu dropped", JOBS, seconds,
            (unsigned long long)jt_word_load(&store->header->damaged));
  CHECK(seconds < 20);
  CHECK(jt_word_load(&store->header->damaged) > JOBS / 2);
  CHECK_NO(audit_allowing(store, AUDIT_FINDER));
  start = check_now();
  job_id none = id_of("none", 1);
  for (int i = 0; i < 100; i++) CHECK(!exists(store, &none));
  CHECK(check_now() - start < 5);
  free(copy);
  region_free(store);
}

/* One job's way leads around nearly all of the table, and makes every cell of it one that
   a search goes over. Who removes jobs must not look along it each time. */
static void a_way_around_the_table_is_no_trap(void) {
  enum { JOBS = 131072, NEARLY = 80 };
  jt_store *store = region_make(JOBS, JOBS * 2 + 64);
  uint32_t cells = store->geometry.cells;
  for (uint32_t i = 0; i < JOBS; i++) create(store, "stray", i);
  job_id last = id_of("stray", JOBS - 1);
  uint32_t at = cell_of(store, &last), to = at;
  uint64_t cell = jt_word_load(&store->cells[at]);
  uint32_t home = jt_cell_home(&store->geometry, hash_of(&last));
  jt_cell_publish(store, at, JT_CELL_EMPTY);
  for (to = (home - NEARLY) % cells; jt_cell_is_job(jt_word_load(&store->cells[to]));)
    to = (to - 1) % cells;
  jt_cell_publish(store, to, cell);
  region_verify(store);
  CHECK_INT(cell_of(store, &last), to);
  uint64_t removed;
  double start = check_now();
  CHECK_CODE(jt_clear(store, &removed), JT_OK);
  double seconds = check_now() - start;
  check_say("%u jobs on a way of %u cells were removed in %.2f s", JOBS,
            (to - home) % cells + 1, seconds);
  CHECK_INT(removed, JOBS);
  CHECK(seconds < 20);
  CHECK_AUDIT(store);
  region_free(store);
}

/* All jobs lay claim to the same bytes: one has them in the end, but to look whether they
   are what each says is to read them as often. */
static void a_text_that_all_have_is_no_trap(void) {
  enum { JOBS = 65536, UNITS = 4 * 65536 };
  jt_store *store = region_make(JOBS, 2 * JOBS + UNITS);
  uint32_t unit = store->geometry.first_unit, text = store->geometry.end_unit - UNITS;
  size_t length = (size_t)UNITS * JT_UNIT;
  raw_blob blob = { text, length, jt_hash(jt_unit_words(store, text), length) };
  for (uint32_t i = 0; i < JOBS; i++, unit += 2) {
    job_id id = id_of("j", i);
    raw_record record = { .version = i + 1, .sequence = i + 1, .created_at = 1000,
                          .updated_at = 2000, .blob = { blob },
                          .id = { id.text, id.length } };
    raw_publish(store, unit, &record);
  }
  double start = check_now();
  region_verify(store);
  double seconds = check_now() - start;
  check_say("%u jobs that have the same %u MiB took %.2f s", JOBS, UNITS / 16384,
            seconds);
  CHECK(seconds < 10);
  CHECK_INT(jt_word_load(&store->header->damaged), JOBS - 1);
  CHECK_AUDIT(store);
  region_free(store);
}

static const check_case cases[] = {
  CASE(a_table_of_strays_is_no_trap), CASE(a_way_around_the_table_is_no_trap),
  CASE(a_text_that_all_have_is_no_trap),
};
CHECK_MAIN(cases)
