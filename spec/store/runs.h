/*
** runs.h - how much the random tests do by default: all the numbers in one
** place. Each goes through check_times, so JT_TEST_SCALE=10 is ten times as much.
*/
#ifndef RUNS_H
#define RUNS_H

enum {
  RUNS_MODEL_TINY = 200000,       /* operations, audited each */
  RUNS_MODEL_MEDIUM = 150000,
  RUNS_MODEL_LARGE = 150000,
  RUNS_HEAP_EXACT = 300000,       /* takes and gives, compared each */
  RUNS_HEAP_CHURN = 1000000,
  RUNS_CELLS_CHURN = 2000000,     /* a deletion and a creation each */
  RUNS_DAMAGE_RANDOM = 3000,      /* regions damaged at random */
  RUNS_DAMAGE_FILES = 400,        /* files damaged at random */
  RUNS_OPEN_KILLS = 150,          /* openers killed or stopped */
  RUNS_OPEN_CROWDS = 25,          /* crowds that open one new file */
  RUNS_KILLED_TWICE = 96,         /* of one in so many kills: at JT_TEST_SCALE, of
                                     one in so many less */
  RUNS_KILLS = 600,
  RUNS_THREAD_UPDATES = 60000,    /* by each writing thread */
  RUNS_PING_PONG = 20000,         /* wake-ups between two processes */
  RUNS_CHANGES = 3000,            /* scans for changes */
  RUNS_OWNERS = 300,              /* owners that end in the midst of a storm */
  RUNS_CHURN = 60000,             /* jobs through a store at its limit */
  RUNS_SIGNALLED = 100,           /* openings under a storm of signals */
  RUNS_REBOOTS = 100              /* pairs of moments of a file, mixed a few times */
};

#endif
