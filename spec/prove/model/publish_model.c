/*
** publish_model.c - publishing and reading, by the store's own functions, as a program
** so small that a model checker goes through all its executions. Knows of the rest of
** the store only what these functions need: two or three units that change hands.
**
** The functions are those that the store consists of: publish.c, read.c and stats.c are
** included whole. What jt_publish and copy_with_blobs do in between (hash, count)
** orders nothing and is left out; 'frozen' notices when they change.
**
** By itself it is a program with threads, for clang's ThreadSanitizer. With GenMC, of
** which Debian has no package (https://plv.mpi-sws.org/genmc, 0.10 was tried), every
** execution that RC11 or IMM allow is gone through, and each variant refuted:
**
**   genmc --disable-estimation -- -DGENMC -D_GNU_SOURCE -Isrc ...publish_model.c
**
** 'run' beside this file does both, the second where there is a genmc; where there is
** none, publish.pml is what goes through all executions.
**
** What may be defined:
**   JOBS=2         two jobs, each with its writer: one's units become the other's (1)
**   STEP=8388608   versions come round in the cell: the third is as the first (1)
**   POLL=1         the reader polls the store's version instead (0)
**   TIMES          how often each thread does its work (1); prints how many copies were
**                  believed
**   NO_FENCE, NO_LOAD, NO_STORE   an order, such as memory_order_release: such fences are
**                  left out, such loads or stores are relaxed
*/
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

/* ------------------------------------------------- leaving out, before all else */

#ifdef NO_FENCE
#undef atomic_thread_fence
#define atomic_thread_fence(order) \
  do { if ((order) != NO_FENCE) __c11_atomic_thread_fence(order); } while (0)
#endif

#ifdef NO_LOAD
#undef atomic_load_explicit
#define atomic_load_explicit(from, order) \
  __c11_atomic_load((from), (order) == NO_LOAD ? memory_order_relaxed : (order))
#endif

#ifdef NO_STORE
#undef atomic_store_explicit
#define atomic_store_explicit(to, value, order) \
  __c11_atomic_store((to), (value), (order) == NO_STORE ? memory_order_relaxed : (order))
#endif

/* GenMC follows memory in the sizes that it was written in: words are copied as such. */
#ifdef GENMC
#include <string.h>
#define memcpy(to, from, bytes) \
  ((void)((bytes) == 8 && (*(uint64_t *)(to) = *(const uint64_t *)(from))))
#endif

#include "store/publish.c"
#include "store/read.c"
#include "store/stats.c"

#ifndef JOBS
#define JOBS 1
#endif
#ifndef POLL
#define POLL 0
#endif
#ifndef STEP
#define STEP 1
#endif
#ifndef TIMES
#define TIMES 1
#endif

enum {
  FIRST_UNIT = 2,                 /* as in a region: 0 and 1 are never of the heap */
  UNITS = 2 * JOBS + 2,           /* a record and a blob for each job and a new one */
  END_UNIT = FIRST_UNIT + UNITS,
  WRITERS = 2
};

static jt_word region[END_UNIT * JT_UNIT / 8];
static jt_word cells[2];
static jt_header header;
static jt_store store;

/* ---------------------------------------------------------------------- writing */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Bool taken[END_UNIT];     /* under the lock */

/* What a record says here. Its text, and its blob's, is made of its job and version. */
enum { TEXT, VERSION, BLOB, WORDS };

_Static_assert((int)VERSION == (int)JT_RECORD_VERSION,
               "the version is where a record has it");

static uint64_t text_for(uint32_t job, uint64_t version) {
  return version << 8 | job;
}

static uint32_t take(void) {
  uint32_t unit = FIRST_UNIT;
  while (taken[unit]) unit++;
  taken[unit] = 1;
  return unit;
}

/* As jt_replace does: jt_blob_write, jt_publish, giving the old units back. */
static void publish(uint32_t job) {
  uint64_t old = jt_word_load(&cells[job]), version = jt_next_version(&store) - 1 + STEP;
  uint32_t unit = take(), blob = take();
  uint64_t record[WORDS] = { text_for(job, version), version, blob };
  before_filling();
  jt_words_write(jt_unit_words(&store, blob), record, 8);
  before_filling();
  jt_record_write(jt_unit_words(&store, unit), record, WORDS);
  jt_cell_publish(&store, job, jt_cell_make((uint64_t)job << 52, version, unit));
  store_version(&header, version);
  if (old == JT_CELL_EMPTY) return;
  uint32_t gone = jt_cell_unit(old);
  taken[jt_word_load(jt_unit_words(&store, gone) + BLOB)] = 0;
  taken[gone] = 0;
}

static void *writer(void *argument) {
  uint32_t job = (uint32_t)(uintptr_t)argument;
  for (int i = 0; i < TIMES; i++) {
    pthread_mutex_lock(&lock);
    publish(job);
    pthread_mutex_unlock(&lock);
  }
  return 0;
}

/* ---------------------------------------------------------------------- reading */

static unsigned long long believed;

/* As sight_cell and copy_with_blobs do; what is copied is believed only if the second
   look, after all of it, finds the cell as it was. */
static void read_job(uint32_t job) {
  uint64_t cell = jt_cell_load(&store, job), text;
  const jt_word *record = jt_unit_words(&store, jt_cell_unit(cell));
  uint64_t version = jt_record_version_first(record), copy = jt_word_load(record + TEXT);
  uint64_t blob = jt_word_load(record + BLOB);
  if (!jt_run_inside(&store.geometry, blob, 1)) return;
  jt_words_read(&text, jt_unit_words(&store, (uint32_t)blob), sizeof text);
  if (!unchanged(&store, job, cell, version)) return;
  assert(jt_cell_has_version(cell, version));
  assert(copy == text_for(job, version));
  assert(text == copy);
  believed++;
}

/* Who sees a version sees the cell that came with it, or a later one. */
static void poll_version(void) {
  uint64_t version = jt_store_version(&store);
  uint64_t cell = jt_cell_load(&store, 0);
  assert(((cell >> JT_UNIT_BITS) & 0xffffff) >= version);
  believed++;
}

static void *reader(void *argument) {
  (void)argument;
  for (int i = 0; i < TIMES; i++) {
    if (POLL) poll_version();
    else read_job(0);
  }
  return 0;
}

/* -------------------------------------------------------------------------- main */

static void begin(void) {
  store.geometry.cells = 2;
  store.geometry.first_unit = FIRST_UNIT;
  store.geometry.end_unit = END_UNIT;
  store.base = (unsigned char *)region;
  store.cells = cells;
  store.header = &header;
  for (uint32_t job = 0; job < JOBS; job++) publish(job);
}

int main(void) {
  pthread_t thread[WRITERS + 1];
  begin();
  for (uintptr_t i = 0; i < WRITERS; i++)
    pthread_create(&thread[i], 0, writer, (void *)(i % JOBS));
  pthread_create(&thread[WRITERS], 0, reader, 0);
  for (int i = 0; i <= WRITERS; i++) pthread_join(thread[i], 0);
#ifndef GENMC
  printf("%llu\n", believed);
#endif
  return 0;
}
