/*
** signals_test.c - signals in a storm: a handler that does nothing is called every few
** hundred microseconds, whatever the store is at, and no system call is restarted. So a
** profiler, or a timer of the program's own, is no reason to fail or to hang. (A single
** EINTR of each call of an opening: fault_test.c.)
*/
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "audit.h"
#include "runs.h"

enum { SIZE = 256 * 1024, LARGE = 192 << 20 };

static volatile sig_atomic_t signals;

static void count(int number) {
  (void)number;
  signals++;
}

static void storm_begin(int microseconds) {
  const struct itimerval often = { { 0, microseconds }, { 0, microseconds } };
  struct sigaction action = { .sa_handler = count };
  CHECK_INT(sigaction(SIGALRM, &action, NULL), 0);
  CHECK_INT(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void storm_end(void) {
  const struct itimerval never = { { 0, 0 }, { 0, 0 } };
  setitimer(ITIMER_REAL, &never, NULL);
}

/* ------------------------------------------------------------------ a large file */

static off_t between_signals;     /* how much can be reserved; 0: all there is */
static uint64_t interrupted;

/*
** In place of the C library's. In older kernels tmpfs gives back what it has reserved
** of a call when a signal comes: more than there is time for is never done. This plays
** it, whatever the kernel is.
*/
__attribute__((visibility("default")))
int posix_fallocate(int file, off_t from, off_t size) {
  if (between_signals == 0 || size <= between_signals)
    return syscall(SYS_fallocate, file, 0, from, size) == 0 ? 0 : errno;
  return interrupted++ < 100000 ? EINTR : ETIME;
}

static void check_large(jt_store *store, const char *path) {
  struct stat status;
  job_id id = create(store, "large", 1);
  CHECK(exists(store, &id));
  CHECK_INT(stat(path, &status), 0);
  CHECK(status.st_blocks * INT64_C(512) >= LARGE);
  CHECK_INT(status.st_size, LARGE);
  jt_store_close(store);
}

static void a_large_file_is_made(void) {
  check_mount(check_path("folder"), 200);
  storm_begin(500);
  jt_store *store = file_store("folder/store", LARGE, 1000);
  storm_end();
  CHECK(signals > 0);
  check_large(store, check_path("folder/store"));
  check_prove(PROVE_REFUSED, "signals while a large file is made", (uint64_t)signals);
}

static void a_large_file_is_made_piece_by_piece(void) {
  between_signals = 100000;
  check_large(file_store("store", LARGE, 1000), check_path("store"));
  CHECK(interrupted > 0);
  check_prove(PROVE_REFUSED, "what is reserved is given back at a signal", interrupted);
}

/* ---------------------------------------------------------------------- each call */

static void open_use_and_close(uint32_t number) {
  jt_store *store = file_store("store", SIZE, 100);
  job_id id = create(store, "job", number);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  CHECK_CODE(set_result(store, &id, 5000, 'r'), JT_OK);
  jt_store *reader = file_open(check_path("store"), true);
  CHECK(exists(reader, &id));
  jt_store_close(reader);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  CHECK_CODE(erase(store, &id), JT_OK);
  jt_store_close(store);
}

static void every_call_does_what_it_does(void) {
  double until = check_now() + 0.5;
  uint64_t rounds = 0, least = check_times(RUNS_SIGNALLED);
  storm_begin(100);
  for (; rounds < least || check_now() < until; rounds++) {
    open_use_and_close((uint32_t)rounds);
    if (check_failures() > 0) break;
  }
  storm_end();
  CHECK(signals > 0);
  jt_store *store = file_open(check_path("store"), false);
  CHECK_AUDIT(store);
  jt_store_close(store);
  check_say("%llu rounds", (unsigned long long)rounds);
  check_prove(PROVE_REFUSED, "signals while stores are opened and used",
              (uint64_t)signals);
}

/* A wait is interrupted, and says so; who calls it again is told in time. */
static void a_wait_ends_in_time(void) {
  jt_store *store = file_store("store", SIZE, 100);
  job_id id = create(store, "job", 1);
  uint64_t interruptions = 0;
  double start = check_now(), limit = start + 0.3;
  jt_code code;
  storm_begin(2000);
  do {
    double left = limit - check_now();
    int64_t timeout = left > 0 ? (int64_t)(left * 1e6) : 0;
    code = jt_wait(store, id.text, id.length, NULL, timeout);
    interruptions += code == JT_INTERRUPTED;
  } while (code == JT_INTERRUPTED);
  storm_end();
  CHECK_CODE(code, JT_TIMEOUT);
  CHECK(check_now() - start > 0.29 && check_now() - start < 10);
  CHECK(interruptions > 0);
  jt_store_close(store);
  check_prove(PROVE_REFUSED, "signals while one waits for a job", interruptions);
}

/* ------------------------------------------------------------------------ the lock */

/* The time limit is neither cut short by signals nor begun anew by each. */
static void the_locks_time_is_kept(void) {
  jt_store *store = file_store("store", SIZE, 100);
  job_id id = create(store, "job", 1);
  pid_t stopped = stopped_holder(store);
  double start = check_now();
  storm_begin(500);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_BUSY);
  storm_end();
  CHECK(check_now() - start > 0.9 * JT_LOCK_SECONDS);
  CHECK(check_now() - start < JT_LOCK_SECONDS + 5);
  CHECK(signals > 0);
  check_kill(stopped);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  CHECK_AUDIT(store);
  jt_store_close(store);
  check_prove(PROVE_REFUSED, "signals while a stopped process holds the lock",
              (uint64_t)signals);
}

static const check_case cases[] = {
  CASE(a_large_file_is_made), CASE(a_large_file_is_made_piece_by_piece),
  CASE(every_call_does_what_it_does), CASE(a_wait_ends_in_time),
  CASE(the_locks_time_is_kept),
};
CHECK_MAIN(cases)
