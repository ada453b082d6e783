/*
** evict.c - the pass that makes room.
**
** Which are the oldest of a million jobs, with no memory but a fixed scratch
** and one look at each? A heap of candidates with the youngest on top: a job
** older than the top takes its place. Each removal is a commit of its own.
*/
#include "evict.h"

#include <time.h>

#include "cells.h"
#include "heap.h"
#include "publish.h"

static int64_t time_by(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  int64_t time = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
  return time < 1 ? 1 : time < JT_TIME_SAFE ? time : JT_TIME_SAFE;
}

int64_t jt_now(void) {
  return time_by(CLOCK_REALTIME);
}

int64_t jt_last_tick(void) {
  return time_by(CLOCK_REALTIME_COARSE);
}

static int64_t retention_of(const jt_store *store) {
  return (int64_t)jt_word_load(&store->header->retention);
}

static bool expired_by(int64_t retention, int64_t finished_at, int64_t now) {
  return retention >= 0 && finished_at <= now - retention;
}

bool jt_expired(const jt_store *store, const jt_record_words *words) {
  int64_t retention = retention_of(store);
  return jt_status_finished(jt_words_status(words)) && retention >= 0 &&
         expired_by(retention, jt_words_time(words, JT_RECORD_FINISHED_AT), jt_now());
}

jt_code jt_store_set_retention(jt_store *store, int64_t retention) {
  if (store->readonly) return JT_READONLY;
  jt_word_store(&store->header->retention, (uint64_t)retention);
  return JT_OK;
}

/* A finished job in that cell, and its unit. */
static bool finished_at(const jt_store *store, uint32_t at, uint32_t *unit,
                        jt_glance *glance) {
  uint64_t cell = jt_word_load(&store->cells[at]);
  *unit = jt_cell_unit(cell);
  return jt_cell_is_job(cell) && jt_record_glance(store, *unit, glance) &&
         jt_status_finished(glance->status);
}

/* Restores the heap below 'top', whose children are heaps. */
static void sift(jt_candidate *heap, uint64_t count, uint64_t top) {
  for (uint64_t child; (child = 2 * top + 1) < count; top = child) {
    if (child + 1 < count && heap[child + 1].finished_at > heap[child].finished_at)
      child++;
    if (heap[top].finished_at >= heap[child].finished_at) return;
    jt_candidate swap = heap[top];
    heap[top] = heap[child];
    heap[child] = swap;
  }
}

typedef struct candidates {
  jt_candidate *heap;
  uint64_t count, capacity;
} candidates;

static void consider(candidates *oldest, uint32_t at, int64_t finished_at) {
  jt_candidate candidate = { finished_at, at };
  if (oldest->count < oldest->capacity) {
    oldest->heap[oldest->count++] = candidate;
    if (oldest->count < oldest->capacity) return;
    for (uint64_t top = oldest->count / 2; top-- > 0;)
      sift(oldest->heap, oldest->count, top);
  } else if (finished_at < oldest->heap[0].finished_at) {
    oldest->heap[0] = candidate;
    sift(oldest->heap, oldest->count, 0);
  }
}

static uint64_t remove_candidates(jt_store *store, const candidates *oldest) {
  jt_glance glance;
  uint64_t removed = 0;
  uint32_t unit;
  for (uint64_t i = 0; i < oldest->count; i++) {
    uint64_t at = oldest->heap[i].cell;
    if (at >= store->geometry.cells ||
        !finished_at(store, (uint32_t)at, &unit, &glance))
      continue;
    jt_remove(store, (uint32_t)at, unit, &glance);
    removed++;
  }
  return removed;
}

static candidates candidates_for(const jt_store *store, uint64_t share) {
  const jt_header *header = store->header;
  uint64_t finished = jt_word_load(&header->by_status[JT_COMPLETED]) +
                      jt_word_load(&header->by_status[JT_FAILED]);
  candidates oldest = { store->scratch, 0, finished / share };
  if (oldest.capacity < 1) oldest.capacity = 1;
  if (oldest.capacity > store->geometry.candidates)
    oldest.capacity = store->geometry.candidates;
  return oldest;
}

/*
** By one retention, though it may be changed meanwhile, without the lock: a pass that
** goes by two of them empties one part of the index and leaves another full. What comes
** later goes to all of it, and searches in the full part get hundreds of cells long.
*/
uint64_t jt_evict(jt_store *store, uint32_t keep, uint64_t share) {
  candidates oldest = candidates_for(store, share);
  uint64_t removed = 0;
  int64_t now = jt_now(), retention = retention_of(store);
  jt_glance glance;
  uint32_t unit;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    if (at == keep || !finished_at(store, at, &unit, &glance)) continue;
    if (expired_by(retention, glance.finished_at, now)) {
      jt_remove(store, at, unit, &glance);
      removed++;
    } else {
      consider(&oldest, at, glance.finished_at);
    }
  }
  if (removed == 0) removed = remove_candidates(store, &oldest);
  jt_word *evictions = &store->header->evictions;
  jt_word_store(evictions, jt_word_load(evictions) + removed);
  return removed;
}

void jt_evict_suppose(jt_store *store, uint32_t keep, bool gone) {
  jt_run runs[JT_RUNS];
  jt_glance glance;
  uint32_t unit;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    if (at == keep || !finished_at(store, at, &unit, &glance)) continue;
    int count = jt_glance_runs(&glance, unit, runs);
    for (int i = 0; i < count; i++)
      jt_heap_suppose(store, runs[i].unit, runs[i].units, !gone);
  }
}
