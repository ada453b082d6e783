/*
** file.c - store files: making, checking and mapping them.
**
** Two record locks (open file descriptions', which the kernel drops when the
** last process that holds them is gone, however it went) say who is there:
**
**   GATE      held, exclusively, while a writer opens the file
**   PRESENCE  shared by every writer for as long as it has the file open
**
** Behind the gate a writer takes PRESENCE and then tries to have it exclusively.
** If it gets that, then nobody else can be writing: it may make the file, or
** verify one that comes from before a reboot, a backup or anywhere, and give it
** a fresh lock. Whoever dies at that leaves it to the next. If it does not get it,
** the file has been verified by those who have it open (or a process that may
** read it locks it on purpose: the README says whom to trust).
**
** So who finds PRESENCE free knows more than that nobody writes: whoever will be
** the next to write opens the file alone. Were it taken only after the others were
** seen, the last of them could go in between, and a reader come who would then
** wait for that opening, which has been, and take every owner for dead.
**
** A file under way says MAKING in its first word, which is written before
** anything else, and READY only when all the rest is there. A file is never
** unlinked here: somebody may have it open already, waiting at the gate.
*/
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bury.h"
#include "guard.h"
#include "notify.h"

enum { GATE = 0, PRESENCE = 1 };

#define GATE_SECONDS 5

typedef struct opening {
  const char *path;
  const jt_options *options;
  jt_store *store;
  jt_error *error;
} opening;

static unsigned long long big(uint64_t value) {
  return value;
}

static jt_code fail_errno(const opening *o, const char *what) {
  int number = errno;
  jt_code code = number == ENOSPC || number == EDQUOT ? JT_NO_SPACE : JT_IO;
  return jt_fail(o->error, code, "cannot %s %s: %s", what, o->path, strerror(number));
}

/* ------------------------------------------------------------------- locks */

static bool lock_byte(int file, int byte, short kind) {
  struct flock lock = { .l_type = kind, .l_whence = SEEK_SET,
                        .l_start = byte, .l_len = 1 };
  return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

static jt_code enter_gate(const opening *o) {
  int64_t limit = jt_monotonic() + GATE_SECONDS * INT64_C(1000000);
  while (!lock_byte(o->store->file, GATE, F_WRLCK)) {
    const struct timespec pause = { 0, 1000000 };
    if (errno != EAGAIN && errno != EACCES && errno != EINTR)
      return fail_errno(o, "lock");
    if (jt_monotonic() > limit)
      return jt_fail(o->error, JT_NOT_READY,
                     "%s is not ready: another process has been opening it for %d "
                     "seconds", o->path, GATE_SECONDS);
    nanosleep(&pause, NULL);
  }
  return JT_OK;
}

/* ------------------------------------------------------------- the file */

/* NONBLOCK: a fifo would keep us waiting for its other end. */
#define OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

static unsigned mode_wanted(const opening *o) {
  return o->options->mode != 0 ? o->options->mode : 0600;
}

/* Of a file to be made: what is not asked for follows from the rest. */
static jt_code plan_file(const opening *o, jt_geometry *geometry) {
  uint64_t size = o->options->size != 0 ? o->options->size : JT_FILE_SIZE;
  uint64_t max_jobs = o->options->max_jobs;
  jt_error why;
  if (max_jobs == 0) max_jobs = jt_default_jobs(size);
  if (jt_geometry_make(size, max_jobs, geometry, &why)) return JT_OK;
  return jt_fail(o->error, JT_INCOMPATIBLE, "cannot make %s: %s%s", o->path, why.message,
                 o->options->size == 0 ? ", the default" : "");
}

/* Asked before there is a file: a store that cannot be leaves none behind. */
static jt_code create_file(opening *o) {
  jt_geometry geometry;
  jt_code code = plan_file(o, &geometry);
  if (code == JT_OK)
    o->store->file = open(o->path, OPEN_FLAGS | O_RDWR | O_CREAT, mode_wanted(o));
  return code;
}

static jt_code open_file(opening *o) {
  bool readonly = o->options->readonly;
  struct stat status;
  o->store->file = open(o->path, OPEN_FLAGS | (readonly ? O_RDONLY : O_RDWR));
  /* Made only if it is missing: in a sticky directory the kernel may refuse
     O_CREAT for another user's file that exists. */
  if (o->store->file < 0 && errno == ENOENT && !readonly) {
    jt_code code = create_file(o);
    if (code != JT_OK) return code;
  }
  if (o->store->file < 0 && errno == ELOOP)
    return jt_fail(o->error, JT_IO, "cannot open %s: it is a symbolic link", o->path);
  if (o->store->file < 0) return fail_errno(o, "open");
  if (fstat(o->store->file, &status) != 0) return fail_errno(o, "look at");
  if (!S_ISREG(status.st_mode))
    return jt_fail(o->error, JT_IO, "cannot open %s: it is not a regular file", o->path);
  return JT_OK;
}

static uint64_t pid_namespace(void) {
  struct stat status;
  return stat("/proc/self/ns/pid", &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* Whether the first bytes, of which a file may have fewer than a word, are a store's. */
static bool begins_as_store(const jt_header *header, size_t length) {
  static const uint64_t making = JT_MAGIC_MAKING, ready = JT_MAGIC_READY;
  uint64_t first = jt_word_load(&header->magic);
  if (length > sizeof first) length = sizeof first;
  return memcmp(&first, &making, length) == 0 || memcmp(&first, &ready, length) == 0;
}

static jt_code fail_foreign(const opening *o) {
  return jt_fail(o->error, JT_CORRUPT,
                 "%s is not a job_tracker store: it does not begin as one", o->path);
}

static jt_code check_identity(const opening *o, const jt_header *header) {
  uint64_t magic = jt_word_load(&header->magic);
  if (magic == JT_MAGIC_MAKING)
    return jt_fail(o->error, JT_NOT_READY, "%s is not ready: it is being made", o->path);
  if (magic != JT_MAGIC_READY)
    return fail_foreign(o);
  if (header->layout != JT_LAYOUT_VERSION)
    return jt_fail(o->error, JT_INCOMPATIBLE,
                   "%s has layout version %u, this library reads version %u",
                   o->path, header->layout, JT_LAYOUT_VERSION);
  if (header->abi != JT_ABI)
    return jt_fail(o->error, JT_INCOMPATIBLE,
                   "%s was made for ABI %#x, this library is built for ABI %#x",
                   o->path, header->abi, JT_ABI);
  if (header->identity != jt_header_identity(header))
    return jt_fail(o->error, JT_CORRUPT, "%s is damaged: its header is", o->path);
  return JT_OK;
}

/* The file's geometry, believed only if the file is large enough for it. */
static jt_code read_geometry(const opening *o, jt_geometry *geometry) {
  union { jt_header header; char page[JT_PAGE]; } first = { .page = { 0 } };
  struct stat status;
  jt_error inner;
  ssize_t got = pread(o->store->file, &first, sizeof first, 0);
  if (got < 0 || fstat(o->store->file, &status) != 0) return fail_errno(o, "read");
  if (got == 0)
    return jt_fail(o->error, JT_NOT_READY, "%s is not ready: it is empty", o->path);
  if (!begins_as_store(&first.header, (size_t)got)) return fail_foreign(o);
  if (got < (ssize_t)sizeof first &&
      jt_word_load(&first.header.magic) != JT_MAGIC_MAKING)
    return jt_fail(o->error, JT_CORRUPT, "%s is truncated: %lld bytes are no store",
                   o->path, (long long)status.st_size);
  jt_code code = check_identity(o, &first.header);
  if (code != JT_OK) return code;
  if (!jt_geometry_make(first.header.size, first.header.max_jobs, geometry, &inner))
    return jt_fail(o->error, JT_CORRUPT, "%s is damaged: %s", o->path, inner.message);
  if ((uint64_t)status.st_size < geometry->size)
    return jt_fail(o->error, JT_CORRUPT, "%s is truncated: %lld of %llu bytes", o->path,
                   (long long)status.st_size, big(geometry->size));
  return JT_OK;
}

/* An existing store keeps its shape; asking for another one is a mistake. */
static jt_code check_options(const opening *o, const jt_geometry *geometry) {
  const jt_options *options = o->options;
  if (options->size != 0 && options->size != geometry->size)
    return jt_fail(o->error, JT_INCOMPATIBLE, "%s has size %llu, not %llu", o->path,
                   big(geometry->size), big(options->size));
  if (options->max_jobs != 0 && options->max_jobs != geometry->max_jobs)
    return jt_fail(o->error, JT_INCOMPATIBLE, "%s has max_jobs %llu, not %llu", o->path,
                   big(geometry->max_jobs), big(options->max_jobs));
  return JT_OK;
}

static jt_code map(const opening *o, const jt_geometry *geometry) {
  int access = o->store->readonly ? PROT_READ : PROT_READ | PROT_WRITE;
  void *base = mmap(NULL, geometry->size, access, MAP_SHARED, o->store->file, 0);
  if (base == MAP_FAILED) return fail_errno(o, "map");
  jt_store_attach(o->store, geometry, base);
  if (!o->store->readonly) return JT_OK;
  o->store->guard = jt_guard_begin(base, geometry->size, access);
  return o->store->guard != NULL ? JT_OK : fail_errno(o, "map");
}

/* ------------------------------------------------------------------ making */

static jt_code file_is_blank(const opening *o, bool *blank) {
  uint64_t first = 0;
  ssize_t got = pread(o->store->file, &first, sizeof first, 0);
  if (got < 0) return fail_errno(o, "read");
  *blank = got == 0 || (got == sizeof first && first == JT_MAGIC_MAKING);
  return JT_OK;
}

/*
** Reserves every byte: later writes cannot meet a full disk, which would be a SIGBUS.
** In older kernels tmpfs gives back all of a call when a signal comes. Where they come
** often, as a profiler's do, only what fits in between two of them gets done: so the
** pieces become smaller.
*/
static jt_code reserve(const opening *o, uint64_t size) {
  uint64_t piece = size, done = 0;
  while (done < size) {
    if (piece > size - done) piece = size - done;
    int failed = posix_fallocate(o->store->file, (off_t)done, (off_t)piece);
    if (failed == 0) {
      done += piece;
    } else if (failed != EINTR) {
      errno = failed;
      return fail_errno(o, "reserve the size of");
    } else if (piece > JT_PAGE) {
      piece /= 2;
    }
  }
  return JT_OK;
}

/* Says MAKING, then reserves. */
static jt_code reserve_file(const opening *o, const jt_geometry *geometry) {
  const uint64_t under_way = JT_MAGIC_MAKING;
  int file = o->store->file;
  if (fchmod(file, mode_wanted(o)) != 0) return fail_errno(o, "set the mode of");
  if (ftruncate(file, 0) != 0) return fail_errno(o, "empty");
  if (pwrite(file, &under_way, sizeof under_way, 0) != (ssize_t)sizeof under_way)
    return fail_errno(o, "write");
  jt_code code = reserve(o, geometry->size);
  /* Gives the space back; if even that fails the file stays MAKING. */
  if (code != JT_OK && ftruncate(file, 0) != 0) return code;
  return code;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23   /* since Linux 5.14, and glibc 2.35 */
#endif

#define TOUCHED (UINT64_C(4) << 20)

/*
** A page that is touched for the first time has to be cleared, which takes as long as
** creating ten jobs, under the lock. So the first are touched here, from the index on: in
** a store of the default size what ten thousand jobs need. On tmpfs that takes a tenth of
** what reserving the file takes. If the system refuses, nothing is lost.
*/
static void touch_first_pages(const jt_store *store) {
  const jt_geometry *g = &store->geometry;
  uint64_t from = g->cells_at / JT_PAGE * JT_PAGE;
  uint64_t size = g->size - from < TOUCHED ? g->size - from : TOUCHED;
  madvise(store->base + from, size, MADV_POPULATE_WRITE);
}

static jt_code make_file(const opening *o) {
  jt_geometry geometry;
  jt_code code = plan_file(o, &geometry);
  if (code == JT_OK) code = reserve_file(o, &geometry);
  if (code == JT_OK) code = map(o, &geometry);
  if (code == JT_OK) code = jt_header_make(o->store, o->error);
  if (code != JT_OK) return code;
  jt_word_store(&o->store->header->pid_namespace, pid_namespace());
  atomic_store_explicit(&o->store->header->magic, JT_MAGIC_READY, memory_order_release);
  touch_first_pages(o->store);
  return JT_OK;
}

/* ----------------------------------------------------------------- opening */

static jt_code map_existing(const opening *o) {
  jt_geometry geometry;
  jt_code code = read_geometry(o, &geometry);
  if (code == JT_OK) code = check_options(o, &geometry);
  return code == JT_OK ? map(o, &geometry) : code;
}

/* A copy that was restored with holes: they are filled before they are needed. */
static jt_code fill_holes(const opening *o) {
  uint64_t size = o->store->geometry.size;
  off_t hole = lseek(o->store->file, 0, SEEK_HOLE);
  return hole >= 0 && (uint64_t)hole >= size ? JT_OK : reserve(o, size);
}

static jt_code open_alone(const opening *o) {
  bool blank = false;
  jt_code code = file_is_blank(o, &blank);
  if (code != JT_OK) return code;
  if (blank) return make_file(o);
  code = map_existing(o);
  if (code == JT_OK) code = fill_holes(o);
  if (code != JT_OK) return code;
  jt_word_store(&o->store->header->pid_namespace, pid_namespace());
  return jt_begin_anew(o->store, o->error);
}

/*
** The kernel tells a lock's holder from others by a number that means one
** process in each pid namespace: a writer from another one could make it take
** a live holder for dead.
*/
static jt_code open_among_others(const opening *o) {
  jt_code code = map_existing(o);
  if (code != JT_OK) return code;
  if (!jt_locks_are_sound(o->store))
    return jt_fail(o->error, JT_CORRUPT, "%s is damaged: its lock is", o->path);
  uint64_t theirs = jt_word_load(&o->store->header->pid_namespace);
  uint64_t ours = pid_namespace();
  if (theirs == ours) return JT_OK;
  return jt_fail(o->error, JT_INCOMPATIBLE,
                 "%s is in use by writers of pid namespace %llu, this process is in "
                 "%llu: open it read-only", o->path, big(theirs), big(ours));
}

static jt_code open_behind_gate(const opening *o) {
  int file = o->store->file;
  if (!lock_byte(file, PRESENCE, F_RDLCK)) return fail_errno(o, "lock");
  bool alone = lock_byte(file, PRESENCE, F_WRLCK);
  if (!alone && errno != EAGAIN && errno != EACCES) return fail_errno(o, "lock");
  jt_code code = alone ? open_alone(o) : open_among_others(o);
  if (code != JT_OK) return code;
  if (alone && !lock_byte(file, PRESENCE, F_RDLCK)) return fail_errno(o, "lock");
  if (!o->options->has_retention) return JT_OK;
  return jt_store_set_retention(o->store, o->options->retention);
}

/* Locks are given back by name where opening fails: a child that was forked
   meanwhile has the descriptor too, and closing ours would not do it. */
static jt_code open_for_writing(const opening *o) {
  jt_code code = enter_gate(o);
  if (code != JT_OK) return code;
  code = open_behind_gate(o);
  if (code != JT_OK) lock_byte(o->store->file, PRESENCE, F_UNLCK);
  lock_byte(o->store->file, GATE, F_UNLCK);
  return code;
}

/*
** A reader that may also write the file maps its page of notice for writing, by
** a second descriptor of the same file, so that it is woken like everybody.
** One that may not looks again every few milliseconds.
*/
static void map_notice(const opening *o) {
  struct stat ours, theirs;
  void *page = MAP_FAILED;
  int file = open(o->path, OPEN_FLAGS | O_RDWR);
  o->store->notice = NULL;
  if (file < 0) return;
  if (fstat(o->store->file, &ours) == 0 && fstat(file, &theirs) == 0 &&
      ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev)
    page = mmap(NULL, JT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, JT_PAGE);
  close(file);
  if (page == MAP_FAILED) return;
  o->store->notice_guard = jt_guard_begin(page, JT_PAGE, PROT_READ | PROT_WRITE);
  /* Without a guard it would be a SIGBUS when somebody truncates the file. */
  if (o->store->notice_guard == NULL) munmap(page, JT_PAGE);
  else o->store->notice = page;
}

/*
** Whether a writer is there. If not, the owners' locks say nothing: they may be from
** before a reboot, or of another file. Who comes next makes them anew, and counts an
** incarnation; so the number is read before. Exclusive PRESENCE is a writer too: it
** may have counted already.
*/
static void look_for_writers(jt_store *store) {
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = PRESENCE,
                        .l_len = 1 };
  store->doubted = atomic_load_explicit(&store->header->incarnation,
                                        memory_order_acquire);
  store->doubts = fcntl(store->file, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK;
}

static jt_code open_for_reading(const opening *o) {
  jt_code code = map_existing(o);
  if (code != JT_OK) return code;
  map_notice(o);
  look_for_writers(o->store);
  return JT_OK;
}

static void let_go(jt_store *store) {
  jt_guard_end(store->guard);
  jt_guard_end(store->notice_guard);
  if (store->readonly && store->notice != NULL) munmap(store->notice, JT_PAGE);
  if (store->base != NULL) munmap(store->base, store->geometry.size);
  if (store->file >= 0) close(store->file);
  free(store);
}

jt_code jt_store_open(const char *path, const jt_options *options,
                      jt_store **store, jt_error *error) {
  opening o = { path, options, calloc(1, sizeof(jt_store)), error };
  *store = NULL;
  if (o.store == NULL) return fail_errno(&o, "open");
  o.store->file = -1;
  o.store->readonly = options->readonly;
  jt_code code = open_file(&o);
  if (code == JT_OK)
    code = options->readonly ? open_for_reading(&o) : open_for_writing(&o);
  if (code == JT_OK) *store = o.store;
  else let_go(o.store);
  return code;
}

/* Closed, but a thread of this process owns jobs by it: see store.h. */
static _Atomic(jt_store *) kept;

static void keep(jt_store *store) {
  store->replaced = atomic_load_explicit(&kept, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&kept, &store->replaced, store,
                                                memory_order_release,
                                                memory_order_relaxed))
    continue;
}

void jt_store_close(jt_store *store) {
  if (jt_owners_part(store)) let_go(store);
  else keep(store);
}
