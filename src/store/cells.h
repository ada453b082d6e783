/*
** cells.h - the index: an open-addressing table in which a cell is a job.
** Knows records by their id only.
**
**   0                                   empty: a search ends here
**   1                                   deleted: a search goes on
**   tag:12 | version:24 | unit:28       a job, its record at that unit
**
** tag: bits of the id's hash, to skip other jobs without following them.
** version: the low bits of the record's version, so that a reader who finds
** the cell unchanged after its copy knows that nothing was published in
** between (after 2^24 publications the bits come round again: read.c compares
** the record's whole version too).
**
** A search ends at an empty cell, or when it has looked at as many cells as the
** longest search that any entry needed. Under long churn deleted cells would take
** the place of nearly all the empty ones: what is there would be found as fast as
** ever, but each look for what is not there would be one of the longest. So
** removals make those empty again that are on no entry's way (cells.c).
**
** Storing a cell is the commit of every change. Entries never move, and a
** cell before an entry on its probe path is never emptied while the entry is
** there, so a reader without a lock finds each job that stays.
*/
#ifndef JT_CELLS_H
#define JT_CELLS_H

#include "record.h"

#define JT_CELL_EMPTY UINT64_C(0)
#define JT_CELL_DELETED UINT64_C(1)
#define JT_NO_CELL UINT32_MAX

static inline bool jt_cell_is_job(uint64_t cell) {
  return cell > JT_CELL_DELETED;
}

static inline uint32_t jt_cell_unit(uint64_t cell) {
  return (uint32_t)(cell & ((1u << JT_UNIT_BITS) - 1));
}

/* Whether 'cell' may refer to a record of that version. */
static inline bool jt_cell_has_version(uint64_t cell, uint64_t version) {
  return ((cell >> JT_UNIT_BITS ^ version) & 0xffffff) == 0;
}

/* 'tagged': the id's hash, or a cell that the job has had. */
static inline uint64_t jt_cell_make(uint64_t tagged, uint64_t version, uint32_t unit) {
  return (tagged & ~(UINT64_MAX >> 12)) | (version & 0xffffff) << JT_UNIT_BITS | unit;
}

static inline bool jt_cell_has_tag(uint64_t cell, uint64_t hash) {
  return (cell ^ hash) >> 52 == 0 && jt_cell_is_job(cell);
}

/* The cell where a search for 'hash' begins; each next one is the right-hand
   neighbour, around the end. */
static inline uint32_t jt_cell_home(const jt_geometry *geometry, uint64_t hash) {
  return (uint32_t)hash & (geometry->cells - 1);
}

static inline uint32_t jt_cell_next(const jt_geometry *geometry, uint32_t at) {
  return (at + 1) & (geometry->cells - 1);
}

/* Acquire: pairs with the release in jt_cell_publish, so that whoever sees the
   cell sees the record and blobs that were filled before it. */
static inline uint64_t jt_cell_load(const jt_store *store, uint32_t at) {
  return atomic_load_explicit(&store->cells[at], memory_order_acquire);
}

/* The commit. Release: pairs with jt_cell_load. Under the lock. */
static inline void jt_cell_publish(jt_store *store, uint32_t at, uint64_t cell) {
  atomic_store_explicit(&store->cells[at], cell, memory_order_release);
}

/* How many cells a search has to look at. Raised before the entry that needs it
   is published; lowered only where nobody else can be writing. A damaged word
   makes searches longer, not shorter. */
static inline uint32_t jt_cells_to_search(const jt_store *store) {
  uint64_t word = jt_word_load(&store->header->longest_search);
  uint32_t longest = (uint32_t)word;
  bool intact = word == jt_twice(longest) && longest < store->geometry.cells;
  return intact ? longest : store->geometry.cells;
}

/* How many cells a search for that hash looks at to find it in the cell 'at'. */
static inline uint32_t jt_cells_between(const jt_geometry *geometry, uint64_t hash,
                                        uint32_t at) {
  return 1 + ((at - jt_cell_home(geometry, hash)) & (geometry->cells - 1));
}

#define JT_BATCH 64u              /* cells that are looked through at a time */

/*
** Which of the next cells from 'from' on, at most JT_BATCH, hold a job; returns how
** many. Records lie in no order, so each is a page and a line to be fetched: asked for
** in a row, with nothing in between, many are fetched at a time; mixed with the work on
** them a processor sees only the next one or two.
*/
uint32_t jt_cells_gather(const jt_store *store, uint32_t from, uint32_t jobs[JT_BATCH]);

/* What is searched for: once for all tries of a call, and before it takes the lock. */
typedef struct jt_search {
  jt_text id;
  uint64_t hash;
} jt_search;

/* An id that is too long is nobody's, whatever its hash. */
static inline jt_search jt_search_for(const char *id, size_t length) {
  return (jt_search){ { id, length }, length <= JT_ID_MAX ? jt_hash(id, length) : 0 };
}

/*
** Asks for the line where a search begins, to be written. For who has yet to take the
** lock: what is asked for before comes meanwhile, and what is asked for after waits for
** it. See jt_record_prefetch.
*/
__attribute__((always_inline))
static inline void jt_cells_prefetch(const jt_store *store, const jt_search *search) {
  jt_word_prefetch_to_write(&store->cells[jt_cell_home(&store->geometry, search->hash)]);
}

/* Where 'id' is, or JT_NO_CELL. Under the lock. */
uint32_t jt_cells_find(const jt_store *store, jt_text id, uint64_t hash);

/* Where a new entry of that hash goes, or JT_NO_CELL. Searches find it there
   from now on. Under the lock. */
uint32_t jt_cells_vacant(jt_store *store, uint64_t hash);

/* Removes the entry: the commit of a deletion. Under the lock. */
void jt_cells_remove(jt_store *store, uint32_t at);

/* Marks as deleted the empty cells between an entry's home and the entry, that
   damage has left there, so that it can be found again. Under the lock. */
void jt_cells_reach(jt_store *store, uint32_t at, uint64_t hash);

#endif
