/*
** check.h - checks a caller's arguments and raises what is wrong with them, in
** one wording, at the line of the caller. It knows nothing of jobs.
*/
#ifndef JT_CHECK_H
#define JT_CHECK_H

#include "compat.h"

/* Neither of the next two ever returns, and a compiler that knows follows the
   paths after them no further. */
#define JT_RAISES __attribute__((noreturn))

/* Raises "<call>: <what> must be <rule>, got <the value at index>". The
   int is for 'return jt_misuse(...)'. */
JT_RAISES int jt_misuse(lua_State *L, int index, const char *call,
                        const char *what, const char *rule);

/* Raises "<call>: unknown <noun> <the key>; the <noun>s are <names>". */
JT_RAISES int jt_unknown(lua_State *L, int key, const char *call,
                         const char *noun, const char *names);

/* The string at 'index', if there is one and it holds no NUL; else NULL. */
const char *jt_to_c_string(lua_State *L, int index);

/* Pushes and returns a short text for the value: a number or a string as it
   would stand in a program, shortened; else what kind of value it is. */
const char *jt_describe(lua_State *L, int index);

/* Pushes and returns a text that is fit for an error message, see utf8.h. */
const char *jt_push_excerpt(lua_State *L, const char *bytes, size_t length);

#endif
