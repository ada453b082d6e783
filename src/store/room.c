/*
** room.c - reserving units for what is to be published.
*/
#include "room.h"

#include "evict.h"
#include "heap.h"

static void give_runs(jt_store *store, const jt_run *runs, int count) {
  for (int i = 0; i < count; i++) jt_heap_give(store, runs[i].unit, runs[i].units);
}

/* The longest run that has no place yet. */
static jt_run *longest_left(jt_run *runs, int count) {
  jt_run *longest = NULL;
  for (jt_run *run = runs; run < runs + count; run++)
    if (run->unit == 0 && (longest == NULL || run->units > longest->units)) longest = run;
  return longest;
}

/* Takes a place for each run, or for none: the longest first, so that a short
   one does not come to lie in the midst of the only place that it has. */
static bool take_runs(jt_store *store, jt_run *runs, int count) {
  if (count == 1) return (runs->unit = jt_heap_take(store, runs->units)) != 0;
  for (int i = 0; i < count; i++) runs[i].unit = 0;
  for (jt_run *run; (run = longest_left(runs, count)) != NULL;) {
    run->unit = jt_heap_take(store, run->units);
    if (run->unit != 0) continue;
    for (int i = 0; i < count; i++)
      if (runs[i].unit != 0) give_runs(store, &runs[i], 1);
    return false;
  }
  return true;
}

bool jt_room_has_finished(const jt_store *store) {
  const jt_header *header = store->header;
  return (jt_word_load(&header->by_status[JT_COMPLETED]) |
          jt_word_load(&header->by_status[JT_FAILED])) != 0;
}

/* Whether it could fit if every finished job went that may: else none has to
   go. 'held': units of the job in hand that are not counted as pinned. */
static bool could_fit(const jt_store *store, const jt_run *runs, int count,
                      uint64_t held) {
  uint64_t wanted = jt_word_load(&store->header->units_pinned) + held;
  for (int i = 0; i < count; i++) wanted += runs[i].units;
  return wanted <= jt_heap_units(store);
}

/* A small record alone fits wherever any job was. Longer runs may not, however
   many jobs go, if those that stay lie in between: then none is to go. */
static bool could_be_freed(jt_store *store, jt_run *runs, int count, uint32_t keep) {
  if (count == 1 && runs[0].units <= JT_RECORD_LEAST_UNITS) return true;
  jt_evict_suppose(store, keep, true);
  bool fits = take_runs(store, runs, count);
  if (fits) give_runs(store, runs, count);
  jt_evict_suppose(store, keep, false);
  return fits;
}

/* Each pass removes a sixteenth of what the store holds or all that is left, so a
   few end it. */
JT_RARE
static jt_code evict_and_take(jt_store *store, jt_run *runs, int count, uint32_t keep,
                              uint64_t held) {
  if (!jt_room_has_finished(store) || !could_fit(store, runs, count, held) ||
      !could_be_freed(store, runs, count, keep))
    return JT_FULL;
  for (uint64_t share = 16; jt_room_has_finished(store);
       share = share > 1 ? share / 2 : 1) {
    if (jt_evict(store, keep, share) == 0) break;
    if (take_runs(store, runs, count)) return JT_OK;
  }
  return JT_FULL;
}

jt_code jt_room_take(jt_store *store, jt_run *runs, int count, uint32_t keep,
                     uint64_t held) {
  if (take_runs(store, runs, count)) return JT_OK;
  return evict_and_take(store, runs, count, keep, held);
}
