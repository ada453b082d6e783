/*
** heap.c - next fit over the bitmap.
**
** Positions here count from the start of the heap: bit p of the bitmap is unit
** first_unit + p. A run is looked for
**   1. near the hint: the word freed or taken last, so that an update reuses
**      the place its forerunner left, still in the cache;
**   2. in all that was ever used, if an eighth of it is free;
**   3. above the mark, on memory never touched before;
**   4. anywhere, however little is free, and across the mark.
** So resident memory stays near what is live, and a search is long only when
** it is likely to find, or when the heap is full. A sweep (2) that found
** nothing is not repeated for so long a run until an eighth has been freed.
**
** 2 and 4 go on where the last of them ended (the rover), not at the hint: that goes
** back, with each job that is created and finished, to the one hole in a full
** neighbourhood, and each second run would be looked for from there to where eviction
** has made room, past all that is in use.
**
** The counters lie in the region, so a search clamps them before it uses them.
*/
#include "heap.h"

#define NEAR 1024u                /* positions beyond the run itself: 16 words */
#define NOWHERE UINT32_MAX
#define USUAL 2u                  /* units of most records */

static uint32_t counter(const jt_word *word, uint64_t limit) {
  uint64_t value = jt_word_load(word);
  return (uint32_t)(value < limit ? value : limit);
}

static void add(jt_word *word, uint64_t value) {
  jt_word_store(word, jt_word_load(word) + value);
}

/* The first run of 'units' clear bits in [from, to), or NOWHERE. */
static uint32_t find_run(const jt_store *store, uint32_t from, uint32_t to,
                         uint32_t units) {
  uint32_t start = from, at = from;
  while (at < to) {
    uint64_t bits = store->bitmap[at / 64] >> (at % 64);
    uint32_t left = 64 - at % 64;
    uint32_t clear = bits != 0 ? (uint32_t)__builtin_ctzll(bits) : left;
    if (at + clear - start >= units)
      return start + units <= to ? start : NOWHERE;
    at += clear;
    if (clear == left) continue;
    uint64_t rest = ~(bits >> clear);
    uint32_t set = rest != 0 ? (uint32_t)__builtin_ctzll(rest) : 64;
    at += set;
    start = at;
  }
  return NOWHERE;
}

/* The first run of 'units' clear bits within the word that begins at 'from', below 'to',
   or NOWHERE. Without a branch on what the bits are: that is what find_run waits for. */
static uint32_t find_in_word(const jt_store *store, uint32_t from, uint32_t to,
                             uint32_t units) {
  if (from >= to || units > 64) return NOWHERE;
  uint64_t begins = ~store->bitmap[from / 64];   /* a bit: 'many' are clear from it on */
  for (uint32_t many = 1, more; many < units && begins != 0; many += more) {
    more = many < units - many ? many : units - many;
    begins &= begins >> more;
  }
  if (begins == 0) return NOWHERE;
  uint32_t at = from + (uint32_t)__builtin_ctzll(begins);
  return at + units <= to ? at : NOWHERE;
}

/* The bits of the run [at, end) in the word of 'at'; *next: where the run goes
   on, in another word. */
static uint64_t run_mask(uint32_t at, uint32_t end, uint32_t *next) {
  uint32_t first = at % 64, bits = 64 - first;
  if (bits > end - at) bits = end - at;
  *next = at + bits;
  return (UINT64_MAX >> (64 - bits)) << first;
}

static inline void mark_word(uint64_t *word, uint64_t mask, bool taken) {
  *word = taken ? *word | mask : *word & ~mask;
}

JT_ASIDE
static void mark_long_run(jt_store *store, uint32_t at, uint32_t units, bool taken) {
  for (uint32_t end = at + units, next; at < end; at = next) {
    uint64_t mask = run_mask(at, end, &next);
    mark_word(&store->bitmap[at / 64], mask, taken);
  }
}

/* Sets the run's bits, or clears them. Most runs lie within a word. */
static inline void mark_run(jt_store *store, uint32_t at, uint32_t units, bool taken) {
  if (at % 64 + units > 64) mark_long_run(store, at, units, taken);
  else mark_word(&store->bitmap[at / 64], (UINT64_MAX >> (64 - units)) << at % 64, taken);
}

static bool run_is_clear(const jt_store *store, uint32_t at, uint32_t units) {
  for (uint32_t end = at + units, next; at < end; at = next) {
    uint64_t mask = run_mask(at, end, &next);
    if (store->bitmap[at / 64] & mask) return false;
  }
  return true;
}

/* All below 'end', in a circle from the rover, each run once. */
static uint32_t rove(jt_store *store, uint32_t end, uint32_t units) {
  jt_word *rover = &store->header->heap_rover;
  uint32_t from = counter(rover, end);
  uint32_t at = find_run(store, from, end, units);
  if (at == NOWHERE)
    at = find_run(store, 0, units < end - from ? from + units : end, units);
  if (at != NOWHERE) jt_word_store(rover, at + units);
  return at;
}

static uint32_t sweep(jt_store *store, uint32_t mark, uint32_t units) {
  uint32_t at = rove(store, mark, units);
  if (at == NOWHERE) {
    jt_word_store(&store->header->heap_barren, units);
    jt_word_store(&store->header->heap_freed, 0);
  }
  return at;
}

static bool sweep_is_likely(const jt_header *header, uint32_t mark, uint32_t units) {
  uint64_t used = jt_word_load(&header->units_used);
  bool enough = used < mark && mark - used >= mark / 8 && mark - used >= units;
  uint64_t barren = jt_word_load(&header->heap_barren);
  bool failed_before = barren != 0 && units >= barren &&
                       jt_word_load(&header->heap_freed) < mark / 8;
  return enough && !failed_before;
}

JT_ASIDE
static uint32_t find_further(jt_store *store, uint32_t hint, uint32_t mark,
                             uint32_t units) {
  jt_header *header = store->header;
  uint32_t total = (uint32_t)jt_heap_units(store);
  uint32_t near = mark - hint > NEAR && mark - hint - NEAR > units ? hint + NEAR + units
                                                                  : mark;
  uint32_t at = find_run(store, hint, near, units);
  if (at == NOWHERE && sweep_is_likely(header, mark, units))
    at = sweep(store, mark, units);
  if (at == NOWHERE && units <= total - mark) at = mark;
  if (at == NOWHERE) at = rove(store, total, units);
  return at;
}

static uint32_t find(jt_store *store, uint32_t units) {
  jt_header *header = store->header;
  uint32_t mark = counter(&header->heap_mark, jt_heap_units(store));
  uint32_t hint = counter(&header->heap_hint, mark) / 64 * 64;
  uint32_t at = find_in_word(store, hint, mark, units);
  return at != NOWHERE ? at : find_further(store, hint, mark, units);
}

static void raise_mark(jt_header *header, uint32_t end) {
  if (end > jt_word_load(&header->heap_mark)) jt_word_store(&header->heap_mark, end);
}

static inline uint32_t take(jt_store *store, uint32_t units) {
  jt_header *header = store->header;
  uint32_t at = find(store, units);
  if (at == NOWHERE) return 0;
  uint32_t end = at + units;
  mark_run(store, at, units, true);
  add(&header->units_used, units);
  raise_mark(header, end);
  jt_word_store(&header->heap_hint, end - 1);
  return store->geometry.first_unit + at;
}

static inline void give(jt_store *store, uint32_t unit, uint32_t units) {
  jt_header *header = store->header;
  uint32_t at = unit - store->geometry.first_unit;
  mark_run(store, at, units, false);
  add(&header->units_used, (uint64_t)0 - units);
  add(&header->heap_freed, units);
  jt_word_store(&header->heap_hint, at);
}

/*
** The usual number is compiled in: a processor guesses that it will be that one, and is
** through before the record has come that tells it. A tenth of an update.
*/
uint32_t jt_heap_take(jt_store *store, uint32_t units) {
  return units == USUAL ? take(store, USUAL) : take(store, units);
}

void jt_heap_give(jt_store *store, uint32_t unit, uint32_t units) {
  if (units == USUAL) give(store, unit, USUAL);
  else give(store, unit, units);
}

void jt_heap_suppose(jt_store *store, uint32_t unit, uint32_t units, bool taken) {
  mark_run(store, unit - store->geometry.first_unit, units, taken);
}

void jt_heap_reset(jt_store *store) {
  jt_header *header = store->header;
  memset(store->bitmap, 0, (size_t)((jt_heap_units(store) + 63) / 64 * 8));
  jt_word_store(&header->units_used, 0);
  jt_word_store(&header->heap_mark, 0);
  jt_word_store(&header->heap_hint, 0);
  jt_word_store(&header->heap_rover, 0);
  jt_word_store(&header->heap_barren, 0);
  jt_word_store(&header->heap_freed, 0);
}

bool jt_heap_claim(jt_store *store, uint32_t unit, uint32_t units) {
  jt_header *header = store->header;
  uint32_t at = unit - store->geometry.first_unit;
  if (!run_is_clear(store, at, units)) return false;
  mark_run(store, at, units, true);
  add(&header->units_used, units);
  raise_mark(header, at + units);
  return true;
}
