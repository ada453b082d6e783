/*
** list.c - which jobs there are: one scan of the cells without the lock, and a
** heap that keeps the newest.
*/
#include <stdlib.h>

#include "cells.h"
#include "evict.h"
#include "read.h"

static bool matches(const jt_store *store, const jt_filter *filter,
                    const jt_record_words *words) {
  jt_text id = jt_words_id(words);
  if (filter->status >= 0 && (int)jt_words_status(words) != filter->status) return false;
  if (filter->type.bytes != NULL &&
      (filter->type.length != id.length - 9 ||
       memcmp(filter->type.bytes, id.bytes, filter->type.length) != 0))
    return false;
  return !jt_expired(store, words);
}

/* Restores the heap (the oldest on top) below 'top'. */
static void sift(jt_key *heap, size_t count, size_t top) {
  for (size_t child; (child = 2 * top + 1) < count; top = child) {
    if (child + 1 < count && heap[child + 1].sequence < heap[child].sequence) child++;
    if (heap[top].sequence <= heap[child].sequence) return;
    jt_key swap = heap[top];
    heap[top] = heap[child];
    heap[child] = swap;
  }
}

typedef struct newest {
  jt_key *heap;
  size_t count, capacity;
} newest;

static void consider(newest *list, jt_key key) {
  if (list->count < list->capacity) {
    list->heap[list->count++] = key;
    if (list->count < list->capacity) return;
    for (size_t top = list->count / 2; top-- > 0;) sift(list->heap, list->count, top);
  } else if (key.sequence > list->heap[0].sequence) {
    list->heap[0] = key;
    sift(list->heap, list->count, 0);
  }
}

static int newer_first(const void *left, const void *right) {
  const jt_key *a = left, *b = right;
  return a->sequence > b->sequence ? -1 : a->sequence < b->sequence;
}

typedef struct look {
  uint32_t at;
  jt_sight *sight;
} look;

static jt_code try_look(jt_store *store, void *context) {
  const look *want = context;
  return jt_sight_at(store, want->at, want->sight);
}

jt_code jt_list(jt_store *store, const jt_filter *filter, jt_key *keys,
                size_t capacity, size_t *count) {
  newest list = { keys, 0, capacity };
  jt_sight sight;
  look want = { 0, &sight };
  *count = 0;
  if (capacity == 0) return JT_OK;
  for (want.at = 0; want.at < store->geometry.cells; want.at++) {
    if (!jt_cell_is_job(jt_cell_load(store, want.at))) continue;
    jt_code code = jt_read(store, try_look, &want);
    if (code == JT_BUSY) return code;
    if (code == JT_OK && matches(store, filter, &sight.words))
      consider(&list, (jt_key){ jt_words_sequence(&sight.words), want.at });
  }
  qsort(keys, list.count, sizeof *keys, newer_first);
  *count = list.count;
  return JT_OK;
}

typedef struct get_listed {
  const jt_key *key;
  const jt_filter *filter;
  jt_job *out;
  size_t capacity, *needed;
} get_listed;

static jt_code try_get_listed(jt_store *store, void *context) {
  const get_listed *want = context;
  jt_sight sight;
  jt_code code = jt_sight_at(store, want->key->cell, &sight);
  if (code != JT_OK) return code;
  if (jt_words_sequence(&sight.words) != want->key->sequence ||
      !matches(store, want->filter, &sight.words))
    return JT_NOT_FOUND;
  return jt_sight_copy(store, &sight, want->out, want->capacity, want->needed);
}

jt_code jt_get_listed(jt_store *store, const jt_key *key, const jt_filter *filter,
                      jt_job *out, size_t capacity, size_t *needed) {
  get_listed want = { key, filter, out, capacity, needed };
  if (key->cell >= store->geometry.cells) return JT_NOT_FOUND;
  return jt_read(store, try_get_listed, &want);
}
