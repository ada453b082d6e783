/*
** shape.c - see shape.h. Searches are gone after by hand here, cell by cell.
*/
#include "shape.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "raw.h"
#include "store/cells.h"

enum { MISSES = 20000 };

/* Of all who have the region mapped: a page of shared memory is held once. */
static uint64_t resident_bytes(const jt_store *store) {
  size_t base = (size_t)(uintptr_t)store->base / JT_PAGE * JT_PAGE;
  size_t end = (size_t)(uintptr_t)store->base + store->geometry.size;
  size_t pages = (end - base + JT_PAGE - 1) / JT_PAGE, count = 0;
  unsigned char *there = check_memory(pages);
  CHECK_INT(mincore((void *)base, end - base, there), 0);
  for (size_t i = 0; i < pages; i++) count += there[i] & 1;
  free(there);
  return (uint64_t)count * JT_PAGE;
}

static uint32_t cells_to_find(const jt_store *store, uint32_t at) {
  raw_record record = raw_read(store, jt_cell_unit(jt_cell_load(store, at)));
  uint64_t hash = jt_hash(record.id.bytes, record.id.length);
  return jt_cells_between(&store->geometry, hash, at);
}

static void look_at_hits(const jt_store *store, region_shape *s) {
  uint64_t sum = 0;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    uint64_t cell = jt_cell_load(store, at);
    s->deleted += cell == JT_CELL_DELETED;
    if (!jt_cell_is_job(cell)) continue;
    uint32_t length = cells_to_find(store, at);
    s->jobs++;
    sum += length;
    if (length > s->longest_hit) s->longest_hit = length;
  }
  s->hit = s->jobs > 0 ? (double)sum / s->jobs : 0;
}

static uint32_t cells_to_miss(const jt_store *store, uint64_t hash) {
  uint32_t at = jt_cell_home(&store->geometry, hash), length = 1;
  while (length < jt_cells_to_search(store) && jt_cell_load(store, at) != JT_CELL_EMPTY) {
    at = jt_cell_next(&store->geometry, at);
    length++;
  }
  return length;
}

static void look_at_misses(const jt_store *store, region_shape *s) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < MISSES; i++) {
    uint32_t length = cells_to_miss(store, check_random());
    sum += length;
    if (length > s->longest_miss) s->longest_miss = length;
  }
  s->miss = (double)sum / MISSES;
}

static void look_at_heap(const jt_store *store, region_shape *s) {
  uint32_t units = store->geometry.end_unit - store->geometry.first_unit, run = 0;
  for (uint32_t at = 0; at < units; at++) {
    bool taken = store->bitmap[at / 64] >> at % 64 & 1;
    run = taken ? 0 : run + 1;
    s->free_units += !taken;
    s->pieces += run == 1;
    if (run > s->largest) s->largest = run;
  }
  s->used = (uint64_t)(units - s->free_units) * JT_UNIT;
  s->mark = (uint32_t)jt_word_load(&store->header->heap_mark);
}

region_shape shape_of(const jt_store *store) {
  region_shape s = { .resident = resident_bytes(store),
                     .longest_search = jt_cells_to_search(store) };
  look_at_hits(store, &s);
  look_at_misses(store, &s);
  look_at_heap(store, &s);
  return s;
}

void shape_say(const char *when, const region_shape *s) {
  check_say("%s: %u jobs, %.1f of %.1f MB in use; found after %.2f cells (%u at most), "
            "missed after %.2f (%u; word: %u), %u deleted; %u KB free in %u pieces, "
            "the largest %u KB, mark at %u KB", when, s->jobs, (double)s->used / 1e6,
            (double)s->resident / 1e6, s->hit, s->longest_hit, s->miss, s->longest_miss,
            s->longest_search, s->deleted, s->free_units / 16, s->pieces, s->largest / 16,
            s->mark / 16);
}
