/*
** list.c - which jobs there are, and which have changed: one scan of the cells
** without the lock, and a heap that keeps those that are wanted most.
*/
#include "bury.h"
#include "cells.h"
#include "evict.h"
#include "owner.h"
#include "read.h"

static bool matches(const jt_filter *filter, const jt_sight *sight) {
  jt_text id = jt_words_id(&sight->words);
  if (filter->status >= 0 && (int)jt_sight_status(sight) != filter->status) return false;
  if (filter->before != 0 && jt_words_sequence(&sight->words) >= filter->before)
    return false;
  return filter->type.bytes == NULL ||
         (filter->type.length == id.length - 9 &&
          memcmp(filter->type.bytes, id.bytes, filter->type.length) == 0);
}

/* ---------------------------------------------------------------- choosing */

/* How much a job is wanted: more, larger. */
typedef uint64_t (*worth)(const jt_key *key, uint64_t after);

/* The jobs wanted most, of all that were considered: a heap, on top the one that
   is wanted least. */
typedef struct choice {
  jt_key *heap;
  size_t count, capacity;
  worth worth;
  uint64_t after;
  bool cut;                       /* there were more */
} choice;

static uint64_t worth_of(const choice *c, size_t i) {
  return c->worth(&c->heap[i], c->after);
}

static void swap(jt_key *a, jt_key *b) {
  jt_key key = *a;
  *a = *b;
  *b = key;
}

/* Restores the heap below 'top', whose children are heaps. */
static void sift(choice *c, size_t count, size_t top) {
  for (size_t child; (child = 2 * top + 1) < count; top = child) {
    if (child + 1 < count && worth_of(c, child + 1) < worth_of(c, child)) child++;
    if (worth_of(c, top) <= worth_of(c, child)) return;
    swap(&c->heap[top], &c->heap[child]);
  }
}

static void consider(choice *c, const jt_sight *sight) {
  jt_key key = { jt_words_sequence(&sight->words), jt_words_version(&sight->words),
                 sight->at };
  if (c->count < c->capacity) {
    c->heap[c->count++] = key;
    if (c->count < c->capacity) return;
    for (size_t top = c->count / 2; top-- > 0;) sift(c, c->count, top);
    return;
  }
  c->cut = true;
  if (c->worth(&key, c->after) <= worth_of(c, 0)) return;
  c->heap[0] = key;
  sift(c, c->count, 0);
}

/* Most wanted first. */
static void sort(choice *c) {
  for (size_t top = c->count / 2; top-- > 0;) sift(c, c->count, top);
  for (size_t last = c->count; last-- > 1;) {
    swap(&c->heap[0], &c->heap[last]);
    sift(c, last, 0);
  }
}

/* ----------------------------------------------------------------- listing */

static uint64_t newest(const jt_key *key, uint64_t after) {
  (void)after;
  return key->sequence;
}

typedef struct listing {
  const jt_filter *filter;
  choice list;
} listing;

static void list_job(void *context, const jt_sight *sight) {
  listing *l = context;
  if (matches(l->filter, sight)) consider(&l->list, sight);
}

jt_code jt_list(jt_store *store, const jt_filter *filter, jt_key *keys,
                size_t capacity, size_t *count) {
  listing l = { filter, { .heap = keys, .capacity = capacity, .worth = newest } };
  *count = 0;
  if (capacity == 0) return JT_OK;
  jt_code code = jt_sight_each(store, list_job, &l);
  if (code == JT_BUSY) return code;
  sort(&l.list);
  *count = l.list.count;
  return code;
}

/* ----------------------------------------------------------------- changes */

/* What is new, the oldest first; then what is told each time, the newest first. */
static uint64_t oldest_change(const jt_key *key, uint64_t after) {
  return key->version > after ? ~key->version : key->version;
}

typedef struct span {
  uint64_t after, now;            /* versions greater than the one, to the other */
  bool all;                       /* look at every job */
} span;

/*
** The cell has the low 24 bits of its job's version. While fewer than 2^24 versions
** have come since 'after', they tell whether it can be one of them. A job that
** changes during the scan has a version beyond 'now': it is for the next one.
*/
static bool may_have_changed(const span *s, uint64_t cell) {
  uint64_t distance = ((cell >> JT_UNIT_BITS) - s->after) & 0xffffff;
  return s->all || (s->now > s->after && distance - 1 < s->now - s->after);
}

static bool has_changed(const span *s, const jt_sight *sight) {
  uint64_t version = jt_words_version(&sight->words);
  return sight->orphaned || (version > s->after && version <= s->now);
}

static jt_code scan(jt_store *store, const span *s, choice *list) {
  jt_sight sight;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    uint64_t cell = jt_cell_load(store, at);
    if (!jt_cell_is_job(cell) || !may_have_changed(s, cell)) continue;
    jt_code code = jt_sight_read(store, at, &sight);
    if (code == JT_BUSY) return code;
    if (code == JT_OK && has_changed(s, &sight) && !jt_expired(store, &sight.words))
      consider(list, &sight);
  }
  return JT_OK;
}

/* Where the next scan goes on. */
static uint64_t reached(const choice *list, const span *s) {
  if (!list->cut || list->count == 0) return s->now;
  uint64_t last = list->heap[list->count - 1].version;
  return last > s->after && last < s->now ? last : s->now;
}

jt_code jt_changes(jt_store *store, uint64_t after, jt_key *keys, size_t capacity,
                   size_t *count, uint64_t *upto) {
  choice list = { .heap = keys, .capacity = capacity, .worth = oldest_change,
                  .after = after };
  *count = 0;
  *upto = after;
  if (capacity == 0) return JT_OK;
  jt_settle(store);
  span s = { .after = after, .now = jt_store_version(store) };
  s.all = (s.now > after && s.now - after >= 0xffffff) || jt_owners_dead(store) > 0;
  jt_code code = scan(store, &s, &list);
  if (code != JT_OK) return code;
  sort(&list);
  *count = list.count;
  *upto = reached(&list, &s);
  return jt_seen(store, JT_OK);
}

/* ---------------------------------------------------------------- fetching */

typedef struct get_listed {
  const jt_key *key;
  const jt_filter *filter;
  jt_job *out;
  size_t capacity, *needed;
  bool orphaned;
} get_listed;

static jt_code try_get_listed(jt_store *store, void *context) {
  get_listed *want = context;
  jt_sight sight;
  want->orphaned = false;
  jt_code code = jt_sight_at(store, want->key->cell, &sight);
  if (code != JT_OK) return code;
  want->orphaned = sight.orphaned;
  if (jt_words_sequence(&sight.words) != want->key->sequence ||
      jt_expired(store, &sight.words) || !matches(want->filter, &sight))
    return JT_NOT_FOUND;
  return jt_sight_copy(store, &sight, want->out, want->capacity, want->needed);
}

jt_code jt_get_listed(jt_store *store, const jt_key *key, const jt_filter *filter,
                      jt_job *out, size_t capacity, size_t *needed) {
  get_listed want = { key, filter, out, capacity, needed, false };
  if (key->cell >= store->geometry.cells) return JT_NOT_FOUND;
  jt_code code = jt_read(store, try_get_listed, &want);
  if (want.orphaned && jt_settle(store)) code = jt_read(store, try_get_listed, &want);
  return code;
}
