/*
** schema.c - see schema.h.
*/
#include "schema.h"

#include <string.h>

#include "check.h"

static const char *push_names(lua_State *L, const jt_schema *schema) {
  lua_pushliteral(L, "");
  for (int i = 0; i < schema->count; i++) {
    lua_pushfstring(L, i == 0 ? "%s" : ", %s", schema->names[i].name);
    lua_concat(L, 2);
  }
  return lua_tostring(L, -1);
}

static int find_name(lua_State *L, int key, const char *call,
                     const jt_schema *schema) {
  const char *name = jt_to_c_string(L, key);
  for (int i = 0; name != NULL && i < schema->count; i++)
    if (strcmp(schema->names[i].name, name) == 0) return i;
  lua_pushvalue(L, key);
  return jt_unknown(L, -2, call, "option", push_names(L, schema));
}

void jt_schema_read(lua_State *L, int index, const char *call,
                    const jt_schema *schema, void *out) {
  if (!lua_istable(L, index))
    jt_misuse(L, index, call, "the options", "a table");
  int first = lua_gettop(L) + 1;
  lua_settop(L, first + schema->count - 1);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    int name = find_name(L, -2, call, schema);
    schema->names[name].read(L, call, out);
    lua_replace(L, first + name);
  }
}

void jt_schema_read_optional(lua_State *L, int index, const char *call,
                             const jt_schema *schema, void *out) {
  if (!lua_isnoneornil(L, index))
    jt_schema_read(L, index, call, schema, out);
}
