/*
** json_decode.c - see json_decode.h. jansson parses; its value is anchored,
** walked once and released.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE   /* memmem */
#endif
#include "json_decode.h"

#include <jansson.h>
#include <string.h>

#include "anchor.h"
#include "check.h"
#include "json_encode.h"
#include "json_nul.h"

typedef struct decoder {
  lua_State *L;
  const char *name;                    /* for errors */
  bool hidden_nul;                     /* whether 'stand_in' stands for NUL */
  char stand_in[JT_STAND_IN_LENGTH];
} decoder;

static void push_value(decoder *d, json_t *json, int depth);

/* ---------------------------------------------------------------- walking */

static void push_string(decoder *d, const char *bytes, size_t length) {
  luaL_Buffer buffer;
  const char *hit;
  if (!d->hidden_nul) {
    lua_pushlstring(d->L, bytes, length);
    return;
  }
  luaL_buffinit(d->L, &buffer);
  while ((hit = memmem(bytes, length, d->stand_in, JT_STAND_IN_LENGTH))) {
    luaL_addlstring(&buffer, bytes, (size_t)(hit - bytes));
    luaL_addchar(&buffer, '\0');
    length -= (size_t)(hit - bytes) + JT_STAND_IN_LENGTH;
    bytes = hit + JT_STAND_IN_LENGTH;
  }
  luaL_addlstring(&buffer, bytes, length);
  luaL_pushresult(&buffer);
}

static void push_array(decoder *d, json_t *json, int depth) {
  size_t count = json_array_size(json);
  lua_createtable(d->L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_value(d, json_array_get(json, i), depth + 1);
    lua_rawseti(d->L, -2, (jt_index)i + 1);
  }
}

static void push_object(decoder *d, json_t *json, int depth) {
  const char *key;
  json_t *value;
  lua_createtable(d->L, 0, (int)json_object_size(json));
  json_object_foreach(json, key, value) {
    push_string(d, key, strlen(key));
    push_value(d, value, depth + 1);
    lua_rawset(d->L, -3);
  }
}

static void push_table(decoder *d, json_t *json, int depth) {
  if (depth > JT_JSON_LEVELS)
    luaL_error(d->L, "%s: more than %d levels", d->name, JT_JSON_LEVELS);
  luaL_checkstack(d->L, LUA_MINSTACK, "JSON is nested too deeply");
  if (json_is_array(json)) push_array(d, json, depth);
  else push_object(d, json, depth);
}

static void push_value(decoder *d, json_t *json, int depth) {
  switch (json_typeof(json)) {
    case JSON_NULL: jt_push_null(d->L); break;
    case JSON_TRUE: lua_pushboolean(d->L, 1); break;
    case JSON_FALSE: lua_pushboolean(d->L, 0); break;
    case JSON_INTEGER: jt_push_integer(d->L, json_integer_value(json)); break;
    case JSON_REAL: lua_pushnumber(d->L, json_real_value(json)); break;
    case JSON_STRING:
      push_string(d, json_string_value(json), json_string_length(json));
      break;
    default: push_table(d, json, depth);
  }
}

/* ---------------------------------------------------------------- loading */

static void release(void *json) {
  json_decref(json);
}

static json_t *load(jt_text text, json_error_t *error) {
  return json_loadb(text.bytes, text.length, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                    error);
}

/* Loads again, from a copy in which NUL has a stand-in. */
static json_t *load_without_nul(decoder *d, jt_text text, jt_anchor *anchor,
                                json_error_t *error) {
  char *copy = jt_new_block(d->L, text.length);
  memcpy(copy, text.bytes, text.length);
  d->hidden_nul = jt_json_hide_nul(copy, text.length, d->stand_in);
  if (d->hidden_nul)
    anchor->resource = load((jt_text){ copy, text.length }, error);
  lua_pop(d->L, 1);
  return anchor->resource;
}

/* jansson leaves its own text empty when it ran out of memory, or says that the
   JSON is wrong, depending on where that was. */
static void refuse(decoder *d, const json_error_t *error) {
  const char *reason = error->text[0] == '\0' ? "not enough memory"
    : jt_push_excerpt(d->L, error->text, strlen(error->text));
  luaL_error(d->L, "%s: cannot load its JSON text: %s", d->name, reason);
}

void jt_json_decode(lua_State *L, jt_text text, const char *name) {
  decoder d = { .L = L, .name = name };
  json_error_t error;
  jt_anchor *anchor = jt_anchor_new(L, release);
  json_t *json = anchor->resource = load(text, &error);
  if (json == NULL && json_error_code(&error) == json_error_null_byte_in_key)
    json = load_without_nul(&d, text, anchor, &error);
  if (json == NULL) refuse(&d, &error);
  push_value(&d, json, 1);
  jt_anchor_release(anchor);
  lua_remove(L, -2);
}
