/*
** cells.c - searching and removing in the index.
*/
#include "cells.h"

/* About half of the cells do, in no order: a branch that asks each of them would be
   mispredicted as often as not. */
uint32_t jt_cells_gather(const jt_store *store, uint32_t from, uint32_t jobs[JT_BATCH]) {
  uint32_t left = store->geometry.cells - from, count = 0;
  uint32_t end = from + (left < JT_BATCH ? left : JT_BATCH);
  for (uint32_t at = from; at < end; at++) {
    jobs[count] = at;
    count += jt_cell_is_job(jt_word_load(&store->cells[at]));
  }
  return count;
}

uint32_t jt_cells_find(const jt_store *store, jt_text id, uint64_t hash) {
  uint32_t at = jt_cell_home(&store->geometry, hash);
  for (uint32_t left = jt_cells_to_search(store); left > 0; left--) {
    uint64_t cell = jt_word_load(&store->cells[at]);
    if (cell == JT_CELL_EMPTY) return JT_NO_CELL;
    if (jt_cell_has_tag(cell, hash)) {
      jt_record_prefetch(store, jt_cell_unit(cell), 2);
      if (jt_record_is(store, jt_cell_unit(cell), id)) return at;
    }
    at = jt_cell_next(&store->geometry, at);
  }
  return JT_NO_CELL;
}

uint32_t jt_cells_vacant(jt_store *store, uint64_t hash) {
  uint32_t at = jt_cell_home(&store->geometry, hash);
  for (uint32_t length = 1; length <= store->geometry.cells; length++) {
    if (!jt_cell_is_job(jt_word_load(&store->cells[at]))) {
      if (length > jt_cells_to_search(store))
        jt_word_store(&store->header->longest_search, jt_twice(length));
      return at;
    }
    at = jt_cell_next(&store->geometry, at);
  }
  return JT_NO_CELL;
}

#define LONG_RUN 16u              /* cells: a search as long as that is worth a look */
#define WINDOW 64u                /* cells that are looked at for it, at most */
#define FURTHEST 1024u            /* cells whose entries are asked for it, at most */
#define ONE_IN 4u                 /* removals that look: what one leaves, others find */

/* How many cells from 'at' on hold a job or a deleted one; 'most' if there are more. */
static uint32_t run_length(const jt_store *store, uint32_t at, uint32_t most) {
  uint32_t length = 0;
  while (length < most && jt_word_load(&store->cells[at]) != JT_CELL_EMPTY) {
    at = jt_cell_next(&store->geometry, at);
    length++;
  }
  return length;
}

/* The first cell on the way to the entry 'ahead' of 'from', counted from there too: less
   than 0 if it begins before. */
static int64_t way_begins(const jt_store *store, uint32_t from, uint32_t ahead) {
  uint32_t at = (from + ahead) & (store->geometry.cells - 1);
  uint64_t hash, cell = jt_word_load(&store->cells[at]);
  if (!jt_cell_is_job(cell)) return INT64_MAX;
  if (!jt_record_hash(store, jt_cell_unit(cell), &hash)) return INT64_MIN;
  return (int64_t)ahead + 1 - jt_cells_between(&store->geometry, hash, at);
}

/* See jt_cells_gather. Inline: see jt_record_prefetch. */
__attribute__((always_inline))
static inline void fetch_records(const jt_store *store, uint32_t from, uint32_t count) {
  for (uint32_t at = from; count > 0; count--, at = jt_cell_next(&store->geometry, at)) {
    uint64_t cell = jt_word_load(&store->cells[at]);
    if (jt_cell_is_job(cell)) jt_record_prefetch(store, jt_cell_unit(cell), 2);
  }
}

/* Empties the deleted cells among 'length' from 'from' on that are on no entry's way.
   'end': behind it there is no entry whose way begins among them. */
static void tidy(jt_store *store, uint32_t from, uint32_t length, uint32_t end) {
  int64_t begins = INT64_MAX;
  fetch_records(store, from, end);
  for (uint32_t ahead = end; ahead-- > 0;) {
    uint32_t at = (from + ahead) & (store->geometry.cells - 1);
    if (ahead < length && begins > ahead &&
        jt_word_load(&store->cells[at]) == JT_CELL_DELETED)
      jt_cell_publish(store, at, JT_CELL_EMPTY);
    int64_t this_begins = way_begins(store, from, ahead);
    if (this_begins < begins) begins = this_begins;
  }
}

/* No way leads across an empty cell, nor is one longer than the longest search. Where
   that is around the whole table, it is a small one. In a file made by malice it can be
   nearly that long in a large one: then nothing is tidied, rather than that each
   removal looks along all of it. */
static void tidy_long_run(jt_store *store, uint32_t at) {
  uint32_t length = run_length(store, at, WINDOW), end = length;
  if (length < LONG_RUN) return;
  if (length == WINDOW) end += jt_cells_to_search(store);
  if (end <= FURTHEST && end < store->geometry.cells) tidy(store, at, length, end);
}

/*
** A deleted cell is there for the sake of entries to its right. When the right-hand
** neighbour is empty there are none, so the cell becomes empty, and so do the deleted
** ones before it. Under churn that alone leaves ever fewer empty cells; so where a search
** has become long, the entries there are asked where their ways begin. Each step is
** right by itself: a process killed in between only leaves probe paths longer than they
** need be.
*/
void jt_cells_remove(jt_store *store, uint32_t at) {
  const uint32_t mask = store->geometry.cells - 1;
  bool last = jt_word_load(&store->cells[(at + 1) & mask]) == JT_CELL_EMPTY;
  jt_cell_publish(store, at, last ? JT_CELL_EMPTY : JT_CELL_DELETED);
  if (!last && at % ONE_IN == 0) tidy_long_run(store, at);
  if (jt_word_load(&store->cells[at]) != JT_CELL_EMPTY) return;
  for (at = (at - 1) & mask; jt_word_load(&store->cells[at]) == JT_CELL_DELETED;
       at = (at - 1) & mask)
    jt_cell_publish(store, at, JT_CELL_EMPTY);
}

void jt_cells_reach(jt_store *store, uint32_t at, uint64_t hash) {
  for (uint32_t gap = jt_cell_home(&store->geometry, hash); gap != at;
       gap = jt_cell_next(&store->geometry, gap))
    if (jt_word_load(&store->cells[gap]) == JT_CELL_EMPTY)
      jt_cell_publish(store, gap, JT_CELL_DELETED);
}
