/*
** scenes.h - small stores, each with a call that changes it, and what a process
** killed in the midst of that call may have left. For those who kill it. Knows
** nothing of how.
*/
#ifndef SCENES_H
#define SCENES_H

#include "region.h"

enum { SCENE_JOBS = 6 };

typedef struct scene scene;

typedef struct trial {
  const char *name;
  void (*prepare)(const scene *s);
  void (*call)(const scene *s);
  int claims;                     /* which of the jobs; 0: none (never the first) */
  bool alone;                     /* the call is for who has the file alone, and so is
                                     what comes after a kill: region_verify */
} trial;

extern const trial trials[];
extern const size_t trial_count;
const trial *trial_of(const char *name);

/* What a call does to which jobs. */
struct scene {
  const trial *trial;
  jt_store *store;
  job_id ids[SCENE_JOBS];
  jt_job *before[SCENE_JOBS], *after[SCENE_JOBS];   /* NULL: there is no such job */
};

/* The store is prepared; the call has been made on a clone of it only. */
scene scene_make(const trial *t);
void scene_free(scene *s);

/* Which jobs are not exactly as they were: a bit for each. By a reader who may only
   read: to look at an orphan is not to write it off. */
unsigned scene_changed(const scene *s, const jt_store *store);

/*
** Checks of a store in which a process of that number, which did the call, was
** killed. The jobs: each exactly as it was, or as it was to be; or it is one that the
** dead had claimed. The call had returned: as it was to be.
*/
void scene_check_jobs(const scene *s, const jt_store *store, pid_t dead);
void scene_check_returned(const scene *s, const jt_store *store, pid_t dead);

/* What whoever writes next does, and the jobs and the whole region before it, after it,
   and when the dead have been written off. */
void scene_check_recovery(const scene *s, jt_store *store, pid_t dead);

/* The same where all others are gone too, and the next one begins anew, alone. */
void scene_check_beginning(const scene *s, jt_store *store, pid_t dead);

/* Only what whoever writes next does, and writing off. */
void scene_recover(const scene *s, jt_store *store);

#endif
