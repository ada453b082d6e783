/*
** read.h - reading one record without the lock, for all who look at jobs: what is
** stored, and what is to be said of a job whose owner is dead.
*/
#ifndef JT_READ_H
#define JT_READ_H

#include "cells.h"

/* A job found, and a valid copy of its record, which who changes the job makes that of
   its next one (replace.h). Ask jt_sight_... for what may be otherwise when it is
   orphaned. */
typedef struct jt_sight {
  uint32_t at;
  uint64_t cell;
  bool orphaned;                  /* unfinished, and its owner is dead */
  uint32_t pid;                   /* who that was; set if orphaned */
  jt_record_words words;
} jt_sight;

static inline jt_status jt_sight_status(const jt_sight *sight) {
  return sight->orphaned ? JT_FAILED : jt_words_status(&sight->words);
}

static inline uint64_t jt_sight_version(const jt_sight *sight) {
  return jt_words_version(&sight->words) + sight->orphaned;
}

/*
** Copies the record that the cell 'at' refers to. JT_NOT_FOUND: no job there.
** JT_BUSY: it changed meanwhile, try again. JT_CORRUPT: it is damaged.
*/
jt_code jt_sight_at(const jt_store *store, uint32_t at, jt_sight *sight);

/* Finds the job searched for and copies its record; the same codes. */
jt_code jt_sight_find(const jt_store *store, const jt_search *search, jt_sight *sight);

/* Whether what was seen, and all that it refers to, is still the job's state:
   then copies made before this call are whole. */
bool jt_sight_holds(const jt_store *store, const jt_sight *sight);

/* That code, or JT_CORRUPT where a read-only store's file has lost bytes: whatever was
   not found, or is not there to be listed, may have been among them. */
jt_code jt_seen(const jt_store *store, jt_code code);

/*
** Runs one try of a read until it is not JT_BUSY: JT_READ_TRIES times without
** the lock and then, where the store may be written, once with it; where it may not,
** the code is jt_seen. jt_read_on: after a first try, which gave 'code'.
*/
typedef jt_code (*jt_try)(jt_store *store, void *context);
jt_code jt_read_on(jt_store *store, jt_try attempt, void *context, jt_code code);

static inline jt_code jt_read(jt_store *store, jt_try attempt, void *context) {
  return jt_read_on(store, attempt, context, attempt(store, context));
}

/* jt_sight_at, tried until it is not JT_BUSY. */
jt_code jt_sight_read(jt_store *store, uint32_t at, jt_sight *sight);

/*
** Shows 'visit' every job that there is, in no order, each as it is at some instant of
** the call; jobs past their retention are none. Orphans are written off before. JT_BUSY
** as for jt_get, and then not all were shown; JT_CORRUPT: see jt_seen.
*/
typedef void (*jt_visit)(void *context, const jt_sight *sight);
jt_code jt_sight_each(jt_store *store, jt_visit visit, void *context);

/* Copies a seen job out, as jt_get does. */
jt_code jt_sight_copy(const jt_store *store, const jt_sight *sight, jt_job *out,
                      size_t capacity, size_t *needed);

#endif
