/*
** publish.c - filling, committing, counting.
**
** The order within is what readers without a lock rely on, and what a kill at
** any instruction leaves whole:
**
**   1. A release fence, before anything is written into free units. They may
**      have belonged to a job that changed a moment ago, and a reader may be
**      copying them still. If it sees any word of ours, then the fence and its
**      own acquire fence (read.c) make sure that it sees that job's cell
**      changed too, and throws the copy away.
**   2. The words, relaxed; a record's version after all others, release, for a reader
**      to whom the cell looks the same again (read.c).
**   3. The cell, release: the commit.
**   4. The store's version, release, for those who poll it; then the counters
**      and the bitmap, which recovery can rebuild.
*/
#include "publish.h"

#include "cells.h"
#include "heap.h"

static void add(jt_word *word, uint64_t value) {
  jt_word_store(word, jt_word_load(word) + value);
}

static void count(jt_header *header, const jt_glance *held, uint64_t sign) {
  add(&header->by_status[held->status], sign);
  if (!jt_status_finished(held->status))
    add(&header->units_pinned, sign * jt_glance_units(held));
}

/* Most changes are reports of progress, and leave all that is counted as it is. */
static void count_change(jt_header *header, const jt_glance *old, const jt_glance *now) {
  if (old->status == now->status && (old->blobs | now->blobs) == 0 &&
      old->units == now->units)
    return;
  count(header, old, (uint64_t)-1);
  count(header, now, 1);
}

/* Release: whoever polls the counter and sees it sees the cells before it. Pairs
   with jt_store_version. */
static void store_version(jt_header *header, uint64_t version) {
  atomic_store_explicit(&header->version, version, memory_order_release);
}

uint64_t jt_next_version(const jt_store *store) {
  return jt_word_load(&store->header->version) + 1;
}

/* Pairs with the acquire fence in read.c's unchanged(). */
static void before_filling(void) {
  atomic_thread_fence(memory_order_release);
}

jt_blob jt_blob_write(jt_store *store, uint32_t unit, jt_text text) {
  before_filling();
  jt_word *to = jt_unit_words(store, unit);
  uint64_t hash = jt_words_write_text(to, text.bytes, text.length);
  return (jt_blob){ unit, text.length, hash };
}

void jt_publish(jt_store *store, uint32_t at, uint64_t tagged, uint32_t unit,
                jt_record_words *words, const jt_glance *old) {
  jt_header *header = store->header;
  const uint64_t version = jt_next_version(store);
  size_t size = jt_shape_words(jt_words_shape(words));
  jt_glance now;
  words->word[JT_RECORD_VERSION] = version;
  if (old == NULL) words->word[JT_RECORD_SEQUENCE] = version;
  words->word[JT_RECORD_CHECKSUM] =
    store->unverified ? 0 : jt_record_checksum(words->word, size);
  jt_words_glance(words, &now);
  before_filling();
  jt_record_write(jt_unit_words(store, unit), words->word, size);
  jt_cell_publish(store, at, jt_cell_make(tagged, version, unit));
  store_version(header, version);
  if (old == NULL) count(header, &now, 1);
  else count_change(header, old, &now);
}

void jt_remove(jt_store *store, uint32_t at, uint32_t unit, const jt_glance *held) {
  jt_run runs[JT_RUNS];
  int count_of_runs = jt_glance_runs(held, unit, runs);
  jt_cells_remove(store, at);
  store_version(store->header, jt_next_version(store));
  for (int i = 0; i < count_of_runs; i++)
    jt_heap_give(store, runs[i].unit, runs[i].units);
  count(store->header, held, (uint64_t)-1);
}
