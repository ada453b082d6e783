/*
** heap.h - which units of the heap are taken: a bitmap and next fit. Knows
** nothing of what is in them. All under the lock.
**
** The bitmap and its counters are derived: recovery rebuilds them from the
** cells, so a process may be killed between any two of these calls. What it
** took and did not publish comes back then.
*/
#ifndef JT_HEAP_H
#define JT_HEAP_H

#include "layout.h"

/* Takes a run; returns its first unit, 0: there is none that long. */
uint32_t jt_heap_take(jt_store *store, uint32_t units);

/* Gives a run back. */
void jt_heap_give(jt_store *store, uint32_t unit, uint32_t units);

/* For asking what could be: sets or clears the run's bits and nothing else, so
   that one call undoes another. */
void jt_heap_suppose(jt_store *store, uint32_t unit, uint32_t units, bool taken);

/* For recovery: everything free; one run taken, or false if part of it is. */
void jt_heap_reset(jt_store *store);
bool jt_heap_claim(jt_store *store, uint32_t unit, uint32_t units);

/* Asks the memory for a unit's part of the bitmap. See jt_record_prefetch. */
__attribute__((always_inline))
static inline void jt_heap_prefetch(const jt_store *store, uint32_t unit) {
  if (jt_run_inside(&store->geometry, unit, 1))
    __builtin_prefetch(&store->bitmap[(unit - store->geometry.first_unit) / 64], 1);
}

static inline uint64_t jt_heap_units(const jt_store *store) {
  return store->geometry.end_unit - store->geometry.first_unit;
}

/*
** Asks for the two lines that a short run will most likely be given (heap.c, 1), to be
** written: they come while its job is looked for. A reader has them perhaps, for they
** were a job's a moment ago. Under the lock. See jt_record_prefetch.
*/
__attribute__((always_inline))
static inline void jt_heap_prefetch_next(const jt_store *store) {
  uint64_t hint = jt_word_load(&store->header->heap_hint) / 64;
  if (hint >= jt_heap_units(store) / 64 || store->bitmap[hint] == UINT64_MAX) return;
  uint64_t at = hint * 64 + (uint64_t)__builtin_ctzll(~store->bitmap[hint]);
  uint64_t unit = store->geometry.first_unit + at;
  if (!jt_run_inside(&store->geometry, unit, 2)) return;
  jt_word_prefetch_to_write(jt_unit_words(store, (uint32_t)unit));
  jt_word_prefetch_to_write(jt_unit_words(store, (uint32_t)unit + 1));
}

#endif
