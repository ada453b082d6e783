/*
** json_encode.c - see json_encode.h. One recursive pass writes into a growing
** buffer. The buffer is anchored before it exists, because any step here may
** raise. The value in hand is always on top of the Lua stack; its table, the
** level 'up', is below it.
*/
#include "json_encode.h"

#include <stdlib.h>
#include <string.h>

#include "anchor.h"
#include "check.h"
#include "json_path.h"
#include "json_text.h"
#include "utf8.h"

typedef struct encoder {
  lua_State *L;
  const char *call, *name;   /* for errors */
  jt_anchor *anchor;         /* holds the bytes */
  size_t length, capacity;
} encoder;

typedef jt_json_level level;

static void write_value(encoder *e, const level *up);

/* ----------------------------------------------------------------- buffer */

static void out_of_memory(encoder *e) {
  luaL_error(e->L, "%s: not enough memory", e->call);
}

static void grow(encoder *e, size_t more) {
  size_t capacity = 2 * e->capacity + more + 64;
  if (!jt_anchor_resize(e->anchor, capacity)) out_of_memory(e);
  e->capacity = capacity;
}

/* Where the next bytes go; there is room for 'more'. */
static char *reserve(encoder *e, size_t more) {
  if (more > e->capacity - e->length) grow(e, more);
  return (char *)e->anchor->resource + e->length;
}

static void put(encoder *e, const char *bytes, size_t length) {
  memcpy(reserve(e, length), bytes, length);
  e->length += length;
}

#define PUT(e, literal) put(e, literal, sizeof(literal) - 1)

/* Takes what a jt_json_... function wrote at the place reserved. */
static void advance(encoder *e, size_t written) {
  if (written == 0) out_of_memory(e);
  e->length += written;
}

/* ----------------------------------------------------------------- errors */

/* Raises; the reason is the string on top of the stack. */
static void refuse(encoder *e, const level *where) {
  const char *reason = lua_tostring(e->L, -1);
  const char *path = jt_json_path(e->L, e->name, where);
  luaL_error(e->L, "%s: %s: %s", e->call, path, reason);
}

static void refuse_type(encoder *e, const level *where) {
  lua_pushfstring(e->L, "JSON has no %s", luaL_typename(e->L, -1));
  refuse(e, where);
}

static void refuse_keys(encoder *e, const level *table, const char *got) {
  lua_pushfstring(e->L, "keys must be all strings or exactly 1 to n, got %s",
                  got);
  refuse(e, table->up);
}

/* ---------------------------------------------------------------- scalars */

static void write_number(encoder *e, const level *up) {
  int64_t integer;
  if (jt_is_integer(e->L, -1, &integer)) {
    char *out = reserve(e, JT_JSON_INTEGER_MAX);
    advance(e, jt_json_integer(integer, out));
    return;
  }
  lua_Number number = lua_tonumber(e->L, -1);
  if (!isfinite(number)) {
    lua_pushfstring(e->L, "JSON has no %s", jt_describe(e->L, -1));
    refuse(e, up);
  }
  char *out = reserve(e, JT_JSON_REAL_MAX);
  advance(e, jt_json_real(number, out));
}

static void write_text(encoder *e, const char *bytes, size_t length) {
  char *out = reserve(e, jt_json_string_bound(bytes, length));
  advance(e, jt_json_string(bytes, length, out));
}

static void write_string(encoder *e, const level *up) {
  size_t length;
  const char *bytes = lua_tolstring(e->L, -1, &length);
  size_t valid = jt_utf8_check(bytes, length);
  if (valid != length) {
    lua_pushfstring(e->L, "invalid UTF-8 at byte %d", (int)valid + 1);
    refuse(e, up);
  }
  write_text(e, bytes, length);
}

/* ----------------------------------------------------------------- tables */

/* The key below the value in hand becomes the level's, and is written. */
static void write_key(encoder *e, level *table) {
  if (lua_type(e->L, -2) != LUA_TSTRING)
    refuse_keys(e, table, jt_describe(e->L, -2));
  table->key = lua_tolstring(e->L, -2, &table->length);
  size_t valid = jt_utf8_check(table->key, table->length);
  if (valid != table->length) {
    lua_pushfstring(e->L, "invalid UTF-8 at byte %d of the key \"%s\"",
                    (int)valid + 1,
                    jt_push_excerpt(e->L, table->key, table->length));
    refuse(e, table->up);
  }
  write_text(e, table->key, table->length);
}

/* Writes the first pair, which is on the stack, and all that follow. */
static void write_object(encoder *e, level *table) {
  PUT(e, "{");
  do {
    write_key(e, table);
    PUT(e, ":");
    write_value(e, table);
    PUT(e, ",");
    lua_pop(e->L, 1);
  } while (lua_next(e->L, -2) != 0);
  ((char *)e->anchor->resource)[e->length - 1] = '}';
}

/* How many elements the array has: its keys are n different integers, from 1
   up, of which the largest is n. */
static int64_t count_elements(encoder *e, const level *table) {
  int64_t count = 0, largest = 0, key = 0;
  for (lua_pushnil(e->L); lua_next(e->L, -2) != 0; lua_pop(e->L, 1)) {
    if (!jt_to_integer(e->L, -2, &key) || key < 1)
      refuse_keys(e, table, jt_describe(e->L, -2));
    if (key > largest) largest = key;
    count++;
  }
  if (largest != count) {
    jt_push_integer(e->L, largest);
    refuse_keys(e, table, lua_pushfstring(e->L, "%s but not all below it",
                                          lua_tostring(e->L, -1)));
  }
  return count;
}

static void write_array(encoder *e, level *table) {
  int64_t count = count_elements(e, table);
  table->key = NULL;
  PUT(e, "[");
  for (int64_t i = 1; i <= count; i++) {
    table->index = (jt_index)i;
    lua_rawgeti(e->L, -1, table->index);
    write_value(e, table);
    PUT(e, ",");
    lua_pop(e->L, 1);
  }
  ((char *)e->anchor->resource)[e->length - 1] = ']';
}

static void check_nesting(encoder *e, const level *table) {
  for (const level *up = table->up; up != NULL; up = up->up)
    if (up->table == table->table) {
      lua_pushliteral(e->L, "a cycle: the table contains itself");
      refuse(e, table->up);
    }
  if (table->depth > JT_JSON_LEVELS) {
    lua_pushfstring(e->L, "more than %d levels", JT_JSON_LEVELS);
    refuse(e, table->up);
  }
}

static void write_table(encoder *e, const level *up) {
  level table = { .up = up, .table = lua_topointer(e->L, -1),
                  .depth = up == NULL ? 1 : up->depth + 1 };
  luaL_checkstack(e->L, LUA_MINSTACK, "result or meta is nested too deeply");
  check_nesting(e, &table);
  lua_pushnil(e->L);
  if (lua_next(e->L, -2) == 0) PUT(e, "{}");
  else if (lua_type(e->L, -2) == LUA_TSTRING) write_object(e, &table);
  else {
    lua_pop(e->L, 2);
    write_array(e, &table);
  }
}

static void write_value(encoder *e, const level *up) {
  switch (lua_type(e->L, -1)) {
    case LUA_TBOOLEAN:
      if (lua_toboolean(e->L, -1)) PUT(e, "true");
      else PUT(e, "false");
      break;
    case LUA_TNUMBER: write_number(e, up); break;
    case LUA_TSTRING: write_string(e, up); break;
    case LUA_TTABLE: write_table(e, up); break;
    default:
      if (!jt_is_null(e->L, -1)) refuse_type(e, up);
      PUT(e, "null");
  }
}

/* ----------------------------------------------------------------- public */

jt_text jt_json_encode(lua_State *L, int index, const char *call,
                       const char *name) {
  encoder e = { .L = L, .call = call, .name = name,
                .anchor = jt_anchor_new(L, free) };
  lua_pushvalue(L, index);
  write_value(&e, NULL);
  lua_pop(L, 1);
  lua_replace(L, index);
  return (jt_text){ e.anchor->resource, e.length };
}

void jt_json_encoded_free(lua_State *L, int index) {
  jt_anchor_release(lua_touserdata(L, index));
}
