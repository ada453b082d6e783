/*
** check.c - see check.h.
*/
#include "check.h"

#include <string.h>

#include "utf8.h"

#define EXCERPT 60   /* bytes of a caller's text in a message */

const char *jt_push_excerpt(lua_State *L, const char *bytes, size_t length) {
  char text[EXCERPT + 1];
  lua_pushlstring(L, text, jt_utf8_excerpt(bytes, length, text, EXCERPT));
  return lua_tostring(L, -1);
}

const char *jt_to_c_string(lua_State *L, int index) {
  size_t length;
  if (lua_type(L, index) != LUA_TSTRING) return NULL;
  const char *bytes = lua_tolstring(L, index, &length);
  return memchr(bytes, '\0', length) == NULL ? bytes : NULL;
}

static const char *quote(lua_State *L, int index) {
  size_t length;
  const char *bytes = lua_tolstring(L, index, &length);
  lua_pushfstring(L, "\"%s\"", jt_push_excerpt(L, bytes, length));
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

/* The C library gives a NaN a sign, which means nothing. The copy becomes a
   string, the caller's number does not. */
static void push_number(lua_State *L, int index) {
  if (isnan(lua_tonumber(L, index))) lua_pushliteral(L, "nan");
  else lua_pushvalue(L, index);
}

/* The name that a class gives its values, such as JobStatus, else "userdata". */
static void push_kind(lua_State *L, int index) {
  size_t length = 0;
  const char *name = NULL;
  if (luaL_getmetafield(L, index, "__name") != 0 && lua_type(L, -1) == LUA_TSTRING)
    name = lua_tolstring(L, -1, &length);
  if (name != NULL) jt_push_excerpt(L, name, length);
  else lua_pushstring(L, luaL_typename(L, index));
}

const char *jt_describe(lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      return quote(L, index);
    case LUA_TNUMBER:
      push_number(L, index);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, index) ? "true" : "false");
      break;
    case LUA_TNONE:
      lua_pushliteral(L, "nothing");
      break;
    default:
      if (jt_is_null(L, index)) lua_pushliteral(L, "null");
      else push_kind(L, index);
  }
  return lua_tostring(L, -1);
}

/* luaL_error never returns; only Lua's headers do not say so. */
int jt_misuse(lua_State *L, int index, const char *call, const char *what,
              const char *rule) {
  luaL_error(L, "%s: %s must be %s, got %s", call, what, rule,
             jt_describe(L, index));
  __builtin_unreachable();
}

int jt_unknown(lua_State *L, int key, const char *call, const char *noun,
               const char *names) {
  luaL_error(L, "%s: unknown %s %s; the %ss are %s", call, noun,
             jt_describe(L, key), noun, names);
  __builtin_unreachable();
}
