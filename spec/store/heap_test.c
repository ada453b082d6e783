/*
** heap_test.c - src/store/heap.c against a naive map of units: no overlap, no
** unit lost, and a run is found exactly when there is one.
*/
#include <stdlib.h>

#include "region.h"
#include "runs.h"
#include "store/heap.h"

typedef struct run {
  uint32_t unit, units;
} run;

typedef struct heap {
  jt_store *store;
  uint32_t first, units, used;
  bool *taken;                    /* the naive map, by position */
  run *held;
  uint32_t count;
} heap;

static heap heap_make(uint32_t units) {
  heap h = { .store = region_make(4, units), .units = units };
  h.first = h.store->geometry.first_unit;
  h.taken = check_memory(units * sizeof *h.taken);
  h.held = check_memory(units * sizeof *h.held);
  return h;
}

static void heap_free(heap *h) {
  free(h->taken);
  free(h->held);
  region_free(h->store);
}

static uint32_t longest_free(const heap *h) {
  uint32_t longest = 0, length = 0;
  for (uint32_t i = 0; i < h->units; i++) {
    length = h->taken[i] ? 0 : length + 1;
    if (length > longest) longest = length;
  }
  return longest;
}

static void mark_run(heap *h, run r, bool taken) {
  for (uint32_t i = 0; i < r.units; i++) {
    bool *unit = &h->taken[r.unit - h->first + i];
    if (*unit == taken)
      CHECK_INT(r.unit + i, 0);   /* taken twice, or given twice */
    *unit = taken;
  }
}

/* Takes a run and says whether it got one. */
static bool take(heap *h, uint32_t units) {
  run r = { jt_heap_take(h->store, units), units };
  if (r.unit == 0) return false;
  if (!CHECK(r.unit >= h->first && r.unit - h->first + units <= h->units)) return false;
  mark_run(h, r, true);
  h->held[h->count++] = r;
  h->used += units;
  return true;
}

static void give(heap *h, uint32_t which) {
  run r = h->held[which];
  h->held[which] = h->held[--h->count];
  jt_heap_give(h->store, r.unit, r.units);
  mark_run(h, r, false);
  h->used -= r.units;
}

static void give_any(heap *h) {
  give(h, (uint32_t)check_below(h->count));
}

static void check_map(const heap *h) {
  const jt_header *header = h->store->header;
  CHECK_INT(jt_word_load(&header->units_used), h->used);
  CHECK(jt_word_load(&header->heap_mark) <= h->units);
  for (uint32_t i = 0; i < h->units; i++) {
    bool bit = h->store->bitmap[i / 64] >> i % 64 & 1;
    if (bit != h->taken[i] && !CHECK_INT(bit, h->taken[i])) return;
  }
}

/* Small runs often, long ones up to the whole heap now and then. */
static uint32_t some_length(uint32_t units) {
  uint32_t most = check_below(8) == 0 ? units : check_below(3) == 0 ? units / 4 : 5;
  return 1 + (uint32_t)check_below(most > 0 ? most : 1);
}

/* A take succeeds if and only if there is a run. */
static void check_exact(uint32_t units, uint64_t operations) {
  heap h = heap_make(units);
  unsigned refused = 0;
  for (uint64_t i = 0; i < operations; i++) {
    uint32_t wanted = some_length(units), longest = longest_free(&h);
    if (h.count > 0 && check_below(2)) {
      give_any(&h);
    } else if (!take(&h, wanted)) {
      refused++;
      if (CHECK(wanted > longest)) continue;
      check_say("%u units refused at operation %llu of a heap of %u, though a run of "
                "%u is free; the mark is %llu", wanted, (unsigned long long)i, units,
                longest, (unsigned long long)jt_word_load(&h.store->header->heap_mark));
      break;
    }
    if (i % 64 == 0 || units < 200) check_map(&h);
  }
  CHECK(refused > 0);
  check_map(&h);
  heap_free(&h);
}

static void takes_when_there_is_a_run(void) {
  static const uint32_t sizes[] = { 16, 17, 63, 64, 65, 127, 128, 129, 200, 1000, 1025 };
  enum { SIZES = sizeof sizes / sizeof sizes[0] };
  for (unsigned i = 0; i < SIZES; i++)
    check_exact(sizes[i], check_times(RUNS_HEAP_EXACT) / SIZES);
}

static void takes_when_there_is_a_run_in_a_large_heap(void) {
  check_exact(20000, check_times(RUNS_HEAP_EXACT) / 10);
}

/* A run that begins below the mark and ends above it. */
static void takes_across_the_mark(void) {
  heap h = heap_make(64);
  CHECK(take(&h, 10));
  CHECK(take(&h, 40));
  CHECK(take(&h, 6));
  give(&h, 2);
  give(&h, 0);                    /* free: 10, and 6 below the mark, 8 above it */
  CHECK_INT(jt_word_load(&h.store->header->heap_mark), 56);
  CHECK(take(&h, 14));
  check_map(&h);
  heap_free(&h);
}

static void takes_all_of_it(void) {
  static const uint32_t sizes[] = { 16, 64, 65, 1000, 5000 };
  for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    heap h = heap_make(sizes[i]);
    CHECK(!take(&h, sizes[i] + 1));
    CHECK(take(&h, sizes[i]));
    CHECK(!take(&h, 1));
    give(&h, 0);
    while (h.used < sizes[i]) if (!CHECK(take(&h, 1))) break;
    CHECK(!take(&h, 1));
    while (h.count > 0) give_any(&h);
    CHECK(take(&h, sizes[i]));
    check_map(&h);
    heap_free(&h);
  }
}

/* A word that is all free, before one that is not: no place for a longer run, also where
   that is a number of whole words. */
static void a_word_is_no_place_for_two(void) {
  enum { WORD = 64, WORDS = 16, UNITS = WORD * WORDS };
  for (uint32_t units = WORD + 1; units <= 8 * WORD; units++) {
    heap h = heap_make(UNITS);
    for (uint32_t i = 0; i < WORDS / 2; i++) CHECK(take(&h, WORD));
    give(&h, 0);                  /* the hint is there now */
    CHECK(take(&h, units));
    CHECK_INT(h.held[h.count - 1].unit, h.first + UNITS / 2);
    check_map(&h);
    heap_free(&h);
  }
}

/* What updates do, for a long time, at a steady load: a new run is taken before
   an old one is given back. */
static void churn(uint32_t units, uint32_t load, uint32_t longest, double bound) {
  heap h = heap_make(units);
  uint64_t rounds = check_times(RUNS_HEAP_CHURN), refused = 0;
  for (uint64_t i = 0; i < rounds; i++) {
    do {
      if (!take(&h, 1 + (uint32_t)check_below(longest))) refused++;
    } while (h.used < load && refused == 0);
    while (h.used > load) give_any(&h);
  }
  uint64_t mark = jt_word_load(&h.store->header->heap_mark);
  check_say("runs of up to %u at a load of %u in %u units: mark %llu, %.2f x the load; "
            "%llu refused", longest, load, units, (unsigned long long)mark,
            (double)mark / load, (unsigned long long)refused);
  CHECK_INT(refused, 0);
  CHECK((double)mark <= bound * load);
  check_map(&h);
  heap_free(&h);
}

static void churn_of_small_runs_stays_low(void) {
  churn(200000, 20000, 4, 1.5);
}

static void churn_of_mixed_runs_stays_low(void) {
  churn(400000, 20000, 64, 2.0);
}

/* Many records and a few long blobs. */
static uint32_t record_or_blob(uint32_t longest) {
  return check_below(100) == 0 ? longest : 2 + (uint32_t)check_below(3);
}

static void churn_with_long_runs_among_short_ones(void) {
  enum { UNITS = 400000, LOAD = 40000, LONGEST = 2000 };
  heap h = heap_make(UNITS);
  uint64_t rounds = check_times(RUNS_HEAP_CHURN / 10);
  for (uint64_t i = 0; i < rounds; i++) {
    CHECK(take(&h, record_or_blob(LONGEST)));
    while (h.used > LOAD) give_any(&h);
  }
  uint64_t mark = jt_word_load(&h.store->header->heap_mark);
  check_say("mark %llu, %.2f x the load", (unsigned long long)mark, (double)mark / LOAD);
  CHECK(mark <= 6 * LOAD);
  check_map(&h);
  heap_free(&h);
}

/* A hole in a full neighbourhood takes each job that is created, and is given back when
   the job's next record has its place: where room is for that one must not be looked
   for from the hole each time, past all that is in use. */
static void goes_on_where_room_was_found(void) {
  enum { HOLE = 10, FAR = 64 * 200, NEARER = 64 * 100, UNITS = 64 * 300 };
  heap h = heap_make(UNITS);
  while (h.used < UNITS) if (!CHECK(take(&h, 1))) break;
  for (uint32_t i = 0; i < UNITS / 4; i++) jt_heap_give(h.store, h.first + FAR + i, 1);
  for (uint32_t i = 0; i < 64; i++) jt_heap_give(h.store, h.first + NEARER + i, 1);
  jt_heap_give(h.store, h.first + HOLE, 1);
  CHECK_INT(jt_heap_take(h.store, 100), h.first + FAR);
  jt_heap_give(h.store, h.first + HOLE + 1, 1);
  for (uint32_t i = 0; i < 8; i++) {
    CHECK_INT(jt_heap_take(h.store, 2), h.first + HOLE);
    CHECK_INT(jt_heap_take(h.store, 2), h.first + FAR + 100 + 2 * i);
    jt_heap_give(h.store, h.first + HOLE, 2);
  }
  heap_free(&h);
}

/* Where the last run was, else on memory that was never used: what little is free
   elsewhere is not looked for. */
static void new_memory_comes_before_the_last_holes(void) {
  enum { HOLE = 10, USED = 64 * 64 };
  heap h = heap_make(2 * USED);
  while (h.used < USED) if (!CHECK(take(&h, 1))) break;
  jt_word_store(&h.store->header->heap_rover, 0);   /* a look at all would begin there */
  jt_heap_give(h.store, h.first + HOLE, 1);
  jt_heap_give(h.store, h.first + USED - 1, 1);
  CHECK_INT(jt_heap_take(h.store, 1), h.first + USED - 1);
  CHECK_INT(jt_heap_take(h.store, 1), h.first + USED);
  jt_heap_give(h.store, h.first + HOLE + 2, 1);
  CHECK_INT(jt_heap_take(h.store, 2), h.first + USED + 1);
  CHECK_INT(jt_heap_take(h.store, 1), h.first + USED + 3);
  heap_free(&h);
}

enum { CRUMBS = 64 * 64, CRUMB = 3000 };

/* Each second unit is free, which is much, but no place for two. Then CRUMB is free as
   well, with its neighbours; the last run was far away. */
static heap heap_of_crumbs(void) {
  heap h = heap_make(3 * CRUMBS);
  while (h.used < CRUMBS) if (!CHECK(take(&h, 1))) break;
  for (uint32_t i = 1; i < CRUMBS; i += 2) jt_heap_give(h.store, h.first + i, 1);
  CHECK_INT(jt_heap_take(h.store, 2), h.first + CRUMBS);
  jt_heap_give(h.store, h.first + CRUMB, 1);
  jt_heap_give(h.store, h.first + CRUMBS + 1, 1);
  CHECK_INT(jt_heap_take(h.store, 1), h.first + CRUMBS + 1);
  return h;
}

/* All that is used was looked through, in vain: not again before much has been freed. */
static void a_search_in_vain_is_remembered(void) {
  heap h = heap_of_crumbs();
  CHECK_INT(jt_heap_take(h.store, 2), h.first + CRUMBS + 2);
  for (uint32_t i = 0; i < CRUMBS / 7; i++)
    jt_heap_give(h.store, jt_heap_take(h.store, 2), 2);
  CHECK_INT(jt_heap_take(h.store, 3), h.first + CRUMB - 1);
  heap_free(&h);
}

/* Who rebuilds the bitmap does not know what that was like. */
static void recovery_forgets_a_search_in_vain(void) {
  heap h = heap_of_crumbs();
  jt_heap_reset(h.store);
  for (uint32_t i = 0; i <= CRUMBS; i += 2)
    if (i != CRUMB) CHECK(jt_heap_claim(h.store, h.first + i, 1));
  CHECK_INT(jt_heap_take(h.store, 2), h.first + CRUMB - 1);
  heap_free(&h);
}

static void recovery_counts_what_is_claimed(void) {
  heap h = heap_make(300);
  while (h.used < 200) take(&h, some_length(20));
  jt_heap_reset(h.store);
  CHECK_INT(jt_word_load(&h.store->header->units_used), 0);
  for (uint32_t i = 0; i < h.count; i++)
    CHECK(jt_heap_claim(h.store, h.held[i].unit, h.held[i].units));
  check_map(&h);
  for (uint32_t i = 0; i < h.count; i++) {
    const run *r = &h.held[i];
    CHECK(!jt_heap_claim(h.store, r->unit, 1));
    CHECK(!jt_heap_claim(h.store, r->unit + r->units - 1, 1));
  }
  check_map(&h);                  /* a claim refused leaves nothing behind */
  heap_free(&h);
}

/* The counters lie in the region: whatever they say, a take stays inside. */
static void lies_in_the_header_do_no_harm(void) {
  for (uint64_t i = 0; i < check_times(2000); i++) {
    heap h = heap_make(80);
    jt_word *words[] = { &h.store->header->heap_mark, &h.store->header->heap_hint,
                         &h.store->header->heap_barren, &h.store->header->heap_freed,
                         &h.store->header->heap_rover, &h.store->header->units_used };
    for (unsigned w = 0; w < sizeof words / sizeof words[0]; w++)
      if (check_below(2)) jt_word_store(words[w], check_random() >> check_below(64));
    uint32_t taken = 0;
    while (taken < 80 && take(&h, 1 + (uint32_t)check_below(20))) taken++;
    while (h.count > 0) give_any(&h);
    heap_free(&h);
  }
}

static const check_case cases[] = {
  CASE(takes_when_there_is_a_run), CASE(takes_when_there_is_a_run_in_a_large_heap),
  CASE(takes_across_the_mark), CASE(takes_all_of_it), CASE(a_word_is_no_place_for_two),
  CASE(churn_of_small_runs_stays_low), CASE(churn_of_mixed_runs_stays_low),
  CASE(churn_with_long_runs_among_short_ones),
  CASE(goes_on_where_room_was_found), CASE(new_memory_comes_before_the_last_holes),
  CASE(a_search_in_vain_is_remembered), CASE(recovery_forgets_a_search_in_vain),
  CASE(recovery_counts_what_is_claimed),
  CASE(lies_in_the_header_do_no_harm),
};
CHECK_MAIN(cases)
