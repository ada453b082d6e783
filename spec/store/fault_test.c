/*
** fault_test.c - the system says no: each call that opening makes fails in turn, with one
** error after the other; a file system that became read-only; a clock that jumps. (Full
** disks and no descriptors: file_test.c. Memory of the binding: lua_memory_test.c.
** Stopped and killed processes: kill_test.c. Half-written pages: reboot_test.c. Signals:
** signals_test.c. Another pid namespace: opening_test.c.)
**
** A program's own functions come before the C library's: those below are what the store
** calls.
*/
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "exercise.h"

/* ------------------------------------------------------------------------ faults */

static struct {
  long left;                      /* calls that still succeed; -1: all do */
  int number;                     /* then one fails, of that */
  int64_t clock;                  /* seconds that the clock of the day is off */
  size_t touched;                 /* bytes that madvise was asked for */
  mortal *dies;                   /* when somebody next looks at the clock */
} fault = { .left = -1 };

static bool fails(void) {
  if (fault.left < 0 || fault.left-- > 0) return false;
  errno = fault.number;
  return true;
}

/* Whether the fault has come. */
static bool came(void) {
  return fault.left < 0;
}

#define OURS __attribute__((visibility("default")))

OURS int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = va_arg(arguments, int);
  va_end(arguments);
  return fails() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

OURS int fcntl(int file, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  return fails() ? -1 : (int)syscall(SYS_fcntl, file, command, argument);
}

OURS ssize_t pread(int file, void *to, size_t size, off_t from) {
  return fails() ? -1 : syscall(SYS_pread64, file, to, size, from);
}

OURS ssize_t pwrite(int file, const void *from, size_t size, off_t to) {
  return fails() ? -1 : syscall(SYS_pwrite64, file, from, size, to);
}

OURS int ftruncate(int file, off_t size) {
  return fails() ? -1 : (int)syscall(SYS_ftruncate, file, size);
}

OURS int fchmod(int file, mode_t mode) {
  return fails() ? -1 : (int)syscall(SYS_fchmod, file, mode);
}

OURS off_t lseek(int file, off_t to, int whence) {
  return fails() ? -1 : syscall(SYS_lseek, file, to, whence);
}

OURS int posix_fallocate(int file, off_t from, off_t size) {
  if (fails()) return fault.number;
  return syscall(SYS_fallocate, file, 0, from, size) == 0 ? 0 : errno;
}

OURS int fstat(int file, struct stat *status) {
  return fails() ? -1 : fstatat(file, "", status, AT_EMPTY_PATH);
}

OURS void *mmap(void *at, size_t size, int access, int flags, int file, off_t from) {
  if (fails()) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, size, access, flags, file, from);
}

OURS int madvise(void *at, size_t size, int advice) {
  fault.touched += size;
  return fails() ? -1 : (int)syscall(SYS_madvise, at, size, advice);
}

/* A sanitizer takes over the C library's memory itself. */
#if !CHECK_SANITIZED
void *__libc_calloc(size_t count, size_t size);

OURS void *calloc(size_t count, size_t size) {
  return fails() ? NULL : __libc_calloc(count, size);
}
#endif

OURS int clock_gettime(clockid_t clock, struct timespec *now) {
  mortal *dies = fault.dies;
  fault.dies = NULL;
  if (dies != NULL) mortal_end(dies);
  int failed = (int)syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
    now->tv_sec += fault.clock;
  return failed;
}

/* ----------------------------------------------------------------------- opening */

/* Not EACCES and EAGAIN: of a lock they say that somebody else has it. */
static const int numbers[] = { EINTR, EIO, EPERM, ENOSPC, EMFILE, ENOMEM, ENOLCK,
                               EROFS };

enum { NUMBERS = sizeof numbers / sizeof numbers[0], SIZE = 64 * 1024 };

static int lowest_descriptor(void) {
  int file = dup(0);
  close(file);
  return file;
}

/* Opens, and one call fails. False: there was none left to fail. */
static bool open_with_fault(const jt_options *options, long after, int number,
                            jt_store **store) {
  jt_error error = { JT_OK, "" };
  int before = lowest_descriptor();
  fault.left = after;
  fault.number = number;
  jt_code code = jt_store_open(check_path("store"), options, store, &error);
  bool done = came();
  fault.left = -1;
  if (code == JT_OK) return done;
  CHECK(*store == NULL);
  CHECK_CODE(code, number == ENOSPC ? JT_NO_SPACE : JT_IO);
  CHECK(strstr(error.message, check_path("store")) != NULL);
  CHECK(strstr(error.message, strerror(number)) != NULL);
  CHECK_INT(lowest_descriptor(), before);
  return done;
}

static uint64_t incarnation(const jt_store *store) {
  return jt_word_load(&store->header->incarnation);
}

/* What an opening that went well in spite of it has got. */
static void check_opened(jt_store *store, uint64_t openings) {
  if (store == NULL) return;
  CHECK_AUDIT(store);
  if (!jt_store_is_readonly(store)) CHECK_INT(incarnation(store), openings + 1);
  jt_store_close(store);
}

/* Afterwards it is as if that opening had not been. */
static uint64_t check_as_before(const job_id *id) {
  jt_store *store = file_open(check_path("store"), false);
  uint64_t openings = incarnation(store);
  CHECK(exists(store, id));
  CHECK_AUDIT(store);
  jt_store_close(store);
  return openings;
}

static void fail_each_call(const jt_options *options, const char *method) {
  uint64_t tried = 0;
  jt_store *store = file_store("store", SIZE, 20);
  job_id id = create(store, "kept", 1);
  jt_store_close(store);
  uint64_t openings = check_as_before(&id);
  for (int i = 0; i < NUMBERS; i++) {
    long after = 0;
    for (; open_with_fault(options, after, numbers[i], &store); after++) {
      check_opened(store, openings);
      openings = check_as_before(&id);
    }
    CHECK(after > 2 && after < 100);
    tried += (uint64_t)after;
    check_opened(store, openings);
    openings = check_as_before(&id);
  }
  check_prove(PROVE_REFUSED, method, tried);
}

static void each_call_of_a_writer(void) {
  fail_each_call(&(jt_options){ .size = 0 }, "opening: each call, with each error");
}

static void each_call_of_a_reader(void) {
  fail_each_call(&(jt_options){ .readonly = true },
                 "opening read-only: each call, with each error");
}

/* So that nobody has to wait for them under the lock. */
static void who_makes_a_file_touches_its_first_pages(void) {
  unsigned char resident;
  fault.touched = 0;
  jt_store *store = file_store("store", SIZE, 20);
  const jt_geometry *g = &store->geometry;
  CHECK_INT(fault.touched, g->size - g->cells_at / JT_PAGE * JT_PAGE);
  void *last = store->base + g->size / JT_PAGE * JT_PAGE - JT_PAGE;
  CHECK(mincore(last, 1, &resident) == 0 && resident & 1);
  jt_store_close(store);
  CHECK_INT(unlink(check_path("store")), 0);
  fault.touched = 0;
  store = file_store("store", 64 << 20, 20);
  CHECK_INT(fault.touched, 4 << 20);
  jt_store_close(store);
  CHECK_INT(unlink(check_path("store")), 0);
}

/* A file left half made is made by the next. */
static void each_call_of_a_maker(void) {
  const jt_options options = { .size = SIZE, .max_jobs = 20 };
  jt_store *store;
  uint64_t tried = 0;
  for (int i = 0; i < NUMBERS; i++)
    for (long after = 0;; after++, tried++) {
      bool more = open_with_fault(&options, after, numbers[i], &store);
      if (store != NULL) jt_store_close(store);
      store = file_store("store", SIZE, 20);
      create(store, "new", 1);
      CHECK_AUDIT(store);
      jt_store_close(store);
      CHECK_INT(unlink(check_path("store")), 0);
      if (!more) break;
    }
  check_prove(PROVE_REFUSED, "making a file: each call, with each error", tried);
}

/* ------------------------------------------------------------- short of memory */

typedef struct attempt {
  long after;
  _Atomic uint32_t came;
} attempt;

static void read_what_is_cut(void *context) {
  attempt *a = context;
  jt_store *store;
  job_id id = id_of("kept", 1);
  const jt_options options = { .readonly = true };
  atomic_store(&a->came, open_with_fault(&options, a->after, ENOMEM, &store));
  if (store == NULL) return;
  CHECK_INT(truncate(check_path("store"), 0), 0);
  CHECK(jt_wait(store, id.text, id.length, NULL, 20000) != JT_OK);
  exercise_reading(store);
  jt_store_close(store);
}

/* Each in a process of its own, which has made no guard yet. */
static void a_reader_who_could_do_without_survives_a_cut(void) {
  attempt *a = check_shared(sizeof *a);
  for (atomic_store(&a->came, 1); atomic_load(&a->came); a->after++) {
    unlink(check_path("store"));
    jt_store *store = file_store("store", SIZE, 20);
    create(store, "kept", 1);
    jt_store_close(store);
    if (!CHECK_JOIN(check_fork(read_what_is_cut, a))) break;
  }
  CHECK(a->after > 5 && a->after < 100);
  check_prove(PROVE_REFUSED, "a reader short of memory, its file truncated",
              (uint64_t)a->after);
}

/* The store in memory: NULL and a word, and the next to ask gets it. */
static uint64_t make_with_faults(void) {
  long after = 0;
  jt_store *store = NULL;
  while (store == NULL && after < 100) {
    jt_error error = { JT_OK, "" };
    fault.left = after++;
    fault.number = ENOMEM;
    store = jt_store_memory(&error);
    fault.left = -1;
    if (store != NULL) break;
    CHECK_CODE(error.code, JT_NO_SPACE);
    CHECK(error.message[0] != '\0');
  }
  CHECK(store != NULL && after > 1);
  return (uint64_t)after;
}

/* What cannot be replaced stays. */
static uint64_t replace_with_faults(void) {
  const jt_options wanted = { .size = 1 << 20, .max_jobs = 50 };
  jt_store *before = jt_store_memory(NULL);
  long after = 0;
  jt_code code = JT_NO_SPACE;
  while (code != JT_OK && after < 100) {
    jt_error error = { JT_OK, "" };
    fault.left = after++;
    code = jt_store_configure(&wanted, &error);
    fault.left = -1;
    if (code == JT_OK) break;
    CHECK_CODE(code, JT_NO_SPACE);
    CHECK(jt_store_memory(NULL) == before);
  }
  CHECK(jt_store_memory(NULL) != before && after > 1);
  return (uint64_t)after;
}

static void the_store_in_memory_is_refused(void) {
  uint64_t tried = make_with_faults() + replace_with_faults();
  jt_store *store = jt_store_memory(NULL);
  job_id id = create(store, "kept", 1);
  CHECK(exists(store, &id));
  CHECK_INT(store->geometry.max_jobs, 50);
  CHECK_AUDIT(store);
  check_prove(PROVE_REFUSED, "memory store: each allocation", tried);
}

/* ------------------------------------------------------------ a read-only folder */

static void a_file_system_that_may_not_be_written(void) {
  jt_store *store;
  jt_error error;
  const jt_options options = { .size = 0 };
  check_mount(check_path("folder"), 1);
  store = file_store("folder/store", SIZE, 20);
  job_id id = create(store, "kept", 1);
  jt_store_close(store);
  CHECK_INT(mount(NULL, check_path("folder"), NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
  CHECK_CODE(jt_store_open(check_path("folder/store"), &options, &store, &error), JT_IO);
  CHECK(strstr(error.message, strerror(EROFS)) != NULL);
  CHECK_CODE(jt_store_open(check_path("folder/new"), &options, &store, &error), JT_IO);
  store = file_open(check_path("folder/store"), true);
  CHECK(exists(store, &id));
  CHECK_CODE(jt_wait(store, id.text, id.length, NULL, 50000), JT_TIMEOUT);
  jt_store_close(store);
  check_prove(PROVE_REFUSED, "a read-only file system: opening, making, reading", 3);
}

/* --------------------------------------------------------------------- the clock */

static jt_job *read_job(jt_store *store, const job_id *id) {
  jt_job *job;
  CHECK_CODE(get(store, id, &job), JT_OK);
  return job;
}

/* Whichever way it jumps: a job's times never go back, and versions go on. */
static void the_clock_jumps(void) {
  static const int64_t jumps[] = { 86400, -86400, -1000000000, 0, 3000000000, -5000000000,
                                   200000000000, 0 };
  jt_store *store = file_store("store", SIZE, 20);
  job_id id = create(store, "clock", 1);
  for (size_t i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
    jt_job *before = read_job(store, &id);
    fault.clock = jumps[i];
    CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
    jt_job *after = read_job(store, &id);
    CHECK(after->updated_at > before->updated_at && after->version > before->version);
    CHECK_INT(after->created_at, before->created_at);
    CHECK(after->started_at >= after->created_at);
    free(before), free(after);
  }
  fault.clock = -86400;
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  jt_job *done = read_job(store, &id);
  CHECK(done->finished_at >= done->started_at);
  free(done);
  CHECK_AUDIT(store);
  jt_store_close(store);
  check_prove(PROVE_CLOCK, "updates while it jumps", sizeof jumps / sizeof jumps[0] + 1);
}

/* A finished job, of which everything may have happened in the same microsecond. */
static void check_order(jt_store *store, const job_id *id, bool began) {
  jt_job *job = read_job(store, id);
  int64_t begun = began ? job->started_at : job->created_at;
  CHECK(jt_status_finished(job->status) && (job->started_at != 0) == began);
  CHECK(job->created_at <= begun && begun <= job->finished_at);
  CHECK(job->finished_at <= job->updated_at);
  free(job);
}

/* Set back before each step: one takes no time then, rather than less. */
static void no_step_ends_before_it_begins(void) {
  jt_store *store = file_store("store", SIZE, 20);
  job_id ran = create(store, "ran", 1), failed = create(store, "failed", 2);
  job_id cancelled = create(store, "cancelled", 3);
  fault.clock = -86400;
  CHECK_CODE(set_status(store, &ran, JT_RUNNING), JT_OK);
  CHECK_CODE(set_status(store, &failed, JT_FAILED), JT_OK);
  CHECK_CODE(jt_cancel(store, cancelled.text, cancelled.length, text_of("why")), JT_OK);
  fault.clock = 2 * -86400;
  CHECK_CODE(set_status(store, &ran, JT_COMPLETED), JT_OK);
  check_order(store, &ran, true);
  check_order(store, &failed, false);
  check_order(store, &cancelled, false);
  jt_store_close(store);
  check_prove(PROVE_CLOCK, "jobs that begin or end when it has been set back", 3);
}

/* Before 1970, after 9999: the job says another time, but it is there. */
static void a_clock_that_no_job_can_have(void) {
  static const int64_t jumps[] = { -5000000000, 252000000000, 300000000000 };
  enum { JUMPS = sizeof jumps / sizeof jumps[0] };
  jt_store *store = file_store("store", SIZE, 20);
  for (uint32_t i = 0; i < JUMPS; i++) {
    fault.clock = jumps[i];
    job_id id = create(store, "clock", i);
    CHECK(exists(store, &id));
    CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
    CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
    CHECK(exists(store, &id));
    CHECK_AUDIT(store);
  }
  fault.clock = 0;
  jt_store_close(store);
  check_prove(PROVE_CLOCK, "jobs of a day that is none", JUMPS);
}

static void a_wait_does_not_look_at_the_day(void) {
  jt_store *store = file_store("store", SIZE, 20);
  job_id id = create(store, "clock", 1);
  for (int64_t jump = -86400; jump <= 86400; jump += 86400) {
    fault.clock = jump;
    double start = check_now();
    CHECK_CODE(jt_wait(store, id.text, id.length, NULL, 30000), JT_TIMEOUT);
    CHECK(check_now() - start >= 0.03);
  }
  jt_store_close(store);
  check_prove(PROVE_CLOCK, "waits while it jumps", 3);
}

/* Set back: kept longer. Set on: gone at once, and back when it is right again. */
static void retention_goes_by_the_day(void) {
  jt_store *store = file_store("store", SIZE, 20);
  job_id id = create_finished(store, "clock", 1);
  CHECK_CODE(jt_store_set_retention(store, INT64_C(3600) * 1000000), JT_OK);
  fault.clock = -86400;
  CHECK(exists(store, &id));
  fault.clock = 7200;
  CHECK(!exists(store, &id));
  fault.clock = 0;
  CHECK(exists(store, &id));
  jt_store_close(store);
  check_prove(PROVE_CLOCK, "looks at a job with a retention while it jumps", 3);
}

/* From when the job finished: not from its making, nor from its last change. */
static void retention_begins_at_the_end(void) {
  enum { HOUR = 3600 };
  jt_store *store = file_store("store", SIZE, 20);
  job_id id = create(store, "clock", 1);
  CHECK_CODE(jt_store_set_retention(store, HOUR * INT64_C(1000000)), JT_OK);
  fault.clock = 2 * HOUR;
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  CHECK(exists(store, &id));
  fault.clock = 2 * HOUR + HOUR / 2;
  CHECK_CODE(set_result(store, &id, 10, 'r'), JT_OK);
  CHECK(exists(store, &id));
  fault.clock = 3 * HOUR + 1;
  CHECK(!exists(store, &id));
  CHECK_CODE(set_result(store, &id, 10, 'r'), JT_NOT_FOUND);
  fault.clock = 0;
  jt_store_close(store);
}

/* The time of the first one's end is asked for between the look at who is dead and the
   end of the pass. */
static void an_owner_that_dies_while_another_is_written_off(void) {
  jt_store *store = region_make(8, 100);
  mortal *first = mortal_make(store, DEATH_KILL);
  mortal *second = mortal_make(store, DEATH_KILL);
  mortal_gets(first, "first", 1), mortal_gets(second, "second", 2);
  mortal_begin(first), mortal_begin(second);
  mortal_end(first);
  fault.dies = second;
  dead_in(store);
  CHECK(fault.dies == NULL);
  CHECK_INT(dead_in(store), 0);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 2);
  CHECK_AUDIT(store);
  region_free(store);
}

static const check_case cases[] = {
  CASE(each_call_of_a_writer), CASE(each_call_of_a_reader),
  CASE(who_makes_a_file_touches_its_first_pages), CASE(each_call_of_a_maker),
  CASE(a_reader_who_could_do_without_survives_a_cut),
  CASE(the_store_in_memory_is_refused),
  CASE(a_file_system_that_may_not_be_written), CASE(the_clock_jumps),
  CASE(no_step_ends_before_it_begins), CASE(a_clock_that_no_job_can_have),
  CASE(a_wait_does_not_look_at_the_day), CASE(retention_goes_by_the_day),
  CASE(retention_begins_at_the_end),
  CASE(an_owner_that_dies_while_another_is_written_off),
};
CHECK_MAIN(cases)
