/*
** timestamp.h - a store's time as people and machines write it. It knows no
** Lua, no time zone and no locale.
*/
#ifndef JT_TIMESTAMP_H
#define JT_TIMESTAMP_H

#include <stdint.h>

#define JT_TIMESTAMP_LENGTH 27   /* of "2026-11-23T17:42:36.123456Z" */
#define JT_TIMESTAMP_SECOND 19   /* of what is before its fraction */

/* The last time that was written, but its fraction, and when its day and its second
   began: times are mostly of one day, and those of a job often of one second. */
typedef struct jt_timestamp_last {
  int64_t day, second;
  char text[JT_TIMESTAMP_SECOND + 1];
} jt_timestamp_last;

/* This thread's, for the next function: asked for once where several times are written,
   as it takes almost as long as writing one. */
jt_timestamp_last *jt_timestamp_last_here(void);

/*
** Writes exactly JT_TIMESTAMP_LENGTH characters, without a NUL: ISO 8601 in
** UTC. 'time' is in microseconds since 1970-01-01T00:00:00Z; a time outside
** the years 0 to 9999, which only a damaged store can hold, is written as the
** nearest one inside.
*/
void jt_timestamp_write(jt_timestamp_last *last, int64_t time,
                        char out[JT_TIMESTAMP_LENGTH]);

#endif
