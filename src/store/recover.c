/*
** recover.c - the pass of recovery, used three times: after a killed writer, at
** the first opening of a file, and so after a reboot.
**
** The cells are the truth. What else the header and the bitmap say follows
** from them, so there is nothing to undo and nothing to replay: forget it all,
** and count again. Even a torn header does no harm.
*/
#include "recover.h"

#include "cells.h"
#include "heap.h"

#define STEPS_PER_CELL 64

typedef struct tally {
  uint64_t by_status[JT_STATUSES];
  uint64_t pinned, version;
  uint64_t dropped;
  uint64_t bytes;                 /* of blobs that may yet be looked through */
  uint64_t steps;                 /* along probe paths, that may yet be made */
  uint32_t longest_search;
} tally;

/* Copies a blob's bytes nowhere: the hash wants them in one piece, and nobody
   can be writing them. */
static bool blob_intact(const jt_store *store, const jt_blob *blob) {
  const void *bytes = jt_unit_words(store, blob->unit);
  return jt_hash(bytes, blob->length) == blob->checksum;
}

/*
** Whether the record at 'unit' and its blobs are as they were written. All blobs
** together are not longer than the heap, unless many records lay claim to the
** same bytes: 'sum->bytes' keeps a malicious file from being read for days.
*/
static bool read_verified(const jt_store *store, uint32_t unit, jt_record_words *words,
                          jt_glance *glance, tally *sum) {
  if (!jt_record_copy(store, unit, words) || !jt_record_intact(words) ||
      !jt_record_valid(store, words))
    return false;
  jt_words_glance(words, glance);
  jt_text id = jt_words_id(words);
  if (glance->version >= JT_VERSION_SAFE ||
      jt_words_time(words, JT_RECORD_UPDATED_AT) >= JT_TIME_SAFE ||
      !jt_id_valid(id.bytes, id.length))
    return false;
  for (uint32_t left = glance->blobs; left != 0; left &= left - 1) {
    const jt_blob *blob = &glance->blob[__builtin_ctz(left)];
    if (blob->length > sum->bytes) return false;
    sum->bytes -= blob->length;
    if (!blob_intact(store, blob)) return false;
  }
  return true;
}

/*
** Makes the entry reachable. False: its id is another entry's, or not its own;
** or the way from its home is so long that only malice can have laid it, when
** 'sum->steps', the whole pass's allowance, is used up.
*/
static bool reachable(jt_store *store, uint32_t at, jt_text id, tally *sum) {
  const jt_geometry *geometry = &store->geometry;
  uint64_t hash = jt_hash(id.bytes, id.length);
  uint32_t length = jt_cells_between(geometry, hash, at);
  if (!jt_cell_has_tag(jt_word_load(&store->cells[at]), hash) || length > sum->steps)
    return false;
  sum->steps -= length;
  if (length > sum->longest_search) sum->longest_search = length;
  jt_cells_reach(store, at, hash);
  return jt_cells_find(store, id, hash) == at;
}

/* Takes all the runs of a job, or none: no two jobs share a unit. Returns how many
   units they are together, 0: none was taken. */
static uint64_t claim(jt_store *store, const jt_run *runs, int count) {
  uint64_t units = 0;
  int claimed = 0;
  while (claimed < count &&
         jt_heap_claim(store, runs[claimed].unit, runs[claimed].units))
    units += runs[claimed++].units;
  if (claimed == count) return units;
  while (claimed-- > 0) jt_heap_give(store, runs[claimed].unit, runs[claimed].units);
  return 0;
}

static bool count_in(jt_store *store, uint32_t unit, const jt_glance *glance,
                     tally *sum) {
  jt_run runs[JT_RUNS];
  uint64_t units = claim(store, runs, jt_glance_runs(glance, unit, runs));
  if (units == 0) return false;
  sum->by_status[glance->status]++;
  if (!jt_status_finished(glance->status)) sum->pinned += units;
  if (glance->version > sum->version) sum->version = glance->version;
  return true;
}

static bool take_trusted(jt_store *store, uint32_t at, tally *sum) {
  uint64_t cell = jt_word_load(&store->cells[at]);
  uint32_t unit = jt_cell_unit(cell);
  jt_glance glance;
  return jt_record_glance(store, unit, &glance) &&
         jt_cell_has_version(cell, glance.version) &&
         count_in(store, unit, &glance, sum);
}

static bool take_verified(jt_store *store, uint32_t at, tally *sum) {
  uint64_t cell = jt_word_load(&store->cells[at]);
  uint32_t unit = jt_cell_unit(cell);
  jt_record_words words;
  jt_glance glance;
  return read_verified(store, unit, &words, &glance, sum) &&
         jt_cell_has_version(cell, glance.version) &&
         reachable(store, at, jt_words_id(&words), sum) &&
         count_in(store, unit, &glance, sum);
}

/* Inline: see jt_record_prefetch. */
__attribute__((always_inline))
static inline void prefetch(const jt_store *store, const uint32_t *jobs,
                            uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    uint32_t unit = jt_cell_unit(jt_word_load(&store->cells[jobs[i]]));
    jt_record_prefetch(store, unit, 1);
    jt_heap_prefetch(store, unit);
  }
}

static void take_batch(jt_store *store, uint32_t from, jt_doubt doubt, tally *sum) {
  jt_word *damaged = &store->header->damaged;
  uint32_t jobs[JT_BATCH], count = jt_cells_gather(store, from, jobs);
  prefetch(store, jobs, count);
  for (uint32_t i = 0; i < count; i++) {
    if (doubt == JT_TRUST ? take_trusted(store, jobs[i], sum)
                          : take_verified(store, jobs[i], sum))
      continue;
    jt_word_store(damaged, jt_word_load(damaged) + 1);
    sum->dropped++;
    jt_cell_publish(store, jobs[i], JT_CELL_DELETED);
  }
}

static void write_counters(jt_header *header, const tally *sum, jt_doubt doubt) {
  uint64_t version = jt_word_load(&header->version);
  for (int i = 0; i < JT_STATUSES; i++)
    jt_word_store(&header->by_status[i], sum->by_status[i]);
  jt_word_store(&header->units_pinned, sum->pinned);
  /* Deletions have raised the counter beyond any record's version. */
  if (sum->version > version || version >= JT_VERSION_SAFE) version = sum->version;
  /* The dead writer may have committed a deletion that it did not count: those
     who poll the counter are to look again. */
  if (doubt == JT_TRUST || sum->dropped > 0) version++;
  atomic_store_explicit(&header->version, version, memory_order_release);
  if (doubt == JT_VERIFY)
    jt_word_store(&header->longest_search, jt_twice(sum->longest_search));
  if (doubt == JT_TRUST)
    jt_word_store(&header->recoveries, jt_word_load(&header->recoveries) + 1);
}

void jt_recover(jt_store *store, jt_doubt doubt) {
  tally sum = { .steps = STEPS_PER_CELL * (uint64_t)store->geometry.cells,
                .bytes = 2 * store->geometry.size };
  jt_heap_reset(store);
  /* Until it is known again: as long as can be, for those who read meanwhile. */
  if (doubt == JT_VERIFY)
    jt_word_store(&store->header->longest_search, jt_twice(store->geometry.cells));
  for (uint32_t from = 0; from < store->geometry.cells; from += JT_BATCH)
    take_batch(store, from, doubt, &sum);
  write_counters(store->header, &sum, doubt);
}
