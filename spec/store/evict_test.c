/*
** evict_test.c - src/store/evict.c: a pass over the cells, how many it removes, and what
** becomes of it when the retention is changed by somebody else in its midst.
*/
#include <sys/mman.h>

#include "audit.h"
#include "midst.h"
#include "store/cells.h"
#include "store/evict.h"
#include "store/lock.h"

enum { MAX_JOBS = 4096, JOBS = 1600, SHARE = 16 };

/* ------------------------------------------------------- in the midst of a pass */

static struct {
  jt_store *store;
  int64_t retention;
} next;

/* Whoever changes the retention takes no lock. */
static void change_retention(void) {
  jt_store_set_retention(next.store, next.retention);
}

/* When the pass comes to a page that about half of the cells are before. */
static void change_in_the_midst(jt_store *store, int64_t retention) {
  next.store = store;
  next.retention = retention;
  midst_look(&store->cells[store->geometry.cells / 2], PROT_NONE, change_retention);
}

/* How many went by the pass. */
static uint64_t evict_while_retention_changes(int64_t from, int64_t to) {
  jt_store *store = region_make(MAX_JOBS, 4 * MAX_JOBS);
  for (uint32_t i = 0; i < JOBS; i++) create_finished(store, "old", i);
  CHECK_CODE(jt_store_set_retention(store, from), JT_OK);
  CHECK_CODE(jt_lock(store), JT_OK);
  change_in_the_midst(store, to);
  uint64_t removed = jt_evict(store, JT_NO_CELL, SHARE);
  CHECK(midst_happened());
  jt_unlock(store);
  CHECK_AUDIT(store);
  region_free(store);
  return removed;
}

/* If it went by two, one half of the index would be empty, and all that comes later would
   make the other half nearly full: searches there would take hundreds of cells. */
static void a_pass_goes_by_one_retention(void) {
  CHECK_INT(evict_while_retention_changes(0, JT_KEEP), JOBS);
  CHECK_INT(evict_while_retention_changes(JT_KEEP, 0), JOBS / SHARE);
}

/* The completed and the failed. Each pass looks at all cells: one that removed only a few
   would soon be followed by the next. */
static void a_pass_takes_its_share_of_all_that_have_finished(void) {
  for (uint32_t failed = 0; failed <= 2; failed++) {
    jt_store *store = region_make(MAX_JOBS, 4 * MAX_JOBS);
    for (uint32_t i = 0; i < JOBS; i++) {
      job_id id = create(store, "old", i);
      CHECK_CODE(set_status(store, &id, i % 2 < failed ? JT_FAILED : JT_COMPLETED),
                 JT_OK);
    }
    CHECK_CODE(jt_lock(store), JT_OK);
    CHECK_INT(jt_evict(store, JT_NO_CELL, SHARE), JOBS / SHARE);
    jt_unlock(store);
    CHECK_AUDIT(store);
    region_free(store);
  }
}

static const check_case cases[] = {
  CASE(a_pass_goes_by_one_retention),
  CASE(a_pass_takes_its_share_of_all_that_have_finished),
};
CHECK_MAIN(cases)
