/*
** json_encode.h - a Lua value as JSON text. It knows nothing of jobs.
**
** nil aside, every JSON value has one Lua form: null is lightuserdata NULL,
** booleans, numbers and strings are themselves, a table whose keys are exactly
** 1 to n is an array, one whose keys are strings, or that is empty, an object.
** Tables are read raw, without metamethods. Numbers and strings come back from
** json_decode.h exactly as they went in.
*/
#ifndef JT_JSON_ENCODE_H
#define JT_JSON_ENCODE_H

#include "compat.h"
#include "store/store.h"

#define JT_JSON_LEVELS 100   /* how deep tables may be nested */

/*
** The JSON text of the value at 'index', a positive one, which is replaced by
** the userdata that holds the text. Raises "<call>: <name><path>: <reason>" for
** what JSON cannot hold: other types, NaN and infinities, invalid UTF-8, a
** table that contains itself, more than JT_JSON_LEVELS levels, other keys.
*/
jt_text jt_json_encode(lua_State *L, int index, const char *call,
                       const char *name);

/* Frees the text that the userdata at 'index' holds, now. */
void jt_json_encoded_free(lua_State *L, int index);

#endif
