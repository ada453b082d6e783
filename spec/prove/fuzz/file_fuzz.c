/*
** file_fuzz.c - the whole life of a store file that means harm: opened by a reader and
** by the first writer, used as a script says, damaged meanwhile, recovered, opened anew.
** Nothing may crash, hang, leak, or touch a byte outside the mapping.
**
** The bytes after a mapping's end, to the end of its page, are poisoned for
** AddressSanitizer; a page that nobody may touch lies before and after. What verification
** has let in, and what calls have made of it, is audited (spec/store/audit.h).
**
** Not damaged while the store is open: its mutexes and the owners' slots. Writers that
** have a file open at the same time trust each other (src/README.md, invariant 4).
*/
#include <fcntl.h>
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../store/audit.h"
#include "../../store/exercise.h"
#include "image.h"
#include "store/lock.h"
#include "store/recover.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

/* ------------------------------------------------------------------ the mappings */

void *__real_mmap(void *at, size_t length, int access, int flags, int file, off_t from);
int __real_munmap(void *at, size_t length);
void *__wrap_mmap(void *at, size_t length, int access, int flags, int file, off_t from);
int __wrap_munmap(void *at, size_t length);

static size_t whole_pages(size_t length) {
  return (length + JT_PAGE - 1) / JT_PAGE * JT_PAGE;
}

/* Walled in. */
void *__wrap_mmap(void *at, size_t length, int access, int flags, int file, off_t from) {
  size_t inside = whole_pages(length);
  unsigned char *walls;
  if (at != NULL || file < 0) return __real_mmap(at, length, access, flags, file, from);
  walls = __real_mmap(NULL, inside + 2 * JT_PAGE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (walls == MAP_FAILED) return MAP_FAILED;
  at = __real_mmap(walls + JT_PAGE, length, access, flags | MAP_FIXED, file, from);
  if (at == MAP_FAILED) __real_munmap(walls, inside + 2 * JT_PAGE);
  else ASAN_POISON_MEMORY_REGION((char *)at + length, inside - length);
  return at;
}

int __wrap_munmap(void *at, size_t length) {
  size_t inside = whole_pages(length);
  ASAN_UNPOISON_MEMORY_REGION((char *)at + length, inside - length);
  return __real_munmap((char *)at - JT_PAGE, inside + 2 * JT_PAGE);
}

/* --------------------------------------------------------------------- the scene */

typedef struct life {
  const char *path;
  jt_store *store;
  bool damaged;                   /* since it was last verified */
} life;

static void demand(const char *fault, const char *when) {
  if (fault == NULL && check_failures() == 0) return;
  fprintf(stderr, "%s: %s\n", when, fault != NULL ? fault : "a check failed, see above");
  abort();
}

/* In a file's first life nobody has told it to be sensible: times may not suit statuses,
   and there may be more jobs than it is for. */
static void check_sound(const life *of, const char *when) {
  demand(of->damaged ? NULL : audit_allowing(of->store, AUDIT_LIVES | AUDIT_CROWD), when);
}

static jt_store *open_store(const char *path, bool readonly) {
  const jt_options options = { .readonly = readonly };
  jt_store *store;
  jt_error error = { 0 };
  jt_code code = jt_store_open(path, &options, &store, &error);
  if (code == JT_OK) return store;
  bool explained = error.message[0] != '\0' && error.code == code;
  demand(explained ? NULL : "no reason given", "open");
  return NULL;
}

static void begin_anew(life *of, const char *when) {
  of->store = open_store(of->path, false);
  of->damaged = false;
  if (of->store != NULL) check_sound(of, when);
}

/* ------------------------------------------------------------------- the script */

/* A listed job's id, or one that no job has. */
static job_id some_id(jt_store *store, unsigned which) {
  enum { LISTED = 8 };
  static _Alignas(jt_job) unsigned char room[JT_JOB_MAX + 512];
  jt_job *job = (jt_job *)(void *)room;
  const jt_filter all = { -1, { NULL, 0 }, 0 };
  jt_key keys[LISTED];
  size_t count = 0, needed;
  jt_list(store, &all, keys, LISTED, &count);
  if (which < count &&
      jt_get_listed(store, &keys[which], &all, job, sizeof room, &needed) == JT_OK) {
    jt_text id = jt_job_part(job, JT_ID);
    job_id found = { .length = id.length };
    memcpy(found.text, id.bytes, id.length);
    return found;
  }
  return id_of("fuzz", which);
}

static void step_update(jt_store *store, const job_id *id, unsigned a, unsigned b) {
  static const char text[65536];
  const jt_text blob = { b & 1 ? text : NULL, b & 1 ? (size_t)b * b : 0 };
  const jt_change change = {
    .fields = a & 63, .status = (jt_status)(b % JT_STATUSES), .progress = b / 255.0,
    .step = { text, b * 16u }, .result = blob, .error = { text, b }, .meta = blob
  };
  update(store, id, &change);
}

typedef struct claiming {
  jt_store *store;
  const job_id *id;
} claiming;

static void *claim_and_die(void *context) {
  const claiming *wanted = context;
  claim_job(wanted->store, wanted->id);
  return NULL;
}

/* By a thread that ends: the job is orphaned then. */
static void step_claim(jt_store *store, const job_id *id) {
  claiming wanted = { store, id };
  pthread_t thread;
  if (pthread_create(&thread, NULL, claim_and_die, &wanted) != 0) abort();
  pthread_join(thread, NULL);
}

static void step_wait(jt_store *store, const job_id *id, unsigned b) {
  const uint64_t after = b;
  jt_wait(store, id->text, id->length, b & 1 ? &after : NULL, 0);
}

static void step_changes(jt_store *store, unsigned b) {
  uint64_t version, upto;
  uint32_t dead;
  jt_key keys[8];
  size_t count;
  jt_store_pulse(store, &version, &dead);
  jt_changes(store, version - b, keys, 1 + b % 8, &count, &upto);
}

/* What a process killed with the lock leaves to the next. */
static void step_recover(jt_store *store) {
  if (jt_lock(store) != JT_OK) return;
  jt_recover(store, JT_TRUST);
  jt_unlock(store);
}

/* A word of the header's counters, or behind the owners' slots. */
static void step_damage(life *of, unsigned a, unsigned b, unsigned c) {
  jt_store *store = of->store;
  const size_t counters = offsetof(jt_header, by_status) / 8;
  size_t first = store->geometry.cells_at / 8, end = store->geometry.size / 8;
  size_t at = a < 16 ? counters + a : first + (a << 8 | b) % (end - first);
  jt_word *word = (jt_word *)(void *)store->base + at;
  uint64_t value = c < 64 ? jt_word_load(word) ^ UINT64_C(1) << c
                 : c < 128 ? jt_word_load((jt_word *)(void *)store->base + first + c)
                 : c < 192 ? c - 128u : UINT64_MAX << (c - 192);
  jt_word_store(word, value);
  of->damaged = true;
}

static void step_reopen(life *of) {
  jt_store_close(of->store);
  begin_anew(of, "opened again");
}

/* While the first has it open. */
static void step_second(const life *of, bool readonly) {
  jt_store *second = open_store(of->path, readonly);
  if (second == NULL) return;
  exercise_reading(second);
  jt_store_close(second);
}

static void step(life *of, const unsigned char *bytes) {
  unsigned a = bytes[1], b = bytes[2], c = bytes[3];
  job_id id = some_id(of->store, a % 16);
  uint64_t removed;
  char made[JT_ID_MAX + 1];
  switch (bytes[0] % 18) {
    case 0: case 1: step_update(of->store, &id, b, c); break;
    case 2: jt_create_numbered(of->store, "fuzz", 4, a); break;
    case 3: jt_create(of->store, "drawn", 5, made); break;
    case 4: erase(of->store, &id); break;
    case 5: step_claim(of->store, &id); break;
    case 6: cancel_job(of->store, &id, "fuzzed"); break;
    case 7: step_wait(of->store, &id, b); break;
    case 8: step_changes(of->store, b); break;
    case 9: step_recover(of->store); break;
    case 10: case 11: step_damage(of, a, b, c); break;
    case 12: step_reopen(of); break;
    case 13: step_second(of, b & 1); break;
    case 14: exercise_reading(of->store); break;
    case 15: jt_store_set_retention(of->store, (int64_t)(int8_t)b); break;
    case 16: if (b == 0) jt_clear(of->store, &removed); break;
    default: if (b < 32) exercise(of->store);
  }
}

static void play(life *of, const image *script) {
  for (size_t i = 0; i + STEP_BYTES <= script->script_length; i += STEP_BYTES) {
    step(of, script->script + i);
    if (of->store == NULL) return;
    check_sound(of, "after a step");
  }
}

/* ---------------------------------------------------------------------- one input */

static const char *file_for_it(void) {
  static char path[64];
  if (path[0] == '\0')
    snprintf(path, sizeof path, "/dev/shm/file_fuzz.%d", (int)getpid());
  return path;
}

static void remove_file(void) {
  unlink(file_for_it());
}

static void write_file(const char *path, const unsigned char *bytes, size_t size) {
  static int file = -1;
  if (file < 0) {
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    atexit(remove_file);
  }
  if (file < 0 || ftruncate(file, 0) != 0 || ftruncate(file, (off_t)size) != 0 ||
      pwrite(file, bytes, size, 0) != (ssize_t)size) {
    perror(path);
    exit(EXIT_FAILURE);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length) {
  image given = image_of(input, length);
  life of = { .path = file_for_it() };
  write_file(of.path, input, given.size);
  jt_store *reader = open_store(of.path, true);
  if (reader != NULL) {
    exercise_reading(reader);
    jt_store_close(reader);
  }
  begin_anew(&of, "opened");
  if (of.store == NULL) return 0;
  play(&of, &given);
  if (of.store != NULL) jt_store_close(of.store);
  demand(NULL, "checks");
  return 0;
}
