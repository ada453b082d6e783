/*
** anchor.h - memory that C owns, tied to a userdata on the Lua stack, so that
** it is freed whichever way a call ends: a Lua error jumps past free(). It
** knows nothing of jobs or JSON.
*/
#ifndef JT_ANCHOR_H
#define JT_ANCHOR_H

#include "compat.h"

typedef struct jt_anchor {
  void *resource;                   /* NULL: nothing to release */
  void (*release)(void *resource);
} jt_anchor;

/* Makes jt_anchor_new possible in this Lua state; may be called again. */
void jt_anchor_setup(lua_State *L);

/* Pushes an empty anchor. Fill 'resource' afterwards: then no error of Lua
   comes between getting the resource and anchoring it. */
jt_anchor *jt_anchor_new(lua_State *L, void (*release)(void *resource));

/* Makes the resource, which is malloc's (release: free), of so many bytes. False:
   out of memory, the resource is as it was. */
bool jt_anchor_resize(jt_anchor *anchor, size_t size);

/* Releases now what the collector would release at some time: it does not see
   how large the resource is. */
void jt_anchor_release(jt_anchor *anchor);

#endif
