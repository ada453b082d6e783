/*
** clock.c - see clock.h.
*/
#include "clock.h"

#include "store/store.h"
#include "timestamp.h"

int jt_clock_now(lua_State *L) {
  char text[JT_TIMESTAMP_LENGTH];
  int64_t time = jt_now();
  jt_timestamp_write(jt_timestamp_last_here(), time, text);
  lua_pushlstring(L, text, sizeof text);
  lua_pushnumber(L, (lua_Number)time / 1e6);
  return 2;
}
