/*
** evict_test.c - src/store/evict.c: a pass over the cells, how many it removes, and what
** becomes of it when the retention is changed by somebody else in its midst.
*/
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "audit.h"
#include "store/cells.h"
#include "store/evict.h"
#include "store/lock.h"

enum { MAX_JOBS = 4096, JOBS = 1600, SHARE = 16 };

/* ------------------------------------------------------- in the midst of a pass */

static struct {
  jt_store *store;
  unsigned char *page;            /* about half of the cells are before it */
  int64_t retention;
  volatile sig_atomic_t happened;
} next;

/* The first look at that page. Whoever changes the retention takes no lock. */
static void touched(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  unsigned char *at = info->si_addr;
  if (next.happened || at < next.page || at >= next.page + JT_PAGE) abort();
  next.happened = 1;
  mprotect(next.page, JT_PAGE, PROT_READ | PROT_WRITE);
  jt_store_set_retention(next.store, next.retention);
}

static void change_in_the_midst(jt_store *store, int64_t retention) {
  struct sigaction action = { .sa_sigaction = touched, .sa_flags = SA_SIGINFO };
  const jt_geometry *g = &store->geometry;
  unsigned char *middle = store->base + g->cells_at + g->cells / 2 * sizeof *store->cells;
  next.store = store;
  next.page = middle - (uintptr_t)middle % JT_PAGE;
  next.retention = retention;
  next.happened = 0;
  CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
  CHECK_INT(mprotect(next.page, JT_PAGE, PROT_NONE), 0);
}

/* How many went by the pass. */
static uint64_t evict_while_retention_changes(int64_t from, int64_t to) {
  jt_store *store = region_make(MAX_JOBS, 4 * MAX_JOBS);
  for (uint32_t i = 0; i < JOBS; i++) create_finished(store, "old", i);
  CHECK_CODE(jt_store_set_retention(store, from), JT_OK);
  CHECK_CODE(jt_lock(store), JT_OK);
  change_in_the_midst(store, to);
  uint64_t removed = jt_evict(store, JT_NO_CELL, SHARE);
  CHECK(next.happened);
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
