/*
** publish.pml - publishing and reading (src/store/publish.c, read.c) on C11's memory, for
** machines without a model checker of C: the protocol written down once more, and the
** check that the C functions have not changed since is 'frozen'.
**
** A job is updated twice. Its first record, version 1, is in unit A; the second in B; the
** third in A again, while a reader may be copying the first. What a reader believes must
** be of one version.
**
** To be refuted: -DNO_RELEASE_FENCE, -DNO_ACQUIRE_FENCE, -DNO_RELEASE_STORE,
** -DNO_ACQUIRE_LOAD; -DNO_VERSION and -DNO_SECOND_ACQUIRE with -DROUND.
** -DROUND: the versions have come round, so that the third cell is the first again.
*/
#define LOCATIONS 6
#define MESSAGES 4
#define THREADS 2
#include "memory.pml"

#define CELL 0
#define VERSION 1                 /* of the store: header->version */
#define TEXT_OF(unit) (2 + 2 * (unit))
#define VERSION_OF(unit) (3 + 2 * (unit))

#define UNIT_OF(version) (1 - (version) % 2)  /* 1 in A, 2 in B, 3 in A */
#ifdef ROUND
#define CELL_OF(version) (2 - (version) % 2)
#else
#define CELL_OF(version) (version)
#endif

#ifdef NO_RELEASE_STORE
#define PUBLISHED RELAXED
#else
#define PUBLISHED ORDERED
#endif
#ifdef NO_ACQUIRE_LOAD
#define FIRST_LOOK RELAXED
#else
#define FIRST_LOOK ORDERED
#endif
#ifdef NO_SECOND_ACQUIRE
#define SECOND_LOOK RELAXED
#else
#define SECOND_LOOK ORDERED
#endif

#ifdef NO_VERSION_RELEASE
#define VERSION_STORED RELAXED
#else
#define VERSION_STORED ORDERED
#endif
#ifdef NO_VERSION_ACQUIRE
#define VERSION_LOADED RELAXED
#else
#define VERSION_LOADED ORDERED
#endif

/* jt_publish. One process for all writers: the lock hands on all that its holder has seen. */
proctype writer(byte me) {
  byte version = 1;
  do
  :: version <= 3 ->
#ifndef NO_RELEASE_FENCE
     release_fence();                             /* before_filling */
#endif
#ifdef VERSION_BEFORE
     store(VERSION_OF(UNIT_OF(version)), version, RELAXED);
     store(TEXT_OF(UNIT_OF(version)), version, RELAXED);
#else
     store(TEXT_OF(UNIT_OF(version)), version, RELAXED);
     store(VERSION_OF(UNIT_OF(version)), version, VERSION_STORED);
#endif
     store(CELL, CELL_OF(version), PUBLISHED);    /* jt_cell_publish */
     store(VERSION, version, PUBLISHED);          /* store_version */
     version++
  :: else -> break
  od
}

/* sight_cell: a look, a copy, another look. */
proctype reader(byte me) {
  byte place, seen, cell, text, version, again;
  load(VERSION, FIRST_LOOK, place, seen);         /* jt_store_version */
  load(CELL, FIRST_LOOK, place, cell);            /* jt_cell_load */
#ifndef ROUND
  assert(cell >= seen);                           /* who polls sees what it was told of */
#endif
  if
  :: cell == 0 -> goto end
  :: else
  fi;
  load(VERSION_OF(UNIT_OF(cell)), VERSION_LOADED, place, version);   /* jt_record_copy */
  load(TEXT_OF(UNIT_OF(cell)), RELAXED, place, text);
  /* unchanged */
#ifndef NO_ACQUIRE_FENCE
  acquire_fence();
#endif
  load(CELL, SECOND_LOOK, place, again);
  if
  :: again != cell -> goto end
  :: else
  fi;
#ifndef NO_VERSION
  load(VERSION_OF(UNIT_OF(cell)), RELAXED, place, again);
  if
  :: again != version -> goto end
  :: else
  fi;
#endif
  assert(text == version && CELL_OF(version) == cell);
end:
  skip
}

init {
  atomic { run writer(0); run reader(1) }
}
