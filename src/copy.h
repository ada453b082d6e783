/*
** copy.h - copying jobs out of the store, however large they are. It knows
** nothing of what they are copied for.
*/
#ifndef JT_COPY_H
#define JT_COPY_H

#include "call.h"

/* Which job: one that was listed or, with 'key' NULL, the one of that id. */
typedef struct jt_wanted {
  const jt_handle *handle;
  const char *call;
  jt_text id;
  const jt_key *key;
  const jt_filter *filter;
} jt_wanted;

/* Room for most jobs, where copying one costs no allocation. */
typedef union jt_room {
  jt_job job;
  char bytes[1024];
} jt_room;

/*
** Copies the job into 'small' or, if it is too large for it, into a block for a
** JobStatus, which it pushes: that is the caller's to pop, whatever the code.
** *job is where the copy is, *size its size.
*/
jt_code jt_load_job(lua_State *L, const jt_wanted *which, jt_room *small,
                    jt_job **job, size_t *size);

/* Pushes the job as a JobStatus. */
jt_code jt_push_job(lua_State *L, const jt_wanted *which);

#endif
