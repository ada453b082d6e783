/*
** guard_test.c - files that are truncated while somebody reads them: the reader goes on,
** and says that the store is damaged. What is not ours still ends the process.
*/
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exercise.h"

enum {
  SIZE = 256 * 1024, JOBS = 400,
  USED = 72 * 1024                /* what the jobs of such a store reach to, at least */
};

/* A store full of jobs, and the file's path. */
static job_id make_file(const char **path) {
  unlink(check_path("store"));
  jt_store *store = file_store("store", SIZE, JOBS);
  job_id last = create(store, "first", 1);
  while (jt_create_numbered(store, "more", 4, (uint32_t)check_random()) == JT_OK)
    CHECK_CODE(set_result(store, &last, 300, 'r'), JT_OK);
  jt_store_close(store);
  *path = check_path("store");
  return last;
}

static void cut(const char *path, off_t size) {
  CHECK_INT(truncate(path, size), 0);
}

/* Each call once, where a page may be gone under any of them. */
static void check_cut(const char *path, const job_id *id, off_t size) {
  jt_store *reader = file_open(path, true);
  jt_summary summary;
  jt_key keys[8];
  size_t count;
  uint64_t upto;
  jt_job *job;
  const jt_filter all = { -1, { NULL, 0 }, 0 };
  CHECK(exists(reader, id));
  cut(path, size);
  jt_list(reader, &all, keys, 8, &count);
  exercise_reading(reader);
  CHECK_CODE(get(reader, id, &job), JT_CORRUPT);
  CHECK_CODE(jt_list(reader, &all, keys, 8, &count), JT_CORRUPT);
  CHECK_CODE(jt_changes(reader, 0, keys, 8, &count, &upto), JT_CORRUPT);
  CHECK_CODE(jt_summarize(reader, &summary), JT_CORRUPT);
  CHECK_CODE(jt_wait(reader, id->text, id->length, NULL, 1000000), JT_CORRUPT);
  jt_store_close(reader);
}

static void readers_survive_a_cut_anywhere(void) {
  for (off_t size = 0; size < USED; size += JT_PAGE) {
    const char *path;
    job_id id = make_file(&path);
    check_cut(path, &id, size);
  }
}

/* Whatever it is asked, also for a job that is still there. */
static void what_was_lost_is_told_from_then_on(void) {
  jt_store *store = file_store("store", SIZE, JOBS);
  job_id first = create(store, "first", 1), last = first;
  for (uint32_t i = 2; i < 300; i++) last = create(store, "more", i);
  uint64_t heap = (uint64_t)store->geometry.first_unit * JT_UNIT;
  jt_store_close(store);
  jt_store *reader = file_open(check_path("store"), true);
  jt_job *job;
  cut(check_path("store"), (off_t)(heap / JT_PAGE + 2) * JT_PAGE);
  CHECK(exists(reader, &first));
  CHECK_CODE(get(reader, &last, &job), JT_CORRUPT);
  CHECK_CODE(get(reader, &first, &job), JT_CORRUPT);
  jt_store_close(reader);
}

/* The one call that finds the page gone. */
static void each_call_may_be_the_first(void) {
  for (int call = 0; call < 7; call++) {
    const char *path;
    job_id id = make_file(&path);
    jt_store *reader = file_open(path, true);
    jt_key keys[8];
    size_t count;
    uint64_t upto, version;
    uint32_t dead;
    jt_job *job = NULL;
    jt_stats stats;
    jt_summary summary;
    const jt_filter all = { -1, { NULL, 0 }, 0 };
    cut(path, 0);
    switch (call) {
      case 0: CHECK_CODE(get(reader, &id, &job), JT_CORRUPT); break;
      case 1: CHECK_CODE(jt_list(reader, &all, keys, 8, &count), JT_CORRUPT); break;
      case 2:
        CHECK_CODE(jt_changes(reader, 0, keys, 8, &count, &upto), JT_CORRUPT);
        break;
      case 3:
        CHECK_CODE(jt_wait(reader, id.text, id.length, NULL, -1), JT_CORRUPT);
        break;
      case 4: jt_store_stats(reader, &stats), CHECK_INT(stats.jobs, 0); break;
      case 5: CHECK_CODE(jt_summarize(reader, &summary), JT_CORRUPT); break;
      default: jt_store_pulse(reader, &version, &dead), CHECK_INT(version, 0);
    }
    CHECK_CODE(get(reader, &id, &job), JT_CORRUPT);
    jt_store_close(reader);
  }
}

static void another_store_is_not_concerned(void) {
  const char *path;
  make_file(&path);
  jt_store *reader = file_open(path, true), *whole = file_store("whole", SIZE, JOBS);
  job_id there = create(whole, "there", 1);
  jt_store *view = file_open(check_path("whole"), true);
  cut(path, 0);
  exercise_reading(reader);
  CHECK(exists(whole, &there) && exists(view, &there));
  jt_store_close(reader);
  /* The next one may get the same guard: it has lost nothing. */
  jt_store *next = file_open(check_path("whole"), true);
  CHECK(exists(next, &there));
  jt_store_close(next);
  jt_store_close(view);
  jt_store_close(whole);
}

/* --------------------------------------------------------------- what is not ours */

static char *foreign_page(void) {
  int file = open(check_path("foreign"), O_RDWR | O_CREAT, 0600);
  CHECK_INT(ftruncate(file, JT_PAGE), 0);
  char *page = mmap(NULL, JT_PAGE, PROT_READ, MAP_SHARED, file, 0);
  CHECK(page != MAP_FAILED);
  CHECK_INT(ftruncate(file, 0), 0);
  close(file);
  return page;
}

static void open_a_reader(void) {
  const char *path;
  make_file(&path);
  CHECK(file_open(path, true) != NULL);
}

static void touch_foreign_page(void *context) {
  (void)context;
  signal(SIGBUS, SIG_DFL);
  open_a_reader();
  printf("%d\n", *(volatile char *)foreign_page());
}

static void receive_signal(void *context) {
  (void)context;
  signal(SIGBUS, SIG_DFL);
  open_a_reader();
  raise(SIGBUS);
}

static void check_dies_of_it(void (*of)(void *)) {
  int status = check_join(check_fork(of, NULL), CHECK_SECONDS);
  CHECK(WIFSIGNALED(status));
  CHECK_INT(WTERMSIG(status), SIGBUS);
}

static void others_bus_errors_end_the_process(void) {
  check_dies_of_it(touch_foreign_page);
  check_dies_of_it(receive_signal);
}

static void their_handler(int number) {
  _exit(number == SIGBUS ? 0 : 1);
}

static void touch_with_a_handler(void *context) {
  (void)context;
  signal(SIGBUS, their_handler);
  open_a_reader();
  printf("%d\n", *(volatile char *)foreign_page());
  _exit(2);
}

static void others_handlers_are_called(void) {
  CHECK_JOIN(check_fork(touch_with_a_handler, NULL));
}

/* ------------------------------------------------------------------------- others */

static unsigned count_mappings(void) {
  unsigned lines = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  for (int c; maps != NULL && (c = getc(maps)) != EOF;) lines += c == '\n';
  if (maps != NULL) fclose(maps);
  return lines;
}

static void guards_are_used_again(void) {
  const char *path;
  make_file(&path);
  jt_store_close(file_open(path, true));
  unsigned before = count_mappings();
  for (int i = 0; i < 1000; i++) jt_store_close(file_open(path, true));
  CHECK(count_mappings() < before + 20);
}

static const check_case cases[] = {
  CASE(readers_survive_a_cut_anywhere), CASE(what_was_lost_is_told_from_then_on),
  CASE(each_call_may_be_the_first),
  CASE(another_store_is_not_concerned), CASE(others_bus_errors_end_the_process),
  CASE(others_handlers_are_called), CASE(guards_are_used_again),
};
CHECK_MAIN(cases)
