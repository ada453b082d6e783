/*
** handle.c - see handle.h.
*/
#include "handle.h"

static const char key = 0;   /* of the metatable in the registry */

static int collect(lua_State *L) {
  jt_handle_close(lua_touserdata(L, 1));
  return 0;
}

void jt_handle_setup(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  jt_register(L, &key);
  lua_pop(L, 1);
}

jt_handle *jt_handle_new(lua_State *L) {
  jt_handle *handle = jt_new_block(L, sizeof *handle);
  *handle = (jt_handle){ NULL, false };
  jt_push_registered(L, &key);
  lua_setmetatable(L, -2);
  return handle;
}

void jt_handle_close(jt_handle *handle) {
  if (handle->store == NULL) return;
  jt_store_close(handle->store);
  handle->store = NULL;
}
