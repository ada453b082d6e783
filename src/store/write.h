/*
** write.h - the frame of a changing call, for write.c and claim.c.
*/
#ifndef JT_WRITE_H
#define JT_WRITE_H

#include "bury.h"
#include "lock.h"
#include "notify.h"
#include "read.h"

/*
** Runs one try of a change under the lock; if it finds no room, writes dead
** owners' jobs off, that they may be evicted, and tries again. Then wakes, whatever
** came of it: even a store that is full may have evicted, and a job that is not found
** may have expired when it was written off.
*/
static inline jt_code jt_write(jt_store *store, jt_try attempt, void *context) {
  jt_code code = jt_lock(store);
  if (code != JT_OK) return code;
  code = attempt(store, context);
  if (code == JT_FULL && jt_write_off(store)) code = attempt(store, context);
  jt_unlock(store);
  jt_notify_wake(store);
  return code;
}

/*
** Finds a job that is there for its users. A reader's way serves a writer too:
** under the lock nothing changes meanwhile. An orphaned job is written off first;
** one that still is had no room for that. Under the lock.
*/
jt_code jt_find_to_change(jt_store *store, const jt_search *search, jt_sight *job);

#endif
