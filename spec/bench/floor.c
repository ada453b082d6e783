/*
** floor.c - the least that a C function must do to be called as ours are: a Lua
** module, built for both ABIs, that stores nothing. And the clock that calls are
** measured with. It knows nothing of job_tracker.
*/
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

__attribute__((visibility("default"))) int luaopen_floor(lua_State *L);

/* --------------------------------------------------------------- updating */

/* What the last call was given; volatile, so that reading it is not left out. */
static struct {
  volatile double progress;
  const char *volatile step;
  volatile size_t step_length;
  volatile time_t seconds;
} parsed;

static bool is_named(const char *key, size_t length, const char *name) {
  return length == strlen(name) && memcmp(key, name, length) == 0;
}

/* The field whose key and value are on top of the stack. */
static void read_field(lua_State *L) {
  size_t length = 0;
  const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length)
                                                   : "";
  if (is_named(key, length, "progress") && lua_type(L, -1) == LUA_TNUMBER) {
    parsed.progress = lua_tonumber(L, -1);
  } else if (is_named(key, length, "current_step") && lua_type(L, -1) == LUA_TSTRING) {
    parsed.step = lua_tolstring(L, -1, &length);
    parsed.step_length = length;
  } else {
    luaL_error(L, "unknown field, or a wrong type");
  }
}

/* update_job(id, { progress =, current_step = }) without a store: checks the
   types, reads all fields there are, and the clock. */
static int update_one(lua_State *L, clockid_t clock) {
  struct timespec now;
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_error(L, "no id");
  if (lua_type(L, 2) != LUA_TTABLE) return luaL_error(L, "no fields");
  lua_settop(L, 2);
  lua_pushnil(L);
  while (lua_next(L, 2) != 0) {
    read_field(L);
    lua_pop(L, 1);
  }
  clock_gettime(clock, &now);
  parsed.seconds = now.tv_sec;
  lua_pushboolean(L, 1);
  return 1;
}

static int update_job(lua_State *L) {
  return update_one(L, CLOCK_REALTIME);
}

/* The same with the clock that ours reads when the status stays as it is: how much of
   the cost is the clock. */
static int update_job_by_tick(lua_State *L) {
  return update_one(L, CLOCK_REALTIME_COARSE);
}

/* ---------------------------------------------------------------- reading */

enum { METATABLE = 1 };   /* upvalue */

static void *new_block(lua_State *L, size_t size) {
#if LUA_VERSION_NUM >= 504
  return lua_newuserdatauv(L, size, 0);
#else
  return lua_newuserdata(L, size);
#endif
}

/* get_job(id) without a store: a userdata that has one field. */
static int get_one(lua_State *L, size_t size) {
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_error(L, "no id");
  double *block = new_block(L, size);
  *block = parsed.progress;
  lua_pushvalue(L, lua_upvalueindex(METATABLE));
  lua_setmetatable(L, -2);
  return 1;
}

static int get_job(lua_State *L) {
  return get_one(L, sizeof(double));
}

/* The same with as large a userdata as a JobStatus with short texts is: how much of the
   cost is the size. */
static int get_large_job(lua_State *L) {
  return get_one(L, 128);
}

static int get_field(lua_State *L) {
  size_t length;
  const double *block = lua_touserdata(L, 1);
  const char *key = lua_tolstring(L, 2, &length);
  if (block == NULL || key == NULL || !is_named(key, length, "progress")) return 0;
  lua_pushnumber(L, *block);
  return 1;
}

/* ----------------------------------------------------------------- set-up */

/* Nanoseconds that this process has computed: what others do on the same CPU in
   between is no cost of ours. A double holds them exactly. */
static int cpu_time(lua_State *L) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  lua_pushnumber(L, (lua_Number)time.tv_sec * 1e9 + (lua_Number)time.tv_nsec);
  return 1;
}

/* Sets a function whose upvalue is the value on top, in the table below that. */
static void set_getter(lua_State *L, const char *name, lua_CFunction function) {
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, function, METATABLE);
  lua_setfield(L, -3, name);
}

int luaopen_floor(lua_State *L) {
  lua_createtable(L, 0, 5);
  lua_pushcfunction(L, cpu_time);
  lua_setfield(L, -2, "cpu_time");
  lua_pushcfunction(L, update_job);
  lua_setfield(L, -2, "update_job");
  lua_pushcfunction(L, update_job_by_tick);
  lua_setfield(L, -2, "update_job_by_tick");
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, get_field);
  lua_setfield(L, -2, "__index");
  set_getter(L, "get_job", get_job);
  set_getter(L, "get_large_job", get_large_job);
  lua_pop(L, 1);
  return 1;
}
