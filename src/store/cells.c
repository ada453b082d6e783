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

/*
** A deleted cell is there for the sake of entries to its right. When the
** right-hand neighbour is empty there are none, so the cell becomes empty, and
** so do the deleted ones before it. Each step is right by itself: a process
** killed in between only leaves probe paths longer than they need be.
*/
void jt_cells_remove(jt_store *store, uint32_t at) {
  const uint32_t mask = store->geometry.cells - 1;
  if (jt_word_load(&store->cells[(at + 1) & mask]) != JT_CELL_EMPTY) {
    jt_cell_publish(store, at, JT_CELL_DELETED);
    return;
  }
  jt_cell_publish(store, at, JT_CELL_EMPTY);
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
