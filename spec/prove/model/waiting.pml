/*
** waiting.pml - sleeping until something changes (src/store/notify.c, wait.c) on C11's
** memory: two who wait, for the first and for the second of two changes, and two writers.
** That a process sleeps for ever is an invalid end state, which spin reports.
**
** Nobody is killed, and nobody wakes but by a wake-up: the protocol alone is enough.
** -DKILL_WAITER: the first waiter is killed anywhere; the second needs no slice for that.
** -DKILL_WRITERS: they are killed anywhere after their commit, and so is the first waiter.
** The slice (JT_SLICE) ends a sleep then, but only where nothing else can happen any more.
**
** To be refuted: -DNO_PREPARE_FENCE, -DNO_WAKE_FENCE, -DLOOK_FIRST (at the job, before it
** is said that one waits), -DNO_COUNT (of changes, in the word), -DWAKE_ONE; and
** -DNO_SLICE with -DKILL_WRITERS.
*/
#define LOCATIONS 2
#define MESSAGES 12
#define THREADS 4
#include "memory.pml"

#define JOB 0                     /* how many changes there have been */
#define WORD 1                    /* notice->word: changes:31 | waiting:1 */
#define WAITERS 2
#define WAITING 1
#ifdef NO_COUNT
#define ONE_CHANGE 0
#else
#define ONE_CHANGE 2
#endif

bool asleep[WAITERS];

#ifdef KILL_WRITERS
#define KILL_WAITER
#define MAY_DIE if :: goto dead :: skip fi
#else
#define MAY_DIE skip
#endif
#ifdef KILL_WAITER
#define FIRST_MAY_DIE if :: me == 0 -> goto dead :: skip fi
#else
#define FIRST_MAY_DIE skip
#endif

/* jt_notify_prepare */
inline prepare() {
  d_step {
    take_last(WORD, ticket);
    add(WORD, ticket | WAITING, ORDERED);
    ticket = ticket | WAITING
  }
#ifndef NO_PREPARE_FENCE
  full_fence()
#endif
}

/* The kernel compares and falls asleep at one instant. */
inline sleep() {
  atomic {
    if
    :: value[AT(WORD, LAST(WORD))] == ticket -> asleep[me] = true
    :: else
    fi
  }
  if
  :: !asleep[me]
#ifdef KILL_WRITERS
#ifndef NO_SLICE
  :: timeout ->                   /* by then whatever was stored can be seen */
     d_step { asleep[me] = false; NOW(JOB) = LAST(JOB) }
#endif
#endif
  fi
}

/* jt_wait, for the change number 'me' + 1. */
proctype waiter(byte me) {
  byte place, ticket, seen;
  do
  ::
#ifdef LOOK_FIRST
     load(JOB, ORDERED, place, seen);
     prepare();
#else
     prepare();
     FIRST_MAY_DIE;
     load(JOB, ORDERED, place, seen);
#endif
     if
     :: seen > me -> break
     :: else
     fi;
     FIRST_MAY_DIE;
     sleep()
  od;
dead:
  asleep[me] = false
}

/* What follows a commit: jt_notify_wake. */
proctype writer(byte me) {
  byte place, seen;
  bool done;
  d_step {                        /* under the lock */
    NOW(JOB) = LAST(JOB);
    add(JOB, value[AT(JOB, LAST(JOB))] + 1, ORDERED)
  }
  MAY_DIE;
#ifndef NO_WAKE_FENCE
  full_fence();
  MAY_DIE;
#endif
  load(WORD, RELAXED, place, seen);
  do
  :: !(seen & WAITING) -> goto dead
  :: else ->
     d_step {                     /* compare and exchange */
       if
       :: value[AT(WORD, LAST(WORD))] == seen ->
          take_last(WORD, seen);
          add(WORD, (seen + ONE_CHANGE) & (255 - WAITING), ORDERED);
          done = true
       :: else ->
          seen = value[AT(WORD, LAST(WORD))];
          NOW(WORD) = LAST(WORD)
       fi
     }
     if
     :: done -> break
     :: else
     fi
  od;
  MAY_DIE;
  d_step {                        /* FUTEX_WAKE */
#ifdef WAKE_ONE
    if
    :: asleep[0] -> asleep[0] = false
    :: else -> asleep[1] = false
    fi
#else
    asleep[0] = false;
    asleep[1] = false
#endif
  }
dead:
  skip
}

init {
  atomic { run waiter(0); run waiter(1); run writer(2); run writer(3) }
}
