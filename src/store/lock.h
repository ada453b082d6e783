/*
** lock.h - the writers' lock: a robust mutex inside the region. Knows recovery
** only by name.
*/
#ifndef JT_LOCK_H
#define JT_LOCK_H

#include "layout.h"

/*
** Takes the lock, waiting for at most JT_LOCK_SECONDS. If its last holder died
** with it, everything derived has been rebuilt when this returns JT_OK.
** JT_BUSY; JT_READONLY; JT_CORRUPT: what is there is not a lock.
*/
jt_code jt_lock(jt_store *store);

/* Likewise, if nobody holds it; JT_BUSY: somebody does. */
jt_code jt_lock_now(jt_store *store);

void jt_unlock(jt_store *store);

#endif
