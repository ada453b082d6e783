/*
** read.h - reading one record without the lock, for read.c, list.c and wait.c.
*/
#ifndef JT_READ_H
#define JT_READ_H

#include "record.h"

/* A job found, and a valid copy of its record. */
typedef struct jt_sight {
  uint32_t at;
  uint64_t cell;
  jt_record_words words;
} jt_sight;

/*
** Copies the record that the cell 'at' refers to. JT_NOT_FOUND: no job there.
** JT_BUSY: it changed meanwhile, try again. JT_CORRUPT: it is damaged.
*/
jt_code jt_sight_at(const jt_store *store, uint32_t at, jt_sight *sight);

/* Finds 'id' and copies its record; the same codes. */
jt_code jt_sight_find(const jt_store *store, jt_text id, jt_sight *sight);

/* Whether what was seen, and all that it refers to, is still the job's state:
   then copies made before this call are whole. */
bool jt_sight_holds(const jt_store *store, const jt_sight *sight);

/*
** Runs one try of a read until it is not JT_BUSY: JT_READ_TRIES times without
** the lock and then, where the store may be written, once with it.
*/
typedef jt_code (*jt_try)(jt_store *store, void *context);
jt_code jt_read(jt_store *store, jt_try attempt, void *context);

/* Copies a seen job out, as jt_get does. */
jt_code jt_sight_copy(const jt_store *store, const jt_sight *sight, jt_job *out,
                      size_t capacity, size_t *needed);

#endif
