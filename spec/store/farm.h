/*
** farm.h - a pipeline farm at work on one store, for the long run: jobs of mixed lives
** and sizes, by several processes. Knows the calls of store.h, and nothing of what
** they do to the region.
**
** Each field of a job follows from its number and from how many updates it has had. So
** whoever reads one knows whether it is right, whole, and of which update; and the
** successor of a worker that was killed can go on with its jobs.
*/
#ifndef FARM_H
#define FARM_H

#include "region.h"

#define FARM_TYPE "farm"
enum { FARM_WORKERS = 2, FARM_DESK = 128, FARM_LONGEST = 64 * 1024 };

/* A job that a worker has on its desk. Counted from 1, which is its creation: what has
   been begun, what has returned; 0: nothing. */
typedef struct farm_job {
  _Atomic uint32_t number;        /* 0: the place is free */
  _Atomic uint32_t begun, returned;
} farm_job;

/* Shared by all processes. */
typedef struct farm {
  jt_store *store;
  uint32_t part;                  /* results are of this part of the usual lengths */
  farm_job desk[FARM_WORKERS][FARM_DESK];
  _Atomic uint32_t last[FARM_WORKERS];    /* number of the last job created */
  _Atomic uint32_t created, ending;
  _Atomic uint64_t calls, reads, full, busy;
} farm;

farm *farm_make(jt_store *store, uint32_t part);

/* Works; or reads all that there is, about as often as others work. Until f->ending; for
   check_fork. */
typedef struct farm_role {
  farm *farm;
  uint32_t worker, life;          /* life: for its random numbers */
} farm_role;
void farm_work(void *role);
void farm_read(void *role);

/* What the dead have left on their desks is looked at, and they are written off. */
void farm_look_after(farm *f);

uint32_t farm_number(const jt_job *job);

/* Checks all fields of a job of a farm; returns how many updates it has had. */
uint32_t farm_check(const farm *f, const jt_job *job);

#endif
