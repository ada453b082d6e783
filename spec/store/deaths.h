/*
** deaths.h - processes that claim jobs, and end in one of the ways there are.
*/
#ifndef DEATHS_H
#define DEATHS_H

#include "region.h"

typedef enum death {
  DEATH_EXIT, DEATH_UNDERSCORE_EXIT, DEATH_KILL, DEATH_ABORT, DEATH_EXEC, DEATH_THREAD,
  DEATHS
} death;

extern const char *const death_names[DEATHS];

/* In shared memory. */
typedef struct mortal {
  jt_store *store;
  job_id jobs[8];
  int count;
  death how;
  _Atomic uint32_t claimed, may_die;
  pid_t process;
} mortal;

mortal *mortal_make(jt_store *store, death how);

/* A job of that name, to be claimed; its step is what it is of by then. */
void mortal_gets(mortal *m, const char *type, uint32_t number);

/* Begins to live, and returns when it has claimed its jobs. */
void mortal_begin(mortal *m);

/* Ends, and returns when nobody can take it for living any more. Of DEATH_EXEC and
   DEATH_THREAD the process goes on; mortal_clear ends it. */
void mortal_end(mortal *m);
void mortal_clear(mortal *m);

/* Both for one job: returns when its owner is dead. */
job_id orphan_make(jt_store *store, const char *type, uint32_t number);

/* How many dead owners a call that looks leaves behind. */
uint32_t dead_in(jt_store *store);

/* JT_STATUSES, and the case has failed: there is no such job. */
jt_status status_of(jt_store *store, const job_id *id);

/* What a job says whose owner was process 'pid'; in a static buffer. */
jt_text epitaph_of(pid_t pid, const char *step);

#endif
