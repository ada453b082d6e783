/*
** reboot_test.c - a machine that went down while the kernel was writing a store file
** back: each page of the file is of an earlier moment or of a later one. Whoever opens
** it for writing gets what can be had: a job that was the same at both moments as it
** was, every other as it was at one of them, or not at all; and what a cell names and is
** not there is counted. A reader who comes first gets no other answers. (Regions in
** memory, and sectors: forged_test.c. Single bits: damage_test.c.)
*/
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "exercise.h"
#include "runs.h"
#include "store/cells.h"

enum { JOBS = 60, OWNED = 4, ALL = JOBS + OWNED, SIZE = 256 * 1024, MAX_JOBS = 80,
       MIXTURES = 4 };

typedef struct moment {
  unsigned char *bytes;
  jt_job *jobs[ALL];              /* NULL: there was none */
} moment;

static mortal *owner;             /* of the last jobs; it dies of the reboot */
static uint64_t served, lost, counted;

static job_id id_at(int i) {
  return i < JOBS ? id_of("torn", (uint32_t)i) : owner->jobs[i - JOBS];
}

/* ------------------------------------------------------------------- the moments */

static void work_on(jt_store *store) {
  for (uint64_t n = 20 + check_below(150); n > 0; n--) {
    job_id id = id_at((int)check_below(ALL));
    uint32_t number = (uint32_t)check_below(JOBS);
    size_t bytes = check_below(check_below(8) == 0 ? 9000 : 600);
    if (check_below(3) == 0) jt_create_numbered(store, "torn", 4, number);
    else set_result(store, &id, bytes, (char)check_random());
    id = id_at((int)number);
    if (check_below(8) == 0) erase(store, &id);
  }
}

static moment remember(jt_store *store) {
  moment m = { .bytes = check_memory(SIZE) };
  int file = open(check_path("store"), O_RDONLY | O_CLOEXEC);
  CHECK_INT(pread(file, m.bytes, SIZE, 0), SIZE);
  close(file);
  for (int i = 0; i < ALL; i++) {
    job_id id = id_at(i);
    get(store, &id, &m.jobs[i]);
  }
  return m;
}

static void forget(moment *m) {
  for (int i = 0; i < ALL; i++) free(m->jobs[i]);
  free(m->bytes);
}

/* Half of the pages are of one moment. */
static void mix(unsigned char *torn, const moment *before, const moment *after) {
  for (size_t at = 0; at < SIZE; at += JT_PAGE)
    memcpy(torn + at, (check_below(2) ? before : after)->bytes + at, JT_PAGE);
}

static void write_torn(const unsigned char *torn) {
  int file = open(check_path("torn"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK_INT(write(file, torn, SIZE), SIZE);
  close(file);
}

/* ---------------------------------------------------------------------- the checks */

static void check_owned(const jt_job *job) {
  CHECK_INT(job->status, JT_FAILED);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(owner->process, "Initializing"));
}

static void check_job(jt_store *store, int i, const moment *before, const moment *after) {
  const jt_job *old = before->jobs[i], *new = after->jobs[i];
  job_id id = id_at(i);
  jt_job *now;
  jt_code code = get(store, &id, &now);
  if (code != JT_OK) {
    CHECK(code == JT_NOT_FOUND || (code == JT_CORRUPT && jt_store_is_readonly(store)));
    CHECK(old == NULL || !job_same(old, new));
  } else if (i >= JOBS) {
    check_owned(now);
  } else {
    CHECK(job_same(now, old) || job_same(now, new));
  }
  if (code == JT_OK) served++;
  else lost += old != NULL && new != NULL;
  free(now);
}

static void check_jobs(jt_store *store, const moment *before, const moment *after) {
  for (int i = 0; i < ALL; i++) check_job(store, i, before, after);
}

static uint64_t count_cells(const jt_geometry *geometry, const unsigned char *bytes) {
  uint64_t count = 0, cell;
  for (uint32_t i = 0; i < geometry->cells; i++) {
    memcpy(&cell, bytes + geometry->cells_at + i * sizeof cell, sizeof cell);
    count += jt_cell_is_job(cell);
  }
  return count;
}

static uint64_t damaged_before(const unsigned char *bytes) {
  uint64_t damaged;
  memcpy(&damaged, bytes + offsetof(jt_header, damaged), sizeof damaged);
  return damaged;
}

/* What the cells of the file named is there, or was counted. */
static void check_counted(jt_store *store, const unsigned char *torn) {
  jt_stats stats;
  jt_store_stats(store, &stats);
  uint64_t dropped = stats.damaged - damaged_before(torn);
  CHECK_INT(stats.jobs + dropped, count_cells(&store->geometry, torn));
  counted += dropped;
}

static void check_damage_stays(uint64_t damaged) {
  jt_store *store = file_open(check_path("torn"), false);
  CHECK_INT(jt_word_load(&store->header->damaged), damaged);
  CHECK_AUDIT(store);
  jt_store_close(store);
}

static void check_torn(const unsigned char *torn, const moment *before,
                       const moment *after) {
  write_torn(torn);
  jt_store *store = file_open(check_path("torn"), true);
  check_jobs(store, before, after);
  exercise_reading(store);
  jt_store_close(store);
  store = file_open(check_path("torn"), false);
  CHECK_AUDIT(store);
  check_counted(store, torn);
  check_jobs(store, before, after);
  exercise(store);
  CHECK_AUDIT(store);
  uint64_t damaged = jt_word_load(&store->header->damaged);
  jt_store_close(store);
  check_damage_stays(damaged);
}

/* ------------------------------------------------------------------------ the cases */

static jt_store *begin(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  owner = mortal_make(store, DEATH_KILL);
  for (uint32_t i = 0; i < OWNED; i++) mortal_gets(owner, "owned", i);
  mortal_begin(owner);
  for (uint32_t i = 0; i < JOBS; i += 2) create(store, "torn", i);
  return store;
}

static void half_of_the_pages_are_old(void) {
  static unsigned char torn[SIZE];
  uint64_t rounds = check_times(RUNS_REBOOTS);
  jt_store *store = begin();
  for (uint64_t round = 0; round < rounds && check_failures() == 0; round++) {
    work_on(store);
    moment before = remember(store);
    work_on(store);
    moment after = remember(store);
    for (int n = 0; n < MIXTURES; n++) {
      mix(torn, &before, &after);
      check_torn(torn, &before, &after);
    }
    if (check_failures() > 0) check_say("in round %llu", (unsigned long long)round);
    forget(&before);
    forget(&after);
  }
  mortal_clear(owner);
  jt_store_close(store);
  check_say("%llu jobs were served, %llu of both moments were not; %llu cells were "
            "dropped and counted", (unsigned long long)served, (unsigned long long)lost,
            (unsigned long long)counted);
  CHECK(served > 0 && lost > 0 && counted > 0);
  check_prove(PROVE_REBOOTED, "half of the pages of a file are old", rounds * MIXTURES);
}

static const check_case cases[] = {
  { "half_of_the_pages_are_old", half_of_the_pages_are_old, 120 },
};
CHECK_MAIN(cases)
