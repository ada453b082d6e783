/*
** region.c - making regions and calling the store in few words.
*/
#include "region.h"

#include "store/cells.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/bury.h"
#include "store/owner.h"

#define WALL ((size_t)JT_PAGE)

uint64_t region_size(uint64_t max_jobs, uint32_t units) {
  jt_geometry geometry;
  uint64_t size = 2 * JT_PAGE + (uint64_t)units * JT_UNIT;
  while (!jt_geometry_make(size, max_jobs, &geometry, NULL)) size += JT_UNIT;
  while (geometry.end_unit - geometry.first_unit < units) {
    size += (units - (geometry.end_unit - geometry.first_unit)) * JT_UNIT;
    jt_geometry_make(size, max_jobs, &geometry, NULL);
  }
  return size;
}

static size_t pages_for(uint64_t size) {
  return (size_t)((size + JT_PAGE - 1) / JT_PAGE * JT_PAGE);
}

static unsigned char *walled_in(uint64_t size) {
  size_t inside = pages_for(size);
  unsigned char *base = mmap(NULL, inside + 2 * WALL, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *room = base == MAP_FAILED ? MAP_FAILED
    : mmap(base + WALL, inside, PROT_READ | PROT_WRITE,
           MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    perror("mmap");
    exit(EXIT_FAILURE);
  }
  return base + WALL + (inside - (size_t)size);
}

static jt_store *attach(const jt_geometry *geometry) {
  jt_store *store = check_memory(sizeof *store);
  store->file = -1;
  jt_store_attach(store, geometry, walled_in(geometry->size));
  return store;
}

jt_store *region_make(uint64_t max_jobs, uint32_t units) {
  jt_geometry geometry;
  jt_error error;
  if (!jt_geometry_make(region_size(max_jobs, units), max_jobs, &geometry, &error) ||
      geometry.end_unit - geometry.first_unit != units)
    check_skip("no region has %u units", units);
  jt_store *store = attach(&geometry);
  if (jt_header_make(store, &error) != JT_OK) check_skip("%s", error.message);
  jt_word_store(&store->header->magic, JT_MAGIC_READY);
  return store;
}

/* A region is not to go while the C library's list leads through it. A clone has
   the same words, and nothing hangs there. */
static void leave(jt_store *store) {
  uint32_t self = jt_owner_self(store);
  if (self != 0 && jt_owner_hangs_here(store, self)) jt_owner_leave(store, self);
}

void region_free(jt_store *store) {
  leave(store);
  size_t inside = pages_for(store->geometry.size);
  munmap(store->base - (inside - store->geometry.size) - WALL, inside + 2 * WALL);
  free(store);
}

void region_copy(jt_store *to, const jt_store *from) {
  leave(to);
  memcpy(to->base, from->base, from->geometry.size);
}

jt_store *region_clone(const jt_store *store) {
  jt_store *clone = attach(&store->geometry);
  region_copy(clone, store);
  return clone;
}

void region_verify(jt_store *store) {
  jt_error error;
  leave(store);
  CHECK_CODE(jt_begin_anew(store, &error), JT_OK);
}

jt_store region_view(const jt_store *store, bool readonly) {
  jt_store view = *store;
  view.readonly = readonly;
  return view;
}

jt_store *file_store(const char *name, uint64_t size, uint64_t max_jobs) {
  const jt_options options = { .size = size, .max_jobs = max_jobs };
  jt_store *store;
  jt_error error;
  if (jt_store_open(check_path(name), &options, &store, &error) == JT_OK) return store;
  printf("    %s\n", error.message);
  exit(EXIT_FAILURE);
}

jt_store *file_open(const char *path, bool readonly) {
  const jt_options options = { .readonly = readonly };
  jt_store *store;
  jt_error error;
  if (jt_store_open(path, &options, &store, &error) == JT_OK) return store;
  printf("    %s\n", error.message);
  exit(EXIT_FAILURE);
}

typedef struct holder {
  jt_store *store;
  _Atomic uint32_t holding;       /* shared with the parent */
} holder;

static void hold_lock(void *context) {
  holder *h = context;
  CHECK_INT(pthread_mutex_lock(&h->store->header->lock), 0);
  atomic_store(&h->holding, 1);
  for (;;) pause();
}

pid_t stopped_holder(jt_store *store) {
  holder *h = check_shared(sizeof *h);
  h->store = store;
  pid_t child = check_fork(hold_lock, h);
  CHECK_AWAIT(&h->holding, 1);
  CHECK_INT(kill(child, SIGSTOP), 0);
  return child;
}

job_id id_of(const char *type, uint32_t number) {
  job_id id;
  id.length = jt_id_format(type, strlen(type), number, id.text);
  return id;
}

void put_letters(char at[4], uint32_t number) {
  for (int i = 0; i < 4; i++, number /= 26) at[i] = (char)('a' + number % 26);
}

bool ids_meet(const jt_store *store, const job_id *a, const job_id *b) {
  uint64_t one = jt_hash(a->text, a->length), other = jt_hash(b->text, b->length);
  return one >> 52 == other >> 52 && jt_cell_home(&store->geometry, one) ==
                                     jt_cell_home(&store->geometry, other);
}

job_id create(jt_store *store, const char *type, uint32_t number) {
  CHECK_CODE(jt_create_numbered(store, type, strlen(type), number), JT_OK);
  return id_of(type, number);
}

jt_code update(jt_store *store, const job_id *id, const jt_change *change) {
  return jt_update(store, id->text, id->length, change);
}

jt_code set_status(jt_store *store, const job_id *id, jt_status status) {
  return update(store, id, &(jt_change){ .fields = JT_SET_STATUS, .status = status });
}

jt_code erase(jt_store *store, const job_id *id) {
  return jt_delete(store, id->text, id->length);
}

jt_code claim_job(jt_store *store, const job_id *id) {
  return jt_claim(store, id->text, id->length);
}

jt_code cancel_job(jt_store *store, const job_id *id, const char *reason) {
  return jt_cancel(store, id->text, id->length, text_of(reason));
}

job_id create_claimed(jt_store *store, const char *type, uint32_t number) {
  job_id id = create(store, type, number);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  return id;
}

job_id create_finished(jt_store *store, const char *type, uint32_t number) {
  job_id id = create(store, type, number);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  return id;
}

jt_code set_result(jt_store *store, const job_id *id, size_t bytes, char fill) {
  jt_text text = text_filled(bytes, fill);
  jt_code code = update(store, id, &(jt_change){ .fields = JT_SET_RESULT,
                                                 .result = text });
  free((void *)(uintptr_t)text.bytes);
  return code;
}

jt_code get(jt_store *store, const job_id *id, jt_job **job) {
  size_t capacity = JT_JOB_MAX, needed = 0;
  jt_code code;
  *job = NULL;
  do {
    free(*job);
    *job = check_memory(capacity);
    code = jt_get(store, id->text, id->length, *job, capacity, &needed);
    capacity = needed;
  } while (code == JT_TOO_SMALL);
  if (code == JT_OK) return code;
  free(*job);
  *job = NULL;
  return code;
}

bool exists(jt_store *store, const job_id *id) {
  jt_job *job;
  jt_code code = get(store, id, &job);
  free(job);
  if (code != JT_NOT_FOUND) CHECK_CODE(code, JT_OK);
  return code == JT_OK;
}

bool text_same(jt_text a, jt_text b) {
  return a.length == b.length && !a.bytes == !b.bytes &&
         (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

bool job_same_state(const jt_job *a, const jt_job *b) {
  if (a == NULL || b == NULL) return a == b;
  for (int part = 0; part < JT_PARTS; part++)
    if (!text_same(jt_job_part(a, (jt_part)part), jt_job_part(b, (jt_part)part)))
      return false;
  return a->status == b->status && memcmp(&a->progress, &b->progress, 8) == 0 &&
         !a->started_at == !b->started_at && !a->finished_at == !b->finished_at;
}

bool job_same(const jt_job *a, const jt_job *b) {
  if (a == NULL || b == NULL) return a == b;
  return job_same_state(a, b) && a->version == b->version &&
         a->sequence == b->sequence && a->created_at == b->created_at &&
         a->updated_at == b->updated_at && a->started_at == b->started_at &&
         a->finished_at == b->finished_at;
}

jt_text text_of(const char *text) {
  return (jt_text){ text, strlen(text) };
}

jt_text text_filled(size_t bytes, char fill) {
  char *buffer = check_memory(bytes + 1);
  memset(buffer, fill, bytes);
  return (jt_text){ buffer, bytes };
}
