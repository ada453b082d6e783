/*
** peer.h - a store that store_bench.c and blob_bench.c can measure. To add one: write
** a file peer_NAME.c with such a table, name it in peers.c and in rows.lua, and tell
** 'run' what it links with.
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

  /* A fresh store for so many jobs with results of so many bytes (0: without), its
     room reserved, in a file in 'folder' that vanishes with the process. */
  void *(*open)(const char *folder, uint32_t jobs, size_t result);
  void (*close)(void *self);

  /* A new pending job. */
  void (*create)(void *self, const bench_id *id);

  /* Sets progress and current_step, reading what was there before. */
  void (*update)(void *self, const bench_id *id, double progress, const char *step);

  /* Copies the whole job out; returns its progress. */
  double (*get)(void *self, const bench_id *id);

  /* Sets the result, reading what was there before (but not the old result). */
  void (*replace)(void *self, const bench_id *id, const char *result, size_t length);

  /* Copies the whole job out, to this block of as many bytes as a result has and
     BENCH_JOB_ROOM more; returns where in it the result is. */
  const char *(*get_result)(void *self, const bench_id *id, void *out, size_t capacity);

  /* How many jobs there are. */
  uint64_t (*count)(void *self);
} bench_peer;

#define BENCH_JOB_ROOM 1024

extern const bench_peer peer_job_tracker, peer_lmdb;

/* Those that were built in, ours first. */
enum {
#ifdef BENCH_LMDB
  BENCH_PEERS = 2
#else
  BENCH_PEERS = 1
#endif
};
extern const bench_peer *const bench_peers[BENCH_PEERS];

/* Who is number i in this round, or who opens its store as number i in this pass: each
   one is the first as often as the others. Which memory a store gets depends on who came
   before. */
static inline int bench_turn(uint32_t round, int i) {
  return (int)((round + (uint32_t)i) % BENCH_PEERS);
}

/* Prints their versions, for the report. */
void bench_name_peers(void);

#endif
