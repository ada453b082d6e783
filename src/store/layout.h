/*
** layout.h - what lies where in the region. Knows nothing of how it is mapped.
**
**   page 0    header: identity, the writers' lock, counters
**   page 1    notice: the futex word; the only page a read-only store may
**             have mapped for writing, so that it can say that it waits
**   owners    a slot for each thread that owns jobs
**   cells     the index, and the only truth about which jobs exist
**   scratch   room for the eviction pass; means nothing in between
**   bitmap    one bit for each 64-byte unit of the heap     } derived from
**   heap      records and blobs, each a run of units        } the cells
**
** Units are numbered from the start of the region, so that unit * 64 is an
** offset into it, and no unit of the heap is numbered 0 or 1.
*/
#ifndef JT_LAYOUT_H
#define JT_LAYOUT_H

#include <pthread.h>
#include <stdalign.h>

#include "hot.h"
#include "store.h"
#include "words.h"

#define JT_LAYOUT_VERSION 4u
#define JT_PAGE 4096u
#define JT_UNIT 64u
#define JT_UNIT_BITS 28           /* of a unit's number in a cell: 16 GiB */

/* The first word of the file. MAKING: its maker has not finished, or died. */
#define JT_MAGIC_MAKING UINT64_C(0x6b6d2d626f6a2e2e)
#define JT_MAGIC_READY UINT64_C(0x6b72742d626f6a31)

/*
** glibc's mutex is part of the layout, so its size and the width of a pointer
** are too. The order of bytes shows in the magic.
*/
#define JT_ABI ((uint32_t)(sizeof(void *) << 16 | sizeof(pthread_mutex_t)))

typedef struct jt_header {
  /* Read by all, rarely written. The geometry follows from size and max_jobs;
     each process checks it once, at open, and keeps a copy of its own. */
  alignas(64) jt_word magic;
  uint32_t layout;
  uint32_t abi;
  uint64_t size;
  uint64_t max_jobs;
  uint64_t identity;              /* checksum of the four before */
  jt_word pid_namespace;          /* of the writers: an inode number */
  jt_word retention;              /* int64_t: microseconds, or JT_KEEP */
  jt_word longest_search;         /* cells that a search may have to look at;
                                     written as jt_twice */
  jt_word incarnation;            /* how often somebody has opened the file alone,
                                     and made its locks anew */

  /* Polled by readers: alone on its line. */
  alignas(64) jt_word version;    /* of the newest publication or removal */

  /* Writers only, under the lock; readers load them for statistics. The heap's
     and the counts follow from the cells and are rebuilt by recovery. */
  alignas(64) pthread_mutex_t lock;
  alignas(64) jt_word by_status[JT_STATUSES];
  jt_word units_used;
  jt_word units_pinned;           /* of them, by unfinished jobs */
  jt_word heap_mark;              /* units below it have been used */
  jt_word heap_hint;              /* where to look next */
  alignas(64) jt_word heap_freed; /* units freed since a sweep found nothing */
  jt_word heap_barren;            /* and how many it looked for; 0: none did */
  jt_word evictions;
  jt_word recoveries;
  jt_word damaged;
  jt_word unsettled;              /* the version at which writing off the dead
                                     found no room; 0: it did. See bury.h */
  jt_word heap_rover;             /* where a look through the whole heap goes on */
} jt_header;

_Static_assert(sizeof(jt_header) <= JT_PAGE, "the header fills one page");

typedef struct jt_notice {
  _Atomic uint32_t word;          /* see notify.h */
} jt_notice;

/* A thread that owns jobs; the mechanism is told in owner.h. */
typedef struct jt_slot {
  alignas(64) pthread_mutex_t life;  /* robust; held until the thread ends */
  _Atomic uint32_t pid;           /* its process, to be named when it is dead */
  _Atomic uint32_t state;         /* JT_SLOT_FREE, JT_SLOT_USED */
  jt_word base;                   /* where that process had mapped the region */
} jt_slot;

enum { JT_SLOT_FREE, JT_SLOT_USED };

_Static_assert(sizeof(jt_slot) == 64, "slots do not share cache lines");

/* One candidate of the eviction pass. */
typedef struct jt_candidate {
  int64_t finished_at;
  uint64_t cell;
} jt_candidate;

typedef struct jt_geometry {
  uint64_t size, max_jobs;
  uint32_t cells;                 /* a power of two, at least 2 x max_jobs */
  uint32_t candidates;
  uint64_t cells_at, scratch_at, bitmap_at;   /* offsets in bytes */
  uint32_t first_unit, end_unit;  /* of the heap: [first, end) */
} jt_geometry;

/* False, with the reason (JT_INCOMPATIBLE), when no store has that shape. */
bool jt_geometry_make(uint64_t size, uint64_t max_jobs, jt_geometry *geometry,
                      jt_error *error);

/* max_jobs where only the size is given. */
uint64_t jt_default_jobs(uint64_t size);

/* This process's view of a store. Constant after opening. */
struct jt_store {
  jt_geometry geometry;
  unsigned char *base;
  jt_header *header;
  jt_notice *notice;              /* NULL: may not be written, so waits poll */
  jt_slot *slots;
  jt_word *cells;
  uint64_t *bitmap;               /* under the lock */
  jt_candidate *scratch;          /* under the lock */
  bool readonly;
  bool doubts;                    /* no writer was there: owners that were alive in */
  uint64_t doubted;               /* this incarnation are not believed to be */
  int file;                       /* -1: anonymous */
  bool unverified;                /* in memory: nobody will ever open it and ask for the
                                     records' checksums, so they have none */
  struct jt_guard *guard, *notice_guard;   /* of a read-only store: see guard.h */
  struct jt_store *replaced;      /* of a list in memory.c, or in file.c */
};

/* Points 'store' at a mapped region of that geometry. */
void jt_store_attach(jt_store *store, const jt_geometry *geometry, void *base);

/* A region's identity, an unlocked lock and free slots: all but its magic. */
jt_code jt_header_make(jt_store *store, jt_error *error);

/* What jt_header.identity should be. */
uint64_t jt_header_identity(const jt_header *header);

/* (Re)initialises the lock and the slots' own, which then nobody holds: only where
   nobody else can be using them. */
jt_code jt_locks_make(jt_store *store, jt_error *error);

/* Whether all these are of the kind that jt_locks_make makes: glibc ends a process
   that uses one of another kind. */
bool jt_locks_are_sound(const jt_store *store);

static inline jt_word *jt_unit_words(const jt_store *store, uint32_t unit) {
  return (jt_word *)(void *)(store->base + (uint64_t)unit * JT_UNIT);
}

static inline uint32_t jt_units_for(uint64_t bytes) {
  return bytes == 0 ? 1 : (uint32_t)((bytes + JT_UNIT - 1) / JT_UNIT);
}

/* Whether a run lies inside the heap: asked of every run before it is
   followed, for nothing in the region is trusted. */
static inline bool jt_run_inside(const jt_geometry *geometry, uint64_t unit,
                                 uint64_t units) {
  return unit >= geometry->first_unit && unit < geometry->end_unit &&
         units <= geometry->end_unit - unit;
}

/* Fills *error, if there is one, in printf's manner; returns 'code'. */
jt_code jt_fail(jt_error *error, jt_code code, const char *format, ...)
  __attribute__((format(printf, 3, 4)));

#endif
