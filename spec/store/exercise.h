/*
** exercise.h - uses a store that may be damaged in every way, for those who
** watch whether it crashes, hangs or writes outside.
*/
#ifndef EXERCISE_H
#define EXERCISE_H

#include "region.h"

/* Lists, reads, waits for, creates, updates, evicts and deletes, whatever the
   answers are. Nothing is checked but that reading stays within bounds. */
void exercise(jt_store *store);

/* The part of it that a read-only store can do. */
void exercise_reading(jt_store *store);

#endif
