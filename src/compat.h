/*
** compat.h - the two Lua ABIs we are built for, Lua 5.4 and LuaJIT's 5.1, made
** one. The other files of the binding include this instead of Lua's headers,
** and nothing else tells the versions apart.
*/
#ifndef JT_COMPAT_H
#define JT_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* What lua_rawgeti and lua_rawseti count with. */
#if LUA_VERSION_NUM >= 503
typedef lua_Integer jt_index;
#else
typedef int jt_index;
#endif

/* A block that Lua owns. Where Lua has user values, it gets none. */
static inline void *jt_new_block(lua_State *L, size_t size) {
#if LUA_VERSION_NUM >= 504
  return lua_newuserdatauv(L, size, 0);
#else
  return lua_newuserdata(L, size);
#endif
}

/* The size of such a block; 0 for a lightuserdata. */
static inline size_t jt_block_size(lua_State *L, int index) {
#if LUA_VERSION_NUM >= 502
  return (size_t)lua_rawlen(L, index);
#else
  return lua_objlen(L, index);
#endif
}

static inline void jt_push_integer(lua_State *L, int64_t value) {
#if LUA_VERSION_NUM >= 503
  lua_pushinteger(L, (lua_Integer)value);
#else
  lua_pushnumber(L, (lua_Number)value);
#endif
}

/* A store's version or count. None ever reaches 2^53, up to which doubles count;
   where a damaged store says more, it is that, which can be passed back. */
static inline void jt_push_unsigned(lua_State *L, uint64_t value) {
  const uint64_t most = UINT64_C(1) << 53;
  jt_push_integer(L, (int64_t)(value < most ? value : most));
}

/* Whether the value is a number (a string is none) with an integral value
   that 64 bits hold: 3 and 3.0, not 3.5. */
static inline bool jt_to_integer(lua_State *L, int index, int64_t *value) {
  if (lua_type(L, index) != LUA_TNUMBER) return false;
#if LUA_VERSION_NUM >= 503
  int is = 0;
  *value = (int64_t)lua_tointegerx(L, index, &is);
  return is != 0;
#else
  lua_Number number = lua_tonumber(L, index);
  const lua_Number limit = 9223372036854775808.0;   /* 2^63 */
  if (!(number >= -limit && number < limit)) return false;
  *value = (int64_t)number;
  return (lua_Number)*value == number;
#endif
}

/* Whether the number at 'index' is one that Lua calls an integer. LuaJIT has
   doubles only: there, those that count exactly, but not -0.0. */
static inline bool jt_is_integer(lua_State *L, int index, int64_t *value) {
#if LUA_VERSION_NUM >= 503
  return lua_isinteger(L, index) && jt_to_integer(L, index, value);
#else
  return jt_to_integer(L, index, value) &&
         *value >= -(INT64_C(1) << 53) && *value <= INT64_C(1) << 53 &&
         !(*value == 0 && signbit(lua_tonumber(L, index)));
#endif
}

/* JSON's null in Lua: the lightuserdata NULL, which is also cjson.null. */
static inline bool jt_is_null(lua_State *L, int index) {
  return lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL;
}

static inline void jt_push_null(lua_State *L) {
  lua_pushlightuserdata(L, NULL);
}

/* Tables of the binding live in the registry under the address of a static,
   which no other library can use by mistake. */
static inline void jt_push_registered(lua_State *L, const char *key) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Registers the value on top of the stack, and leaves it there. */
static inline void jt_register(lua_State *L, const char *key) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)key);
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

#endif
