/*
** anchor.c - see anchor.h.
*/
#include "anchor.h"

#include <stdlib.h>

static const char key = 0;   /* of the metatable in the registry */

static int collect(lua_State *L) {
  jt_anchor_release(lua_touserdata(L, 1));
  return 0;
}

void jt_anchor_setup(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  jt_register(L, &key);
  lua_pop(L, 1);
}

jt_anchor *jt_anchor_new(lua_State *L, void (*release)(void *resource)) {
  jt_anchor *anchor = jt_new_block(L, sizeof *anchor);
  *anchor = (jt_anchor){ NULL, release };
  jt_push_registered(L, &key);
  lua_setmetatable(L, -2);
  return anchor;
}

bool jt_anchor_resize(jt_anchor *anchor, size_t size) {
  void *resized = realloc(anchor->resource, size);
  if (resized != NULL) anchor->resource = resized;
  return resized != NULL;
}

void jt_anchor_release(jt_anchor *anchor) {
  if (anchor->resource != NULL) anchor->release(anchor->resource);
  anchor->resource = NULL;
}
