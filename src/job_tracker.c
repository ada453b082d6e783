/*
** job_tracker.c - the module: what require "job_tracker" returns. It sets no
** global, and may be loaded again in the same Lua state.
*/
#include "anchor.h"
#include "clock.h"
#include "compat.h"
#include "handle.h"
#include "job_status.h"
#include "tracker.h"
#include "version.h"

__attribute__((visibility("default"))) int luaopen_job_tracker(lua_State *L);

int luaopen_job_tracker(lua_State *L) {
  jt_anchor_setup(L);
  jt_handle_setup(L);
  lua_createtable(L, 0, 5);
  jt_tracker_push_memory(L);
  lua_setfield(L, -2, "JobTracker");
  jt_job_status_push_class(L);
  lua_setfield(L, -2, "JobStatus");
  jt_push_null(L);
  lua_setfield(L, -2, "null");
  lua_pushcfunction(L, jt_clock_now);
  lua_setfield(L, -2, "now");
  lua_pushliteral(L, JT_VERSION);
  lua_setfield(L, -2, "_VERSION");
  return 1;
}
