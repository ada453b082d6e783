/*
** audit.c - the picture in record.h and cells.h, read a second time: nothing of
** record.c and heap.c is used here, so that a fault there is seen.
*/
#include "audit.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/cells.h"

enum { BLOBS = 4 };

static char fault[512];

typedef struct job {
  uint32_t at, unit;
  uint64_t cell;
  uint64_t version, sequence;
  unsigned status, owner;
  int64_t created_at, updated_at, started_at, finished_at;
  double progress;
  const char *id;
  size_t id_length, step_length, words;
  uint32_t blob_unit[BLOBS];
  uint64_t blob_length[BLOBS], blob_sum[BLOBS];
} job;

typedef struct book {
  const jt_store *store;
  unsigned allowances;
  uint32_t first, units;
  uint32_t *owner;                /* by position: the cell + 1, 0: nobody */
  uint64_t *versions;
  uint64_t jobs, used, pinned, newest, by_status[4], top;
} book;

__attribute__((format(printf, 1, 2)))
static bool wrong(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fault, sizeof fault, format, arguments);
  va_end(arguments);
  return false;
}

static uint64_t word(const jt_store *store, uint32_t unit, size_t index) {
  uint64_t value;
  memcpy(&value, store->base + (size_t)unit * 64 + index * 8, 8);
  return value;
}

static bool inside(const book *b, uint64_t unit, uint64_t units) {
  return unit >= b->first && unit + units <= (uint64_t)b->first + b->units;
}

static uint64_t units_of(uint64_t bytes) {
  return bytes == 0 ? 1 : (bytes + 63) / 64;
}

/* ------------------------------------------------------------- one record */

static bool decode_blobs(const book *b, job *j, unsigned blobs, size_t *next) {
  for (int i = 0; i < BLOBS; i++) {
    j->blob_unit[i] = 0;
    if (!(blobs >> i & 1)) continue;
    uint64_t place = word(b->store, j->unit, *next);
    j->blob_unit[i] = (uint32_t)(place >> 36);
    j->blob_length[i] = place & ((UINT64_C(1) << 36) - 1);
    j->blob_sum[i] = word(b->store, j->unit, *next + 1);
    *next += 2;
    if (!inside(b, j->blob_unit[i], units_of(j->blob_length[i])))
      return wrong("cell %u: blob %d at unit %u, %llu bytes, is not inside the heap",
                   j->at, i, j->blob_unit[i], (unsigned long long)j->blob_length[i]);
    const unsigned char *bytes = b->store->base + (size_t)j->blob_unit[i] * 64;
    if (jt_hash(bytes, j->blob_length[i]) != j->blob_sum[i])
      return wrong("cell %u: the checksum of blob %d is wrong", j->at, i);
  }
  return true;
}

static void decode_fixed(const jt_store *store, job *j) {
  uint64_t bits = word(store, j->unit, 8);
  j->version = word(store, j->unit, 1);
  j->sequence = word(store, j->unit, 3);
  j->created_at = (int64_t)word(store, j->unit, 4);
  j->updated_at = (int64_t)word(store, j->unit, 5);
  j->started_at = (int64_t)word(store, j->unit, 6);
  j->finished_at = (int64_t)word(store, j->unit, 7);
  memcpy(&j->progress, &bits, 8);
}

static bool decode(const book *b, job *j) {
  const jt_store *store = b->store;
  if (!inside(b, j->unit, 2))
    return wrong("cell %u refers to unit %u, outside the heap", j->at, j->unit);
  uint64_t shape = word(store, j->unit, 2);
  unsigned blobs = shape >> 8 & 0xff;
  j->status = shape & 0xff;
  j->id_length = shape >> 16 & 0xffff;
  j->step_length = shape >> 32 & 0xffff;
  j->owner = (unsigned)(shape >> 48);
  if (j->status > 3 || blobs > 15 || j->id_length < 10 || j->id_length > JT_ID_MAX ||
      j->step_length > JT_STEP_MAX || j->owner > 256)
    return wrong("cell %u: no record has the shape %#llx", j->at,
                 (unsigned long long)shape);
  decode_fixed(store, j);
  size_t next = 9;
  size_t pairs = (blobs & 1) + (blobs >> 1 & 1) + (blobs >> 2 & 1) + (blobs >> 3);
  size_t id_at = 9 + 2 * pairs;
  j->words = id_at + (j->id_length + 7) / 8 + (j->step_length + 7) / 8;
  if (!inside(b, j->unit, units_of(j->words * 8)))
    return wrong("cell %u: the record's %zu words leave the heap", j->at, j->words);
  j->id = (const char *)store->base + (size_t)j->unit * 64 + id_at * 8;
  const unsigned char *second = store->base + (size_t)j->unit * 64 + 8;
  uint64_t sum = store->unverified ? 0 : jt_hash(second, (j->words - 1) * 8);
  if (sum != word(store, j->unit, 0))
    return wrong("cell %u: the record's checksum is wrong", j->at);
  return decode_blobs(b, j, blobs, &next);
}

/* ------------------------------------------------------------ what must hold */

static bool zeros_follow(const char *text, size_t length) {
  for (; length % 8 != 0; length++)
    if (text[length] != 0) return false;
  return true;
}

static bool padding_is_right(const job *j) {
  const char *step = j->id + (j->id_length + 7) / 8 * 8;
  return (zeros_follow(j->id, j->id_length) && zeros_follow(step, j->step_length)) ||
         wrong("cell %u: its id or its step is not padded with zeros", j->at);
}

static bool id_is_right(const job *j) {
  const char *number = j->id + j->id_length - 9;
  if (!jt_type_valid(j->id, j->id_length - 9) || *number != '_') return false;
  for (int i = 1; i < 9; i++)
    if (!strchr("0123456789abcdef", number[i])) return false;
  return true;
}

static bool life_is_right(const job *j) {
  bool finished = j->status >= 2;
  if (j->created_at <= 0 || j->updated_at < j->created_at)
    return wrong("cell %u: created at %lld, updated at %lld", j->at,
                 (long long)j->created_at, (long long)j->updated_at);
  if (finished != (j->finished_at != 0) || j->finished_at > j->updated_at)
    return wrong("cell %u: status %u, finished at %lld, updated at %lld", j->at,
                 j->status, (long long)j->finished_at, (long long)j->updated_at);
  if ((j->status == 0 && j->started_at != 0) || (j->status == 1 && j->started_at == 0))
    return wrong("cell %u: status %u, started at %lld", j->at, j->status,
                 (long long)j->started_at);
  if (finished && j->owner != 0)
    return wrong("cell %u: status %u, but owner %u", j->at, j->status, j->owner);
  return id_is_right(j) || wrong("cell %u: its id is of the wrong form", j->at);
}

/* A search of its own: it also sees that no empty cell is in the way. */
static bool is_findable(const book *b, const job *j) {
  const jt_store *store = b->store;
  uint64_t hash = jt_hash(j->id, j->id_length);
  if (j->cell >> 52 != hash >> 52) return wrong("cell %u: wrong tag", j->at);
  if ((j->cell >> 28 & 0xffffff) != (j->version & 0xffffff))
    return wrong("cell %u: not the version of its record", j->at);
  uint32_t mask = store->geometry.cells - 1;
  for (uint32_t at = (uint32_t)hash & mask; at != j->at; at = (at + 1) & mask)
    if (jt_word_load(&store->cells[at]) == JT_CELL_EMPTY)
      return wrong("cell %u: the empty cell %u is before it on its way from %u", j->at,
                   at, (uint32_t)hash & mask);
  if (b->allowances & AUDIT_FINDER) return true;
  uint32_t found = jt_cells_find(store, (jt_text){ j->id, j->id_length }, hash);
  return found == j->at || wrong("cell %u: jt_cells_find says %u", j->at, found);
}

static bool claim(book *b, const job *j, uint32_t unit, uint64_t units) {
  for (uint64_t i = 0; i < units; i++) {
    uint32_t *owner = &b->owner[unit - b->first + i];
    if (*owner != 0)
      return wrong("unit %llu belongs to the jobs in cells %u and %u",
                   (unsigned long long)(unit + i), *owner - 1, j->at);
    *owner = j->at + 1;
  }
  b->used += units;
  if (j->status < 2) b->pinned += units;
  if (unit - b->first + units > b->top) b->top = unit - b->first + units;
  return true;
}

static bool claim_all(book *b, const job *j) {
  if (!claim(b, j, j->unit, units_of(j->words * 8))) return false;
  for (int i = 0; i < BLOBS; i++)
    if (j->blob_unit[i] != 0 &&
        !claim(b, j, j->blob_unit[i], units_of(j->blob_length[i])))
      return false;
  return true;
}

/* Else the slot could be given to somebody else. */
static bool owner_is_right(const book *b, const job *j) {
  if (j->owner == 0 || j->status >= 2) return true;
  return atomic_load(&b->store->slots[j->owner - 1].state) == 1 ||
         wrong("cell %u: its owner's slot %u is free", j->at, j->owner);
}

static bool enter(book *b, uint32_t at) {
  uint64_t cell = jt_word_load(&b->store->cells[at]);
  if (cell <= JT_CELL_DELETED) return true;
  job j = { .at = at, .cell = cell, .unit = cell & ((1u << 28) - 1) };
  if (!decode(b, &j) || !is_findable(b, &j) || !claim_all(b, &j)) return false;
  if (!(b->allowances & AUDIT_LIVES) && (!life_is_right(&j) || !padding_is_right(&j)))
    return false;
  if (j.sequence > j.version || j.sequence == 0 || !(j.progress >= 0 && j.progress <= 1))
    return wrong("cell %u: sequence %llu, version %llu, progress %g", at,
                 (unsigned long long)j.sequence, (unsigned long long)j.version,
                 j.progress);
  if (!owner_is_right(b, &j)) return false;
  b->versions[b->jobs++] = j.version;
  b->by_status[j.status]++;
  if (j.version > b->newest) b->newest = j.version;
  return true;
}

/* -------------------------------------------------------- the whole and its parts */

static bool bitmap_is_right(const book *b) {
  for (uint32_t i = 0; i < (b->units + 63) / 64 * 64; i++) {
    bool taken = b->store->bitmap[i / 64] >> i % 64 & 1;
    bool owned = i < b->units && b->owner[i] != 0;
    if (taken == owned || (taken && b->allowances & AUDIT_LEAKS)) continue;
    if (!taken)
      return wrong("unit %u of the job in cell %u is free in the bitmap", b->first + i,
                   b->owner[i] - 1);
    return wrong("unit %u is taken in the bitmap, but nobody has it", b->first + i);
  }
  return true;
}

static bool same(const char *name, const jt_word *is, uint64_t expected) {
  return jt_word_load(is) == expected ||
         wrong("%s is %llu, not %llu", name, (unsigned long long)jt_word_load(is),
               (unsigned long long)expected);
}

static bool counters_are_right(const book *b) {
  const jt_header *header = b->store->header;
  static const char *const names[] = { "by_status[pending]", "by_status[running]",
                                       "by_status[completed]", "by_status[failed]" };
  for (int i = 0; i < 4; i++)
    if (!same(names[i], &header->by_status[i], b->by_status[i])) return false;
  return same("units_used", &header->units_used, b->used) &&
         same("units_pinned", &header->units_pinned, b->pinned);
}

static int ascending(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

static bool limits_are_right(const book *b) {
  const jt_header *header = b->store->header;
  uint64_t mark = jt_word_load(&header->heap_mark);
  if (mark < b->top || mark > b->units)
    return wrong("the mark is %llu, units below %llu of %u are in use",
                 (unsigned long long)mark, (unsigned long long)b->top, b->units);
  if (jt_word_load(&header->version) < b->newest)
    return wrong("the store's version is %llu, a job's %llu",
                 (unsigned long long)jt_word_load(&header->version),
                 (unsigned long long)b->newest);
  if (b->jobs > b->store->geometry.max_jobs && !(b->allowances & AUDIT_CROWD))
    return wrong("%llu jobs, more than max_jobs", (unsigned long long)b->jobs);
  qsort(b->versions, b->jobs, sizeof *b->versions, ascending);
  for (uint64_t i = 1; i < b->jobs && !(b->allowances & AUDIT_LIVES); i++)
    if (b->versions[i] == b->versions[i - 1])
      return wrong("two jobs have version %llu", (unsigned long long)b->versions[i]);
  return true;
}

const char *audit_allowing(const jt_store *store, unsigned allowances) {
  const jt_geometry *g = &store->geometry;
  book b = { .store = store, .allowances = allowances, .first = g->first_unit,
             .units = g->end_unit - g->first_unit };
  b.owner = check_memory(b.units * sizeof *b.owner);
  b.versions = check_memory(g->cells * sizeof *b.versions);
  bool right = true;
  for (uint32_t at = 0; right && at < g->cells; at++) right = enter(&b, at);
  right = right && bitmap_is_right(&b) && limits_are_right(&b) &&
          ((allowances & AUDIT_LEAKS) || counters_are_right(&b));
  free(b.owner);
  free(b.versions);
  return right ? NULL : fault;
}

const char *audit(const jt_store *store) {
  return audit_allowing(store, AUDIT_STRICT);
}
