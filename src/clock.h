/*
** clock.h - the time as a function for Lua: the one that jobs are given. It
** knows no store.
*/
#ifndef JT_CLOCK_H
#define JT_CLOCK_H

#include "compat.h"

/* now() -> the time as the times of jobs are written, and the same as a number of
   seconds since the epoch. */
int jt_clock_now(lua_State *L);

#endif
