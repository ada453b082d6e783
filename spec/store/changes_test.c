/*
** changes_test.c - which jobs have changed since a version, and lists in pages:
** compared with a look at every job.
*/
#include <stdlib.h>

#include "audit.h"
#include "deaths.h"
#include "runs.h"

enum { JOBS = 40 };

static const jt_filter any = { -1, { NULL, 0 }, 0 };

static jt_job *fetch(jt_store *store, const jt_key *key) {
  size_t needed = 0;
  jt_job nothing;
  CHECK_CODE(jt_get_listed(store, key, &any, &nothing, 0, &needed), JT_TOO_SMALL);
  jt_job *job = check_memory(needed);
  CHECK_CODE(jt_get_listed(store, key, &any, job, needed, &needed), JT_OK);
  return job;
}

static int ascending(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

/* The versions of all jobs that are greater than 'after', in order. */
static size_t expected_after(jt_store *store, uint64_t after, uint64_t versions[JOBS]) {
  size_t count = 0;
  for (uint32_t i = 0; i < JOBS; i++) {
    job_id id = id_of("job", i);
    jt_job *job;
    if (get(store, &id, &job) == JT_OK && job->version > after)
      versions[count++] = job->version;
    free(job);
  }
  qsort(versions, count, sizeof *versions, ascending);
  return count;
}

static uint64_t check_changes(jt_store *store, uint64_t after, size_t capacity) {
  uint64_t versions[JOBS], upto = 0, now = jt_store_version(store);
  jt_key keys[JOBS];
  size_t there = expected_after(store, after, versions), count = 0;
  CHECK_CODE(jt_changes(store, after, keys, capacity, &count, &upto), JT_OK);
  CHECK_INT(count, there < capacity ? there : capacity);
  for (size_t i = 0; i < count; i++) {
    CHECK_INT(keys[i].version, versions[i]);
    jt_job *job = fetch(store, &keys[i]);
    CHECK_INT(job->version, versions[i]);
    CHECK_INT(job->sequence, keys[i].sequence);
    free(job);
  }
  CHECK_INT(upto, there > capacity ? versions[capacity - 1] : now);
  return upto;
}

static void change_one(jt_store *store) {
  uint32_t number = (uint32_t)check_below(JOBS);
  job_id id = id_of("job", number);
  if (jt_create_numbered(store, "job", 3, number) == JT_OK) return;
  if (check_below(10) == 0) CHECK_CODE(erase(store, &id), JT_OK);
  else CHECK_CODE(set_result(store, &id, check_below(100), 'r'), JT_OK);
}

/* As if so many changes had come and gone. */
static void let_pass(jt_store *store, uint64_t changes) {
  jt_word *version = &store->header->version;
  jt_word_store(version, jt_word_load(version) + changes);
}

static void compare_randomly(uint64_t longest_jump) {
  jt_store *store = region_make(JOBS, 600);
  uint64_t marks[8] = { 0 };
  for (uint64_t i = 0; i < check_times(RUNS_CHANGES) && check_failures() == 0; i++) {
    uint64_t *mark = &marks[check_below(8)];
    for (uint64_t n = check_below(12); n > 0; n--) change_one(store);
    *mark = check_changes(store, *mark, 1 + check_below(check_below(2) ? 6 : JOBS));
    if (longest_jump > 0 && check_below(20) == 0)
      let_pass(store, check_below(longest_jump));
    if (check_below(50) == 0) *mark = check_below(jt_store_version(store) + 1);
  }
  CHECK_AUDIT(store);
  region_free(store);
}

static void all_that_has_changed(void) {
  compare_randomly(0);
}

/* A cell has 24 bits of a version, which come round. */
static void also_after_many_changes(void) {
  compare_randomly(UINT64_C(1) << 20);
  compare_randomly(UINT64_C(1) << 24);
  compare_randomly(UINT64_C(1) << 26);
}

/* Versions that differ by exactly what the bits cannot tell. */
static void also_at_the_edges_of_24_bits(void) {
  const uint64_t round = UINT64_C(1) << 24;
  for (uint64_t jump = round - 3; jump <= round + 3; jump++) {
    jt_store *store = region_make(JOBS, 600);
    job_id first = create(store, "job", 1), second = create(store, "job", 2);
    let_pass(store, jump);
    CHECK_CODE(set_status(store, &first, JT_RUNNING), JT_OK);
    for (uint64_t after = 0; after < 4; after++) check_changes(store, after, JOBS);
    for (uint64_t back = 0; back < 4; back++)
      check_changes(store, jt_store_version(store) - back, JOBS);
    CHECK_CODE(set_status(store, &second, JT_RUNNING), JT_OK);
    for (uint64_t after = 0; after < 4; after++) check_changes(store, after, JOBS);
    region_free(store);
  }
}

/* From another store, or from before it was made anew: the next call is right. */
static void a_version_that_is_not_yet(void) {
  jt_store *store = region_make(JOBS, 600);
  jt_key keys[2];
  size_t count = 7;
  uint64_t upto = 0;
  job_id id = create(store, "job", 1);
  CHECK_CODE(jt_changes(store, 1000, keys, 2, &count, &upto), JT_OK);
  CHECK_INT(count, 0);
  CHECK_INT(upto, jt_store_version(store));
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  CHECK_CODE(jt_changes(store, upto, keys, 2, &count, &upto), JT_OK);
  CHECK_INT(count, 1);
  CHECK_CODE(jt_changes(store, UINT64_MAX, keys, 2, &count, &upto), JT_OK);
  CHECK_INT(count, 0);
  CHECK_CODE(jt_changes(store, 0, keys, 0, &count, &upto), JT_OK);
  CHECK_INT(count, 0);
  CHECK_INT(upto, 0);
  region_free(store);
}

static void the_expired_are_left_out(void) {
  jt_store *store = region_make(JOBS, 600);
  jt_key keys[4];
  size_t count;
  uint64_t upto;
  create_finished(store, "done", 1);
  create(store, "job", 2);
  CHECK_CODE(jt_store_set_retention(store, 0), JT_OK);
  CHECK_CODE(jt_changes(store, 0, keys, 4, &count, &upto), JT_OK);
  CHECK_INT(count, 1);
  region_free(store);
}

/* ------------------------------------------------------------------- orphans */

/* Behind the changes, each time, and never in the way of these. */
static void orphans_are_among_them_every_time(void) {
  jt_store *store = region_make(JOBS, 600), view = region_view(store, true);
  mortal *m = mortal_make(store, DEATH_KILL);
  jt_key keys[JOBS];
  size_t count;
  uint64_t upto, last;
  for (uint32_t i = 0; i < 3; i++) mortal_gets(m, "mortal", i);
  mortal_begin(m);
  CHECK_CODE(jt_changes(&view, 0, keys, JOBS, &count, &upto), JT_OK);
  CHECK_INT(count, 3);
  CHECK_CODE(jt_changes(&view, upto, keys, JOBS, &count, &last), JT_OK);
  CHECK_INT(count, 0);
  mortal_end(m);
  for (int i = 0; i < 3; i++) {
    CHECK_CODE(jt_changes(&view, upto, keys, JOBS, &count, &last), JT_OK);
    CHECK_INT(count, 3);
    CHECK_INT(last, upto);
    jt_job *job = fetch(&view, &keys[0]);
    CHECK_INT(job->status, JT_FAILED);
    CHECK_INT(job->version, keys[0].version + 1);
    free(job);
  }
  uint64_t fresh[5];
  for (uint32_t i = 0; i < 5; i++) {
    create(store, "job", i);
    fresh[i] = jt_store_version(store);
  }
  for (uint32_t i = 0; i < 5; i += 2) {
    CHECK_CODE(jt_changes(&view, upto, keys, 2, &count, &upto), JT_OK);
    CHECK_INT(count, 2);
    CHECK_INT(keys[0].version, fresh[i]);
    CHECK_INT(upto, i == 4 ? jt_store_version(store) : fresh[i + 1]);
  }
  CHECK_CODE(jt_changes(store, upto, keys, JOBS, &count, &last), JT_OK);
  CHECK_INT(count, 3);
  CHECK_CODE(jt_changes(&view, last, keys, JOBS, &count, &upto), JT_OK);
  CHECK_INT(count, 0);
  region_free(store);
}

/* ------------------------------------------------------- while others write */

typedef struct follower {
  jt_store *store;
  _Atomic uint32_t ready, ending;
} follower;

static void write_on(void *context) {
  follower *f = context;
  check_reseed(77);
  atomic_store(&f->ready, 1);
  while (atomic_load(&f->ending) == 0) {
    uint32_t number = (uint32_t)check_below(JOBS);
    job_id id = id_of("job", number);
    CHECK_CODE(set_result(f->store, &id, check_below(200), 'w'), JT_OK);
  }
}

/* Who follows by 'upto' has seen the last change of every job at the end. */
static void nothing_is_missed(void) {
  follower *f = check_shared(sizeof *f);
  uint64_t seen[JOBS] = { 0 }, upto = 0, sequence[JOBS], scans = 0;
  f->store = region_make(JOBS, 2000);
  jt_store view = region_view(f->store, true);
  for (uint32_t i = 0; i < JOBS; i++) {
    create(f->store, "job", i);
    sequence[i] = jt_store_version(f->store);
  }
  pid_t writer = check_fork(write_on, f);
  CHECK_AWAIT(&f->ready, 1);
  for (bool last = false; !last && check_failures() == 0; scans++) {
    jt_key keys[JOBS];
    size_t count;
    uint64_t before = upto;
    if (jt_store_version(&view) > 30 * check_times(RUNS_CHANGES)) {
      atomic_store(&f->ending, 1);
      CHECK_JOIN(writer);
      last = true;
    }
    size_t capacity = last || check_below(2) ? JOBS : 1 + check_below(5);
    jt_code code = jt_changes(&view, upto, keys, capacity, &count, &upto);
    if (code == JT_BUSY) {
      upto = before;
      continue;
    }
    CHECK_CODE(code, JT_OK);
    CHECK(upto >= before);
    for (size_t i = 0; i < count; i++)
      for (uint32_t k = 0; k < JOBS; k++)
        if (sequence[k] == keys[i].sequence) {
          CHECK(keys[i].version > before && keys[i].version <= upto);
          seen[k] = keys[i].version;
        }
  }
  for (uint32_t i = 0; i < JOBS; i++) {
    job_id id = id_of("job", i);
    jt_job *job;
    CHECK_CODE(get(f->store, &id, &job), JT_OK);
    CHECK_INT(seen[i], job->version);
    free(job);
  }
  check_say("%llu scans", (unsigned long long)scans);
  region_free(f->store);
}

/* ---------------------------------------------------------------------- pages */

static void a_list_in_pages(void) {
  jt_store *store = region_make(JOBS, 600);
  for (uint32_t i = 0; i < JOBS; i++) {
    job_id id = create(store, i % 3 ? "job" : "other", i);
    if (i % 2) CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  }
  for (size_t page = 1; page < 9; page++) {
    jt_filter filter = { JT_RUNNING, text_of("job"), 0 };
    jt_key keys[10];
    size_t count, all = 0;
    uint64_t last = UINT64_MAX;
    do {
      CHECK_CODE(jt_list(store, &filter, keys, page, &count), JT_OK);
      for (size_t i = 0; i < count; i++) {
        CHECK(keys[i].sequence < last);
        last = keys[i].sequence;
        free(fetch(store, &keys[i]));
      }
      filter.before = last;
      all += count;
    } while (count == page);
    CHECK_INT(all, 13);
    filter.before = 1;
    CHECK_CODE(jt_list(store, &filter, keys, page, &count), JT_OK);
    CHECK_INT(count, 0);
  }
  region_free(store);
}

static const check_case cases[] = {
  CASE(all_that_has_changed), CASE(also_after_many_changes),
  CASE(also_at_the_edges_of_24_bits), CASE(a_version_that_is_not_yet),
  CASE(the_expired_are_left_out), CASE(orphans_are_among_them_every_time),
  CASE(nothing_is_missed), CASE(a_list_in_pages),
};
CHECK_MAIN(cases)
