/*
** handle.h - a store as a userdata: what ties its life to Lua's collector. Lua
** code never gets hold of one; the functions of a tracker have it as upvalue.
*/
#ifndef JT_HANDLE_H
#define JT_HANDLE_H

#include "compat.h"
#include "store/store.h"

typedef struct jt_handle {
  jt_store *store;     /* NULL: closed, not yet open, or in memory */
  bool in_memory;      /* the process's own store, which is never closed */
} jt_handle;

/* Makes jt_handle_new possible in this Lua state; may be called again. */
void jt_handle_setup(lua_State *L);

/* Pushes a closed handle. Open its store afterwards: if Lua runs out of memory
   before that, the collector meets a closed handle instead of a mapping that
   nobody can unmap. */
jt_handle *jt_handle_new(lua_State *L);

/* Closes this process's view of the store, if it is open and can be closed. */
void jt_handle_close(jt_handle *handle);

#endif
