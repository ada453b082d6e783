/*
** tracker.h - a JobTracker: a Lua table of functions that share one store.
*/
#ifndef JT_TRACKER_H
#define JT_TRACKER_H

#include "compat.h"
#include "store/store.h"

/* Pushes the tracker of the in-memory store, which is made at the first call in
   the process. */
void jt_tracker_push_memory(lua_State *L);

#endif
