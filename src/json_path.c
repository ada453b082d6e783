/*
** json_path.c - see json_path.h.
*/
#include "json_path.h"

#include <string.h>

#include "utf8.h"

#define KEY_EXCERPT 40   /* bytes of a long key that are shown */
#define PATH_LIMIT 120   /* bytes of a path; of a longer one, both ends */

/* Whether the key may stand after a dot. (A keyword may not, but a reader of
   an error message knows what is meant.) */
static bool is_identifier(const char *key, size_t length) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  bool digit_first = length > 0 && key[0] >= '0' && key[0] <= '9';
  return length > 0 && !digit_first && strspn(key, letters) == length;
}

static void push_key(lua_State *L, const jt_json_level *level) {
  char key[KEY_EXCERPT + 1];
  if (level->key == NULL) {
    lua_pushfstring(L, "[%d]", (int)level->index);
    return;
  }
  jt_utf8_excerpt(level->key, level->length, key, KEY_EXCERPT);
  bool plain = is_identifier(level->key, level->length);
  lua_pushfstring(L, plain ? ".%s" : "[\"%s\"]", key);
}

/* Replaces the path on top by its two ends. Both cuts fall on the start of a
   character. */
static void shorten(lua_State *L) {
  size_t length, head = PATH_LIMIT / 2;
  const char *path = lua_tolstring(L, -1, &length);
  if (length <= PATH_LIMIT) return;
  size_t tail = length - PATH_LIMIT / 2;
  while ((path[head] & 0xC0) == 0x80) head--;
  while ((path[tail] & 0xC0) == 0x80) tail++;
  lua_pushlstring(L, path, head);
  lua_pushliteral(L, "...");
  lua_pushlstring(L, path + tail, length - tail);
  lua_concat(L, 3);
  lua_remove(L, -2);
}

const char *jt_json_path(lua_State *L, const char *name,
                         const jt_json_level *level) {
  lua_pushliteral(L, "");
  for (; level != NULL; level = level->up) {
    push_key(L, level);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  shorten(L);
  lua_pushfstring(L, "%s%s", name, lua_tostring(L, -1));
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}
