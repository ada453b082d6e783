/*
** file_test.c - opening one file: what is a store, what is not, and what the
** error says. (opening_test.c: many processes at it.)
*/
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit.h"

#define NOBODY 65534u

static const jt_options small = { .size = 64 * 1024, .max_jobs = 50 };
static const jt_options existing = { .size = 0 };
static const jt_options reading = { .readonly = true };

/* Opens and closes. The message of a failure names the path and 'word'. */
static void check_open(const char *path, const jt_options *options, jt_code expected,
                       const char *word) {
  jt_store *store = (jt_store *)(uintptr_t)1;
  jt_error error = { JT_OK, "" };
  jt_code code = jt_store_open(path, options, &store, &error);
  CHECK_CODE(code, expected);
  if (code == JT_OK) {
    CHECK(store != NULL);
    jt_store_close(store);
    return;
  }
  CHECK(store == NULL);
  CHECK_CODE(error.code, code);
  if (expected == JT_OK || !CHECK(strstr(error.message, path) != NULL) ||
      !CHECK(strstr(error.message, word) != NULL))
    check_say("the message: %s", error.message);
}

static void write_at(const char *path, const void *bytes, size_t size, off_t at) {
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  CHECK_INT(pwrite(file, bytes, size, at), size);
  close(file);
}

static off_t size_of(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 ? status.st_size : -1;
}

/* A store with one job in it. */
static const char *make_store(const char *name) {
  jt_store *store = file_store(name, small.size, small.max_jobs);
  create_finished(store, "job", 1);
  jt_store_close(store);
  return check_path(name);
}

static void check_job_is_there(const char *path) {
  job_id id = id_of("job", 1);
  jt_store *store = file_open(path, false);
  CHECK(exists(store, &id));
  CHECK_AUDIT(store);
  jt_store_close(store);
}

/* ------------------------------------------------------------ making a file */

static void makes_a_file_with_defaults(void) {
  const char *path = check_path("new");
  jt_stats stats;
  jt_store *store;
  jt_error error;
  CHECK_CODE(jt_store_open(path, &existing, &store, &error), JT_OK);
  jt_store_stats(store, &stats);
  CHECK_INT(stats.size, JT_FILE_SIZE);
  CHECK_INT(stats.max_jobs, JT_FILE_SIZE / 512);
  CHECK_INT(stats.retention, JT_KEEP);
  CHECK_INT(stats.version, 0);
  CHECK_INT(size_of(path), JT_FILE_SIZE);
  struct stat status;
  CHECK_INT(fstat(store->file, &status), 0);
  CHECK((uint64_t)status.st_blocks * 512 >= JT_FILE_SIZE);   /* all of it reserved */
  CHECK(!jt_store_is_readonly(store));
  CHECK_AUDIT(store);
  jt_store_close(store);
}

static void what_was_written_is_there_again(void) {
  check_job_is_there(make_store("store"));
  check_job_is_there(check_path("store"));
}

static void mode_of(unsigned mode, mode_t mask, unsigned expected) {
  char name[32];
  snprintf(name, sizeof name, "mode_%o_%o", mode, (unsigned)mask);
  jt_options options = small;
  options.mode = mode;
  mode_t before = umask(mask);
  check_open(check_path(name), &options, JT_OK, "");
  umask(before);
  struct stat status;
  CHECK_INT(stat(check_path(name), &status), 0);
  CHECK_INT(status.st_mode & 07777, expected);
  /* Opening again changes nothing. */
  options.mode = 0640;
  check_open(check_path(name), &options, JT_OK, "");
  CHECK_INT(stat(check_path(name), &status), 0);
  CHECK_INT(status.st_mode & 07777, expected);
}

static void has_the_mode_despite_umask(void) {
  mode_of(0, 0, 0600);
  mode_of(0, 0777, 0600);
  mode_of(0660, 0022, 0660);
  mode_of(0644, 0077, 0644);
  mode_of(0666, 0, 0666);
}

static void an_empty_file_is_made_a_store(void) {
  const char *path = check_path("empty");
  write_at(path, "", 0, 0);
  check_open(path, &reading, JT_NOT_READY, "empty");
  check_open(path, &small, JT_OK, "");
  check_open(path, &reading, JT_OK, "");
}

static void a_file_left_in_the_making_is_made_anew(void) {
  const uint64_t making = JT_MAGIC_MAKING;
  const off_t sizes[] = { 8, 100, 4096, 20000, 64 * 1024, 100000 };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const char *path = check_path("making");
    unlink(path);
    write_at(path, &making, sizeof making, 0);
    if (sizes[i] > 8) write_at(path, "x", 1, sizes[i] - 1);
    check_open(path, &reading, JT_NOT_READY, "");
    check_open(path, &small, JT_OK, "");
    CHECK_INT(size_of(path), small.size);
    check_open(path, &reading, JT_OK, "");
  }
}

/* --------------------------------------------------------- what is not a store */

static void a_missing_file_is_not_made_for_reading(void) {
  check_open(check_path("missing"), &reading, JT_IO, "No such file");
  CHECK_INT(size_of(check_path("missing")), -1);
  check_open(check_path("no/such/folder"), &small, JT_IO, "No such file");
}

static void zeros_are_not_a_store(void) {
  const off_t sizes[] = { 1, 7, 8, 9, 100, 4095, 4096, 8192, 64 * 1024 };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const char *path = check_path("zeros");
    unlink(path);
    write_at(path, "", 1, sizes[i] - 1);
    check_open(path, &reading, JT_CORRUPT, "");
    check_open(path, &small, JT_CORRUPT, "");
    CHECK_INT(size_of(path), sizes[i]);
  }
}

/* Nobody's other file is overwritten. */
static void text_is_not_a_store(void) {
  const char *path = check_path("text"), text[] = "A shopping list: milk, bread.\n";
  char bytes[sizeof text];
  write_at(path, text, sizeof text, 0);
  check_open(path, &reading, JT_CORRUPT, "text is not a job_tracker store: ");
  check_open(path, &small, JT_CORRUPT, "text is not a job_tracker store: ");
  write_at(path, "\n", 1, 2 * JT_PAGE);
  check_open(path, &reading, JT_CORRUPT, "text is not a job_tracker store: ");
  CHECK_INT(truncate(path, sizeof text), 0);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  CHECK_INT(read(file, bytes, sizeof bytes), sizeof text);
  close(file);
  CHECK(memcmp(bytes, text, sizeof text) == 0);
}

static void a_truncated_store_is_corrupt(void) {
  const char *path = make_store("store");
  jt_store *store = file_open(path, true);
  jt_geometry g = store->geometry;
  jt_store_close(store);
  const uint64_t sizes[] = { g.size - 1, g.size - 4096, (uint64_t)g.first_unit * JT_UNIT,
                             g.bitmap_at, g.cells_at + 8, g.cells_at, JT_PAGE + 4,
                             JT_PAGE, JT_PAGE - 1, sizeof(jt_header), 64, 9, 8, 1 };
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    CHECK_INT(truncate(path, (off_t)sizes[i]), 0);
    check_open(path, &reading, JT_CORRUPT, "truncated");
    check_open(path, &existing, JT_CORRUPT, "truncated");
    CHECK_INT(size_of(path), sizes[i]);
  }
}

/* Lost its end and got zeros there: what is left is served. */
static void a_store_with_a_zeroed_end_opens(void) {
  const char *path = make_store("store");
  jt_store *store = file_open(path, true);
  uint64_t size = store->geometry.size, heap = store->geometry.first_unit * JT_UNIT;
  jt_store_close(store);
  CHECK_INT(truncate(path, (off_t)heap), 0);
  CHECK_INT(truncate(path, (off_t)size), 0);
  store = file_open(path, false);
  jt_stats stats;
  jt_store_stats(store, &stats);
  CHECK_INT(stats.damaged, 1);
  CHECK_INT(stats.jobs, 0);
  CHECK_AUDIT(store);
  jt_store_close(store);
}

static void check_foreign(uint32_t layout, uint32_t abi, const char *ours,
                          const char *theirs) {
  const char *path = make_store("foreign");
  write_at(path, &layout, 4, offsetof(jt_header, layout));
  write_at(path, &abi, 4, offsetof(jt_header, abi));
  check_open(path, &existing, JT_INCOMPATIBLE, ours);
  check_open(path, &existing, JT_INCOMPATIBLE, theirs);
  check_open(path, &reading, JT_INCOMPATIBLE, theirs);
  unlink(path);
}

static void a_foreign_layout_names_both_versions(void) {
  char ours[40], theirs[40];
  snprintf(ours, sizeof ours, "version %u", JT_LAYOUT_VERSION);
  for (uint32_t layout = 0; layout < 5; layout++) {
    if (layout == JT_LAYOUT_VERSION) continue;
    snprintf(theirs, sizeof theirs, "version %u", layout);
    check_foreign(layout, JT_ABI, ours, theirs);
  }
}

static void a_foreign_abi_names_both(void) {
  char ours[40];
  snprintf(ours, sizeof ours, "%#x", JT_ABI);
  check_foreign(JT_LAYOUT_VERSION, 0x40018, ours, "0x40018");
}

static void another_shape_is_incompatible(void) {
  const char *path = make_store("store");
  check_open(path, &(jt_options){ .size = 128 * 1024 }, JT_INCOMPATIBLE, "131072");
  check_open(path, &(jt_options){ .size = 128 * 1024 }, JT_INCOMPATIBLE, "65536");
  check_open(path, &(jt_options){ .max_jobs = 51 }, JT_INCOMPATIBLE, "51");
  check_open(path, &(jt_options){ .max_jobs = 51 }, JT_INCOMPATIBLE, "50");
  check_open(path, &small, JT_OK, "");
  check_open(path, &existing, JT_OK, "");
  check_job_is_there(path);
}

/* ----------------------------------------------------- what is no regular file */

static void a_link_is_refused(void) {
  const char *path = make_store("store");
  CHECK_INT(symlink(path, check_path("link")), 0);
  CHECK_INT(symlink(check_path("nowhere"), check_path("dangling")), 0);
  check_open(check_path("link"), &existing, JT_IO, "symbolic link");
  check_open(check_path("link"), &reading, JT_IO, "symbolic link");
  check_open(check_path("dangling"), &small, JT_IO, "symbolic link");
  CHECK_INT(size_of(check_path("nowhere")), -1);
}

static void a_fifo_is_refused_at_once(void) {
  const char *path = check_path("fifo");
  CHECK_INT(mkfifo(path, 0600), 0);
  double start = check_now();
  check_open(path, &small, JT_IO, "regular");
  check_open(path, &reading, JT_IO, "regular");
  CHECK(check_now() - start < 2);
}

static void folders_and_devices_are_refused(void) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const char *path = check_path("socket");
  int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  CHECK_INT(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
  check_open(check_folder(), &small, JT_IO, "");
  check_open(check_folder(), &reading, JT_IO, "");
  check_open(path, &small, JT_IO, "");
  check_open("/dev/null", &small, JT_IO, "regular");
  check_open("/dev/zero", &reading, JT_IO, "regular");
  close(listening);
}

/* ------------------------------------------------------------------ permission */

static void open_as_nobody(void *context) {
  const char *path = context;
  CHECK_INT(setgroups(0, NULL), 0);
  CHECK_INT(setgid(NOBODY), 0);
  CHECK_INT(setuid(NOBODY), 0);
  check_open(path, &existing, JT_IO, "Permission denied");
  check_open(path, &reading, JT_IO, "Permission denied");
}

static void a_file_of_others_is_not_opened(void) {
  if (getuid() != 0) check_skip("only root can become somebody else");
  const char *path = make_store("store");
  CHECK_INT(chmod(check_folder(), 0755), 0);
  CHECK_JOIN(check_fork(open_as_nobody, (void *)(uintptr_t)path));
  check_prove(PROVE_REFUSED, "openings of a file of others", 2);
}

static void read_as_nobody(void *context) {
  jt_store *store;
  jt_error error;
  job_id id = id_of("job", 1);
  CHECK_INT(setgroups(0, NULL), 0);
  CHECK_INT(setgid(NOBODY), 0);
  CHECK_INT(setuid(NOBODY), 0);
  check_open(context, &existing, JT_IO, "Permission denied");
  if (!CHECK_CODE(jt_store_open(context, &reading, &store, &error), JT_OK)) return;
  CHECK(store->notice == NULL);
  CHECK(exists(store, &id));
  jt_store_close(store);
}

static void a_readable_file_can_be_read(void) {
  if (getuid() != 0) check_skip("only root can become somebody else");
  const char *path = make_store("store");
  CHECK_INT(chmod(check_folder(), 0755), 0);
  CHECK_INT(chmod(path, 0644), 0);
  CHECK_JOIN(check_fork(read_as_nobody, (void *)(uintptr_t)path));
}

/* Whether the line of /proc/self/maps for an address says "r--s". */
static bool is_mapped_for_reading(const void *address) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512], access[8] = "";
  unsigned long from, to, wanted = (unsigned long)(uintptr_t)address;
  bool found = false;
  while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL)
    found = sscanf(line, "%lx-%lx %7s", &from, &to, access) == 3 && wanted >= from &&
            wanted < to;
  if (maps != NULL) fclose(maps);
  return CHECK(found) && strcmp(access, "r--s") == 0;
}

static void readonly_is_mapped_for_reading(void) {
  const char *path = make_store("store");
  jt_store *store = file_open(path, true), *writer = file_open(path, false);
  job_id id = id_of("job", 1), none = id_of("none", 1);
  uint64_t removed = 9;
  CHECK(is_mapped_for_reading(store->base));
  CHECK(is_mapped_for_reading(store->base + JT_PAGE));
  CHECK(is_mapped_for_reading(store->base + store->geometry.size - 1));
  CHECK(!is_mapped_for_reading(writer->base));
  CHECK(jt_store_is_readonly(store) && !jt_store_is_readonly(writer));
  CHECK_CODE(jt_create_numbered(store, "job", 3, 9), JT_READONLY);
  char made[JT_ID_MAX + 1];
  CHECK_CODE(jt_create(store, "job", 3, made), JT_READONLY);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_READONLY);
  CHECK_CODE(erase(store, &id), JT_READONLY);
  CHECK_CODE(erase(store, &none), JT_READONLY);
  CHECK_CODE(jt_clear(store, &removed), JT_READONLY);
  CHECK_INT(removed, 0);
  CHECK_CODE(jt_store_set_retention(store, 5), JT_READONLY);
  CHECK_CODE(set_result(writer, &id, 100, 'z'), JT_OK);
  jt_job *job;
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_INT(jt_job_part(job, JT_RESULT).length, 100);
  free(job);
  jt_store_close(store);
  jt_store_close(writer);
}

/* ----------------------------------------------------- when something is short */

static void fill_up(const char *path) {
  static const char block[4096];
  int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  while (write(file, block, sizeof block) > 0) continue;
  CHECK_INT(errno, ENOSPC);
  close(file);
}

static void a_full_disk_is_no_space(void) {
  check_mount(check_path("full"), 1);
  const char *path = check_path("full/store");
  check_open(path, &(jt_options){ .size = 2 << 20 }, JT_NO_SPACE, "No space");
  CHECK_INT(size_of(path), 0);    /* what was reserved is given back */
  check_open(path, &reading, JT_NOT_READY, "");
  check_open(path, &small, JT_OK, "");
  unlink(path);
  fill_up(check_path("full/other"));
  check_open(path, &small, JT_NO_SPACE, "No space");
  unlink(check_path("full/other"));
  check_open(path, &small, JT_OK, "");
  check_prove(PROVE_REFUSED, "openings on a full disk", 5);
}

static void use_up_to(const char *path, size_t most) {
  jt_store *store = file_open(path, false);
  job_id id = id_of("big", 1);
  CHECK_CODE(jt_create_numbered(store, "big", 3, 1), JT_OK);
  for (size_t bytes = 1000; bytes < most; bytes += 10000)
    CHECK_CODE(set_result(store, &id, bytes, 'b'), JT_OK);
  jt_store_close(store);
}

static void use_all(void *context) {
  use_up_to(context, 200000);
}

static void use_some(void *context) {
  use_up_to(context, 100000);
}

static void punch_hole(const char *path, off_t from, off_t to) {
  int file = open(path, O_RDWR | O_CLOEXEC);
  CHECK_INT(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from),
            0);
  close(file);
}

/* A copy made without its zeros ("cp --sparse", "tar -S"): its room has to be
   reserved again before it is written to, or a write is a SIGBUS. */
static void a_sparse_copy_gets_its_room(void) {
  check_mount(check_path("full"), 1);
  const char *path = check_path("full/store");
  const jt_options options = { .size = 800 * 1024 };
  check_open(path, &options, JT_OK, "");
  punch_hole(path, 100 * 1024, 800 * 1024);
  CHECK_JOIN(check_fork(use_all, (void *)(uintptr_t)path));
  punch_hole(path, 100 * 1024, 800 * 1024);
  fill_up(check_path("full/other"));
  check_open(path, &existing, JT_NO_SPACE, "No space");
  CHECK_INT(size_of(path), options.size);
}

/* The same with something behind the store's end: the file has blocks enough, but
   not where they are needed. */
static void a_sparse_copy_with_a_tail_gets_its_room(void) {
  check_mount(check_path("full"), 1);
  const char *path = check_path("full/store");
  const jt_options options = { .size = 400 * 1024 };
  static const char tail[400 * 1024];
  check_open(path, &options, JT_OK, "");
  write_at(path, tail, sizeof tail, (off_t)options.size);
  punch_hole(path, 100 * 1024, 400 * 1024);
  fill_up(check_path("full/other"));
  check_open(path, &existing, JT_NO_SPACE, "No space");
  unlink(check_path("full/other"));
  CHECK_JOIN(check_fork(use_some, (void *)(uintptr_t)path));
}

static void no_descriptors_left(void) {
  const char *path = make_store("store");
  struct rlimit limit;
  CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
  int lowest = dup(0);
  close(lowest);
  limit.rlim_cur = (rlim_t)lowest;
  CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
  check_open(path, &existing, JT_IO, "Too many open files");
  check_open(path, &reading, JT_IO, "Too many open files");
  limit.rlim_cur++;               /* one: enough, though not for the notice page */
  CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
  check_open(path, &existing, JT_OK, "");
  check_open(path, &reading, JT_OK, "");
  check_prove(PROVE_REFUSED, "openings without a descriptor left", 4);
}

static int count_descriptors(void) {
  int count = 0;
  for (int file = 0; file < 256; file++) count += fcntl(file, F_GETFD) >= 0;
  return count;
}

/* Also of an opening that failed. */
static void nothing_stays_open(void) {
  int before = count_descriptors();
  const char *path = make_store("store");
  check_open(path, &reading, JT_OK, "");
  check_open(path, &(jt_options){ .max_jobs = 3 }, JT_INCOMPATIBLE, "");
  check_open(check_path("missing"), &reading, JT_IO, "");
  check_open(check_folder(), &reading, JT_IO, "");
  write_at(path, "zzzz", 4, 0);
  check_open(path, &existing, JT_CORRUPT, "");
  CHECK_INT(count_descriptors(), before);
}

/* A caller that does not want the words. */
static void open_without_error(void *context) {
  jt_store *store;
  (void)context;
  CHECK_CODE(jt_store_open(check_path("none"), &reading, &store, NULL), JT_IO);
  const jt_options too_small = { .size = 5000, .max_jobs = 10 };
  CHECK_CODE(jt_store_open(check_path("new"), &too_small, &store, NULL), JT_INCOMPATIBLE);
  CHECK_CODE(jt_store_configure(&too_small, NULL), JT_INCOMPATIBLE);
}

static void errors_need_not_be_taken(void) {
  CHECK_JOIN(check_fork(open_without_error, NULL));
}

static const check_case cases[] = {
  CASE(makes_a_file_with_defaults), CASE(what_was_written_is_there_again),
  CASE(has_the_mode_despite_umask), CASE(an_empty_file_is_made_a_store),
  CASE(a_file_left_in_the_making_is_made_anew),
  CASE(a_missing_file_is_not_made_for_reading), CASE(zeros_are_not_a_store),
  CASE(text_is_not_a_store), CASE(a_truncated_store_is_corrupt),
  CASE(a_store_with_a_zeroed_end_opens), CASE(a_foreign_layout_names_both_versions),
  CASE(a_foreign_abi_names_both), CASE(another_shape_is_incompatible),
  CASE(a_link_is_refused), CASE(a_fifo_is_refused_at_once),
  CASE(folders_and_devices_are_refused), CASE(a_file_of_others_is_not_opened),
  CASE(a_readable_file_can_be_read), CASE(readonly_is_mapped_for_reading),
  CASE(a_full_disk_is_no_space), CASE(a_sparse_copy_gets_its_room),
  CASE(a_sparse_copy_with_a_tail_gets_its_room), CASE(no_descriptors_left),
  CASE(nothing_stays_open), CASE(errors_need_not_be_taken),
};
CHECK_MAIN(cases)
