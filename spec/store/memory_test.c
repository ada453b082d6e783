/*
** memory_test.c - the store in memory: one for the process and its children,
** configured before its first use.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"

static jt_error error;

static jt_store *memory(void) {
  jt_store *store = jt_store_memory(&error);
  if (!CHECK(store != NULL)) exit(EXIT_FAILURE);
  return store;
}

static jt_stats stats_of(jt_store *store) {
  jt_stats stats;
  jt_store_stats(store, &stats);
  return stats;
}

static void check_configured(const jt_options *options, jt_code expected, uint64_t size,
                             uint64_t max_jobs) {
  CHECK_CODE(jt_store_configure(options, &error), expected);
  if (expected != JT_OK) CHECK_CODE(error.code, expected);
  CHECK_INT(stats_of(memory()).size, size);
  CHECK_INT(stats_of(memory()).max_jobs, max_jobs);
}

static long resident_pages(void) {
  long total = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld %ld", &total, &resident) == 2);
  if (file != NULL) fclose(file);
  return resident;
}

static void has_defaults_and_is_not_touched(void) {
  long before = resident_pages();
  jt_store *store = memory();
  jt_stats stats = stats_of(store);
  CHECK_INT(stats.size, JT_MEMORY_SIZE);
  CHECK_INT(stats.max_jobs, JT_MEMORY_JOBS);
  CHECK_INT(stats.retention, JT_KEEP);
  CHECK(!jt_store_is_readonly(store));
  CHECK(memory() == store);
  for (uint32_t i = 0; i < 100; i++) create(store, "job", i);
  CHECK((resident_pages() - before) * sysconf(_SC_PAGESIZE) < 8 << 20);
}

static void is_configured_before_its_first_use(void) {
  const uint64_t mib = 1 << 20;
  const jt_options two = { .size = 2 * mib, .max_jobs = 100 };
  const jt_options four = { .size = 4 * mib, .max_jobs = 100 };
  check_configured(&two, JT_OK, 2 * mib, 100);
  check_configured(&four, JT_OK, 4 * mib, 100);
  check_configured(&(jt_options){ .size = 8 * mib }, JT_OK, 8 * mib, 100);
  check_configured(&(jt_options){ .max_jobs = 70 }, JT_OK, 8 * mib, 70);
  check_configured(&(jt_options){ 0 }, JT_OK, 8 * mib, 70);
  check_configured(&(jt_options){ .size = 9000 }, JT_INCOMPATIBLE, 8 * mib, 70);
  check_configured(&(jt_options){ .max_jobs = 1 << 28 }, JT_INCOMPATIBLE, 8 * mib, 70);
  CHECK(memory()->unverified);    /* so that an audit wants no checksums */
  CHECK_AUDIT(memory());
}

static void a_size_alone_brings_its_jobs(void) {
  check_configured(&(jt_options){ .size = 8 << 20 }, JT_OK, 8 << 20, (8 << 20) / 512);
}

static void keeps_its_shape_once_it_is_used(void) {
  const jt_options shape = { .size = 1 << 20, .max_jobs = 100 };
  check_configured(&shape, JT_OK, 1 << 20, 100);
  job_id id = create(memory(), "job", 1);
  check_configured(&shape, JT_OK, 1 << 20, 100);          /* as a reload does */
  check_configured(&(jt_options){ .size = 1 << 20 }, JT_OK, 1 << 20, 100);
  check_configured(&(jt_options){ .max_jobs = 100 }, JT_OK, 1 << 20, 100);
  check_configured(&(jt_options){ .size = 2 << 20 }, JT_IN_USE, 1 << 20, 100);
  CHECK(strstr(error.message, "in use") != NULL);
  check_configured(&(jt_options){ .max_jobs = 101 }, JT_IN_USE, 1 << 20, 100);
  CHECK(exists(memory(), &id));
  /* Used, also when nothing is left of it. */
  CHECK_CODE(erase(memory(), &id), JT_OK);
  check_configured(&(jt_options){ .size = 2 << 20 }, JT_IN_USE, 1 << 20, 100);
}

static void retention_may_change_at_any_time(void) {
  jt_options options = { .size = 1 << 20, .max_jobs = 100, .has_retention = true };
  options.retention = 5000000;
  check_configured(&options, JT_OK, 1 << 20, 100);
  CHECK_INT(stats_of(memory()).retention, 5000000);
  job_id id = create_finished(memory(), "job", 1);
  CHECK(exists(memory(), &id));
  const jt_options now = { .has_retention = true, .retention = 0 };
  check_configured(&now, JT_OK, 1 << 20, 100);
  CHECK(!exists(memory(), &id));
  const jt_options keep = { .has_retention = true, .retention = JT_KEEP };
  check_configured(&keep, JT_OK, 1 << 20, 100);
  CHECK(exists(memory(), &id));
  const jt_options other = { .size = 2 << 20, .has_retention = true, .retention = 7 };
  check_configured(&other, JT_IN_USE, 1 << 20, 100);
  CHECK_INT(stats_of(memory()).retention, JT_KEEP);       /* all or nothing */
}

/* ------------------------------------------------------------------- children */

static void use_in_child(void *context) {
  const job_id *id = context;
  CHECK(exists(memory(), id));
  CHECK_CODE(set_result(memory(), id, 50, 'c'), JT_OK);
  create(memory(), "child", 1);
  check_configured(&(jt_options){ .size = 2 << 20 }, JT_IN_USE, 1 << 20, 100);
}

static void children_share_it(void) {
  const jt_options shape = { .size = 1 << 20, .max_jobs = 100 };
  check_configured(&shape, JT_OK, 1 << 20, 100);
  job_id id = create(memory(), "job", 1), made = id_of("child", 1);
  CHECK_JOIN(check_fork(use_in_child, &id));
  jt_job *job;
  CHECK_CODE(get(memory(), &id, &job), JT_OK);
  CHECK_INT(jt_job_part(job, JT_RESULT).length, 50);
  free(job);
  CHECK(exists(memory(), &made));
  CHECK_AUDIT(memory());
}

/* A child must not exchange what its parent and its siblings have. */
static void configure_in_child(void *context) {
  (void)context;
  check_configured(&(jt_options){ .size = 2 << 20 }, JT_IN_USE, 1 << 20, 100);
}

static void a_child_cannot_replace_it(void) {
  const jt_options shape = { .size = 1 << 20, .max_jobs = 100 };
  check_configured(&shape, JT_OK, 1 << 20, 100);
  CHECK_JOIN(check_fork(configure_in_child, NULL));
  create(memory(), "job", 1);
}

static void make_in_child(void *context) {
  job_id none = id_of("job", 1);
  (void)context;
  CHECK(!exists(memory(), &none));
  create(memory(), "job", 1);
  CHECK_INT(stats_of(memory()).jobs, 1);
}

/* Forked before the first use, each has its own. */
static void strangers_do_not_share_it(void) {
  CHECK_JOIN(check_fork(make_in_child, NULL));
  make_in_child(NULL);
}

/* A child that dies holding the lock is recovered from like anybody. */
static void die_with_lock(void *context) {
  (void)context;
  CHECK_INT(pthread_mutex_lock(&memory()->header->lock), 0);
  memory()->bitmap[2] = 0xff;
}

static void a_dead_child_is_recovered_from(void) {
  const jt_options shape = { .size = 1 << 20, .max_jobs = 100 };
  CHECK_CODE(jt_store_configure(&shape, &error), JT_OK);
  job_id id = create(memory(), "job", 1);
  CHECK_JOIN(check_fork(die_with_lock, NULL));
  CHECK_CODE(set_status(memory(), &id, JT_RUNNING), JT_OK);
  CHECK_INT(stats_of(memory()).recoveries, 1);
  CHECK_AUDIT(memory());
}

static const check_case cases[] = {
  CASE(has_defaults_and_is_not_touched), CASE(is_configured_before_its_first_use),
  CASE(a_size_alone_brings_its_jobs), CASE(keeps_its_shape_once_it_is_used),
  CASE(retention_may_change_at_any_time),
  CASE(children_share_it), CASE(a_child_cannot_replace_it),
  CASE(strangers_do_not_share_it), CASE(a_dead_child_is_recovered_from),
};
CHECK_MAIN(cases)
