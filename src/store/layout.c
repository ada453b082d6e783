/*
** layout.c - the arithmetic of the region: sizes in, offsets out.
*/
#include "layout.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define MIN_UNITS 16u
#define MAX_JOBS (UINT64_C(1) << 27)
#define MAX_SIZE (((UINT64_C(1) << JT_UNIT_BITS) - 1) * JT_UNIT)
#define MIN_CANDIDATES 16u
#define OWNERS_AT (2 * JT_PAGE)

jt_code jt_fail(jt_error *error, jt_code code, const char *format, ...) {
  if (error != NULL) {
    va_list arguments;
    error->code = code;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
  }
  return code;
}

static uint32_t cells_for(uint64_t max_jobs) {
  uint32_t cells = 8;
  while (cells < 2 * max_jobs) cells *= 2;
  return cells;
}

/* A sixteenth of the jobs, so that the cost of the pass is shared by many. */
static uint32_t candidates_for(uint64_t max_jobs) {
  uint64_t share = max_jobs / 16;
  return share < MIN_CANDIDATES ? MIN_CANDIDATES : (uint32_t)share;
}

static uint64_t line_up(uint64_t offset) {
  return (offset + JT_UNIT - 1) & ~(uint64_t)(JT_UNIT - 1);
}

bool jt_geometry_make(uint64_t size, uint64_t max_jobs, jt_geometry *geometry,
                      jt_error *error) {
  jt_geometry g = { .size = size, .max_jobs = max_jobs };
  if (max_jobs < 1 || max_jobs > MAX_JOBS) {
    jt_fail(error, JT_INCOMPATIBLE, "max_jobs must be from 1 to %llu, got %llu",
            (unsigned long long)MAX_JOBS, (unsigned long long)max_jobs);
    return false;
  }
  if (size / JT_UNIT >= UINT64_C(1) << JT_UNIT_BITS) {
    jt_fail(error, JT_INCOMPATIBLE, "size must be less than 16 GiB, got %llu bytes",
            (unsigned long long)size);
    return false;
  }
  g.cells = cells_for(max_jobs);
  g.candidates = candidates_for(max_jobs);
  g.cells_at = OWNERS_AT + JT_OWNERS * sizeof(jt_slot);
  g.scratch_at = g.cells_at + (uint64_t)g.cells * sizeof(jt_word);
  g.bitmap_at = g.scratch_at + (uint64_t)g.candidates * sizeof(jt_candidate);
  uint64_t bitmap_bytes = line_up((size / JT_UNIT + 7) / 8);
  uint64_t heap_at = line_up(g.bitmap_at + bitmap_bytes);
  uint64_t least = heap_at + MIN_UNITS * JT_UNIT;
  if (size < least) {
    jt_fail(error, JT_INCOMPATIBLE, "size must be at least %llu bytes for max_jobs %llu, "
            "got %llu", (unsigned long long)least, (unsigned long long)max_jobs,
            (unsigned long long)size);
    return false;
  }
  g.first_unit = (uint32_t)(heap_at / JT_UNIT);
  g.end_unit = (uint32_t)(size / JT_UNIT);
  *geometry = g;
  return true;
}

bool jt_options_possible(const jt_options *options, jt_error *error) {
  jt_geometry geometry;
  uint64_t size = options->size != 0 ? options->size : MAX_SIZE;
  uint64_t max_jobs = options->max_jobs != 0 ? options->max_jobs : 1;
  return jt_geometry_make(size, max_jobs, &geometry, error);
}

void jt_store_attach(jt_store *store, const jt_geometry *geometry, void *base) {
  unsigned char *bytes = base;
  store->geometry = *geometry;
  store->base = bytes;
  store->header = base;
  store->notice = (void *)(bytes + JT_PAGE);
  store->slots = (void *)(bytes + OWNERS_AT);
  store->cells = (void *)(bytes + geometry->cells_at);
  store->scratch = (void *)(bytes + geometry->scratch_at);
  store->bitmap = (void *)(bytes + geometry->bitmap_at);
}

static int make_lock(pthread_mutex_t *lock) {
  pthread_mutexattr_t shared;
  int failed = pthread_mutexattr_init(&shared);
  if (failed != 0) return failed;
  pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST);
  memset(lock, 0, sizeof *lock);
  failed = pthread_mutex_init(lock, &shared);
  pthread_mutexattr_destroy(&shared);
  return failed;
}

jt_code jt_locks_make(jt_store *store, jt_error *error) {
  int failed = make_lock(&store->header->lock);
  for (uint32_t i = 0; i < JT_OWNERS && failed == 0; i++)
    failed = make_lock(&store->slots[i].life);
  if (failed == 0) return JT_OK;
  return jt_fail(error, JT_IO, "cannot make a robust lock: %s", strerror(failed));
}

bool jt_locks_are_sound(const jt_store *store) {
  pthread_mutex_t model;
  if (make_lock(&model) != 0) return false;
  bool sound = store->header->lock.__data.__kind == model.__data.__kind;
  for (uint32_t i = 0; i < JT_OWNERS; i++)
    sound = sound && store->slots[i].life.__data.__kind == model.__data.__kind;
  return sound;
}

uint64_t jt_default_jobs(uint64_t size) {
  return size < 512 ? 1 : size / 512;
}

uint64_t jt_header_identity(const jt_header *header) {
  const uint64_t facts[] = { header->layout, header->abi, header->size,
                             header->max_jobs };
  return jt_hash(facts, sizeof facts);
}

jt_code jt_header_make(jt_store *store, jt_error *error) {
  jt_header *header = store->header;
  header->layout = JT_LAYOUT_VERSION;
  header->abi = JT_ABI;
  header->size = store->geometry.size;
  header->max_jobs = store->geometry.max_jobs;
  header->identity = jt_header_identity(header);
  jt_word_store(&header->retention, (uint64_t)(int64_t)JT_KEEP);
  jt_word_store(&header->longest_search, jt_twice(0));
  return jt_locks_make(store, error);
}
