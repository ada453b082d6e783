/*
** stats.c - what the header tells, and who is dead.
*/
#include "bury.h"
#include "cells.h"
#include "heap.h"
#include "owner.h"
#include "read.h"

uint64_t jt_store_version(const jt_store *store) {
  return atomic_load_explicit(&store->header->version, memory_order_acquire);
}

bool jt_store_is_readonly(const jt_store *store) {
  return store->readonly;
}

static uint64_t at_most(uint64_t value, uint64_t limit) {
  return value < limit ? value : limit;
}

/* The counters lie in the region: a damaged one may make a number wrong, but not
   larger than it can be. */
static void read_counters(const jt_store *store, jt_stats *stats) {
  const jt_header *header = store->header;
  uint64_t heap = jt_heap_units(store);
  uint64_t used = at_most(jt_word_load(&header->units_used), heap);
  *stats = (jt_stats){ .max_jobs = store->geometry.max_jobs,
                       .size = store->geometry.size,
                       .evictions = jt_word_load(&header->evictions),
                       .recoveries = jt_word_load(&header->recoveries),
                       .damaged = jt_word_load(&header->damaged),
                       .version = jt_store_version(store),
                       .retention = (int64_t)jt_word_load(&header->retention) };
  for (int i = 0; i < JT_STATUSES; i++) {
    stats->by_status[i] = at_most(jt_word_load(&header->by_status[i]), stats->max_jobs);
    stats->jobs += stats->by_status[i];
  }
  stats->jobs = at_most(stats->jobs, stats->max_jobs);
  stats->bytes_used = used * JT_UNIT;
  stats->bytes_available = (heap - used) * JT_UNIT;
}

/* What could not be written off is counted as it is, and said to be failed. */
static void count_orphans(jt_store *store, jt_stats *stats) {
  jt_sight sight;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    if (!jt_cell_is_job(jt_cell_load(store, at)) ||
        jt_sight_read(store, at, &sight) != JT_OK || !sight.orphaned)
      continue;
    uint64_t *stored = &stats->by_status[jt_words_status(&sight.words)];
    if (*stored == 0) continue;   /* the counts are of another instant */
    *stored -= 1;
    stats->by_status[JT_FAILED]++;
  }
}

void jt_store_stats(jt_store *store, jt_stats *stats) {
  jt_settle(store);
  read_counters(store, stats);
  if (jt_owners_dead(store) > 0) count_orphans(store, stats);
}

void jt_store_pulse(jt_store *store, uint64_t *version, uint32_t *dead) {
  jt_settle(store);
  *dead = jt_owners_dead(store);
  *version = jt_store_version(store);
}
