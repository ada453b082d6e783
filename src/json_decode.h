/*
** json_decode.h - JSON text as a Lua value, the way back of json_encode.h. It
** knows nothing of jobs.
*/
#ifndef JT_JSON_DECODE_H
#define JT_JSON_DECODE_H

#include "compat.h"
#include "store/store.h"

/*
** Pushes the value. Arrays and objects become tables, null lightuserdata NULL.
** LuaJIT has doubles only: integers beyond 2^53 become the nearest one. Raises
** "<name>: <reason>" when the text is not JSON, or is nested too deeply, which
** no text of json_encode.h is: another program wrote it, or damaged it.
*/
void jt_json_decode(lua_State *L, jt_text text, const char *name);

#endif
