/*
** midst_test.c - in what order a call does things, seen in its midst: a page is taken
** away, and who first touches it is looked at just then. (Killed there:
** kill_points_test.c, step_test.c. A pass of eviction: evict_test.c.)
*/
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "audit.h"
#include "deaths.h"
#include "store/cells.h"
#include "store/heap.h"
#include "store/record.h"

static struct {
  jt_store *store;
  unsigned char *page;
  void (*look)(void);
  volatile sig_atomic_t happened;
  uint32_t number;                /* of the job, and its id */
  job_id id;
  uint32_t unit;                  /* of the record that is written */
  uint64_t version;               /* what the store, or the record, said */
} midst;

static void touched(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  unsigned char *at = info->si_addr;
  if (midst.happened || at < midst.page || at >= midst.page + JT_PAGE) abort();
  midst.happened = 1;
  mprotect(midst.page, JT_PAGE, PROT_READ | PROT_WRITE);
  midst.look();
}

/* Once, at the next access to the page of 'at' that is not allowed. */
static void look_when_touched(jt_store *store, void *at, int allowed,
                              void (*look)(void)) {
  struct sigaction action = { .sa_sigaction = touched, .sa_flags = SA_SIGINFO };
  midst.store = store;
  midst.page = (unsigned char *)at - (uintptr_t)at % JT_PAGE;
  midst.look = look;
  midst.happened = 0;
  CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
  CHECK_INT(mprotect(midst.page, JT_PAGE, allowed), 0);
}

/* ------------------------------------------------------------------- a change */

static void read_the_stores_version(void) {
  midst.version = jt_store_version(midst.store);
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
  CHECK_CODE(jt_create_numbered(store, "job", 3, midst.number), JT_OK);
}

static void update_one(jt_store *store) {
  CHECK_CODE(set_status(store, &midst.id, JT_RUNNING), JT_OK);
}

static void delete_one(jt_store *store) {
  CHECK_CODE(erase(store, &midst.id), JT_OK);
}

/* Whoever polls it and sees it looks at once: what has changed must be there. */
static void the_cell_comes_before_the_stores_version(void) {
  void (*const calls[])(jt_store *store) = { create_one, update_one, delete_one };
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    jt_store *store = region_make(MAX_JOBS, 100);
    jt_word *cell;
    midst.number = number_in_the_middle(store, &cell);
    midst.id = id_of("job", midst.number);
    if (calls[i] != create_one) create_one(store);
    uint64_t before = jt_store_version(store);
    look_when_touched(store, cell, PROT_READ, read_the_stores_version);
    calls[i](store);
    CHECK(midst.happened);
    CHECK_INT(midst.version, before);
    CHECK_INT(jt_store_version(store), before + 1);
    CHECK_AUDIT(store);
    region_free(store);
  }
}

static void read_the_records_version(void) {
  midst.version = jt_word_load(jt_unit_words(midst.store, midst.unit) +
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
  midst.number = 1;
  midst.id = id_of("job", 1);
  midst.unit = next_record_on_two_pages(store);
  midst.version = UINT64_MAX;
  look_when_touched(store, (void *)jt_unit_words(store, midst.unit + 1), PROT_READ,
                    read_the_records_version);
  create_one(store);
  CHECK(midst.happened);
  CHECK_INT(midst.version, 0);
  read_the_records_version();
  CHECK_INT(midst.version, jt_store_version(store));
  CHECK(exists(store, &midst.id));
  CHECK_NO(audit_allowing(store, AUDIT_LEAKS));
  region_free(store);
}

/* --------------------------------------------------------------------- a read */

enum { BYTES = 3 * JT_PAGE };

/* Another has its units, and has written there. */
static void let_another_follow(void) {
  CHECK_CODE(erase(midst.store, &midst.id), JT_OK);
  job_id other = create(midst.store, "other", 2);
  CHECK_CODE(set_result(midst.store, &other, BYTES, 'o'), JT_OK);
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
  midst.id = m->jobs[0];
  void *middle = (void *)jt_unit_words(store, store->geometry.end_unit -
                                              BYTES / JT_UNIT / 2);
  jt_job *job;
  look_when_touched(store, middle, PROT_NONE, let_another_follow);
  CHECK_CODE(get(&view, &midst.id, &job), JT_NOT_FOUND);
  CHECK(midst.happened);
  CHECK_AUDIT(store);
  free(job);
  region_free(store);
}

static const check_case cases[] = {
  CASE(the_cell_comes_before_the_stores_version),
  CASE(a_records_version_is_its_last_word), CASE(an_orphan_is_looked_at_again),
};
CHECK_MAIN(cases)
