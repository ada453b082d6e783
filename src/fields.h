/*
** fields.h - what update_job is asked to change, checked and ready for the
** store. It knows no store but the shape of a change.
*/
#ifndef JT_FIELDS_H
#define JT_FIELDS_H

#include "compat.h"
#include "store/store.h"

/*
** Reads the table of fields at 'index', the last argument that matters, and
** raises what is wrong with it. The texts of 'change' live in values that it
** leaves on the stack above.
*/
void jt_fields_read(lua_State *L, int index, jt_change *change);

/* Frees the JSON texts at once; Lua's collector would not see their size. */
void jt_fields_free(lua_State *L, int index, const jt_change *change);

#endif
