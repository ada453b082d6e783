/*
** peer.h - a store that store_bench.c can measure. To add one: write a file
** peer_NAME.c with such a table, name it in store_bench.c and in rows.lua, and
** tell 'run' what it links with.
**
** All calls end the program when something fails: what is measured is a success.
*/
#ifndef PEER_H
#define PEER_H

#include "bench.h"

/* The functions' first argument is what 'open' returned. */
typedef struct bench_peer {
  const char *name;
  const char *(*version)(void);    /* NULL: the one of this tree */

  /* A fresh store for so many jobs, its room reserved, in a file in 'folder'
     that vanishes with the process. */
  void *(*open)(const char *folder, uint32_t jobs);
  void (*close)(void *self);

  /* A new pending job. */
  void (*create)(void *self, const bench_id *id);

  /* Sets progress and current_step, reading what was there before. */
  void (*update)(void *self, const bench_id *id, double progress, const char *step);

  /* Copies the whole job out; returns its progress. */
  double (*get)(void *self, const bench_id *id);

  /* How many jobs there are. */
  uint64_t (*count)(void *self);
} bench_peer;

extern const bench_peer peer_job_tracker, peer_lmdb;

#endif
