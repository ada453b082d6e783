/*
** schema.h - reads a table of options, whose keys must be known names. It knows
** nothing of what they mean.
*/
#ifndef JT_SCHEMA_H
#define JT_SCHEMA_H

#include "compat.h"

/* A known name. 'read' finds its value on top of the stack, checks it, raises
   what is wrong with it and stores it in 'out'. */
typedef struct jt_name {
  const char *name;
  void (*read)(lua_State *L, const char *call, void *out);
} jt_name;

typedef struct jt_schema {
  const jt_name *names;
  int count;
} jt_schema;

#define JT_SCHEMA(names) { names, (int)(sizeof(names) / sizeof((names)[0])) }

/*
** Reads the table at 'index' into 'out'; raises where it is none and for keys
** that are not in the schema. The values stay on the stack, so that texts stay
** where they are.
*/
void jt_schema_read(lua_State *L, int index, const char *call,
                    const jt_schema *schema, void *out);

/* The same for a table that may be absent (nil or none). */
void jt_schema_read_optional(lua_State *L, int index, const char *call,
                             const jt_schema *schema, void *out);

#endif
