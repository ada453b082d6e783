/*
** crowd.h - the in-memory store filled with many jobs, for what is measured of a
** whole store, or by several processes.
*/
#ifndef CROWD_H
#define CROWD_H

#include "bench.h"
#include "store/store.h"

/* The in-memory store with so many pending jobs, those of bench_make_id. */
jt_store *crowd_make(uint32_t jobs);

/* Gives 'times' of them, chosen at random, a progress and a short step. */
void crowd_update(jt_store *store, uint32_t jobs, uint64_t times);

/* Updates this one; the code is the caller's to look at. */
jt_code crowd_update_one(jt_store *store, const bench_id *id, double progress);

#endif
