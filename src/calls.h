/*
** calls.h - the functions of a tracker, listed by what they do to the store;
** tracker.c makes them closures. Each list ends with a NULL name.
*/
#ifndef JT_CALLS_H
#define JT_CALLS_H

#include "compat.h"

extern const luaL_Reg jt_changing_calls[];
extern const luaL_Reg jt_reading_calls[];
extern const luaL_Reg jt_listing_calls[];
extern const luaL_Reg jt_waiting_calls[];

#endif
