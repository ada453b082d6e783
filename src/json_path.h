/*
** json_path.h - where in a Lua value the encoder stands, for its errors:
** result.sections[3].text. It knows nothing of JSON text.
*/
#ifndef JT_JSON_PATH_H
#define JT_JSON_PATH_H

#include "compat.h"

/* One table on the way from the whole value to the current one, linked
   upwards on the C stack. */
typedef struct jt_json_level {
  const struct jt_json_level *up;   /* NULL at depth 1 */
  const void *table;
  int depth;                        /* 1: this table is the whole value */
  const char *key;                  /* the key being visited; NULL: an index */
  size_t length;
  jt_index index;
} jt_json_level;

/* Pushes and returns the path below 'name'; level NULL is the whole value.
   Long keys and long paths are shortened. */
const char *jt_json_path(lua_State *L, const char *name,
                         const jt_json_level *level);

#endif
