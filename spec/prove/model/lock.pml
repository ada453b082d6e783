/*
** lock.pml - the writers' lock, its hand-over after a death, and recovery
** (src/store/lock.c, recover.c, publish.c). Under the lock memory has one order, so this
** model does without memory.pml.
**
** Three processes write: create or update a job, delete it, or find that they may not. Two
** of them may be killed between any two steps, also in a recovery. The job is in unit 1 or
** 2 or nowhere; at the beginning, in unit 1. Whoever has got the lock must find what follows from the cell (bitmap, count,
** version) as it should be, and the record whole. Somebody polls: while the version is
** the same, there is nothing new.
**
** The kernel's and glibc's part is a rule here, not a model: whoever dies with the lock
** leaves it free and marked; the next one to take it is told; who gives it back without
** having made it consistent leaves a lock that nobody can take (pthread_mutex_lock(3)).
**
** To be refuted: -DNO_RECOVERY, -DNO_RESET (of the bitmap), -DNO_CONSISTENT, -DNO_BUMP
** (of the version, by recovery), -DCOMMIT_FIRST (the cell before the record is filled),
** -DGIVE_FIRST (the old unit before the cell refers to the new one, and then looking for
** a new one), -DNOT_ROBUST. -DROUNDS=2: each writes twice.
*/
#define KILLS 2
#ifndef ROUNDS
#define ROUNDS 1
#endif

#define NOWHERE 0

byte cell = 1;                    /* the truth: NOWHERE, 1 or 2 */
byte record[3];                   /* a unit's version; 0: it is half written */
bool taken[3];                    /* derived: the bitmap */
byte jobs = 1, version = 1;       /* derived: counters */

byte holder;                      /* of the lock; 0: nobody */
bool marked, lost;
byte kills;

#define MAY_DIE \
  if \
  :: atomic { kills < KILLS -> kills++; goto dead } \
  :: skip \
  fi

#define STATE (cell == NOWHERE -> 0 : record[cell])
#define QUIET (holder == 0 && !marked)

/* lock.c, enter: what has been done after EOWNERDEAD. */
inline recover() {
#ifndef NO_RESET
  taken[1] = false;
  MAY_DIE;
  taken[2] = false;               /* jt_heap_reset */
  MAY_DIE;
#endif
  if
  :: cell != NOWHERE -> taken[cell] = true
  :: else
  fi;
  MAY_DIE;
  jobs = (cell != NOWHERE);       /* write_counters */
  MAY_DIE;
#ifdef NO_BUMP
  version = (STATE > version -> STATE : version)
#else
  version = (STATE > version -> STATE : version) + 1
#endif
}

inline take_lock() {
  atomic {
    holder == 0 -> holder = me;
    assert(!lost);
    died = marked;
    marked = false
  }
  if
  :: died ->
     MAY_DIE;
#ifndef NO_RECOVERY
     recover();
     MAY_DIE;
#endif
#ifndef NO_CONSISTENT
     died = false                 /* pthread_mutex_consistent */
#endif
  :: else
  fi;
  d_step {                        /* whoever has got it finds all as it should be */
    assert(cell == NOWHERE || record[cell] != 0);
    assert(taken[1] == (cell == 1) && taken[2] == (cell == 2));
    assert(jobs == (cell != NOWHERE));
    assert(version >= STATE)
  }
}

inline give_lock() {
  atomic { lost = died; holder = 0 }
}

/* jt_replace and jt_publish */
inline publish() {
  old = cell;
#ifdef GIVE_FIRST
  taken[old] = false;
  MAY_DIE;
#endif
  unit = (taken[1] -> 2 : 1);
  taken[unit] = true;
  MAY_DIE;
#ifdef COMMIT_FIRST
  cell = unit;
  MAY_DIE;
#endif
  record[unit] = 0;
  MAY_DIE;
  record[unit] = version + 1;
  MAY_DIE;
  cell = unit;
  MAY_DIE;
  version++;
  MAY_DIE;
  jobs = 1;
  MAY_DIE;
  if
  :: old != NOWHERE && old != unit -> taken[old] = false
  :: else
  fi
}

/* jt_remove */
inline remove() {
  old = cell;
  cell = NOWHERE;
  MAY_DIE;
  version++;
  MAY_DIE;
  taken[old] = false;
  MAY_DIE;
  jobs = 0
}

proctype process(byte me) {
  byte round, unit, old;
  bool died;
  do
  :: round < ROUNDS ->
     take_lock();
     MAY_DIE;
     if
     :: publish()
     :: cell != NOWHERE -> remove()
     :: skip                      /* it was refused: nothing is changed */
     fi;
     MAY_DIE;
     give_lock();
     round++
  :: else -> goto end
  od;
dead:
  skip;
  d_step {                        /* the kernel's doing */
    if
#ifndef NOT_ROBUST
    :: holder == me -> holder = 0; marked = true
#endif
    :: else
    fi
  }
end:
  skip
}

/* Reads the version, later the job; what it has then is what there is until the version
   changes, unless somebody is at it or has just died at it. */
proctype poller() {
  byte polled, state;
  polled = version;
  state = STATE;
end_poller:                       /* perhaps the last one died, and nobody comes */
  atomic { QUIET -> assert(version != polled || STATE == state) }
}

init {
  atomic {
    record[1] = 1;
    taken[1] = true;
    run process(1); run process(2); run process(3); run poller()
  }
}
