/*
** json_fuzz.c - JSON on its way in and out of a Lua state, by the binding's functions.
** The first byte of an input says what the others are:
**
**   JSON     a text: whatever is let in comes out, and in again, as the same value
**   VALUES   a program that builds Lua values, such as no JSON has: what is encoded is
**            the value again when it is decoded
**   JOB      texts of a job, any bytes: its JSON is JSON, and not longer than was said
*/
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anchor.h"
#include "json_decode.h"
#include "json_encode.h"
#include "json_job.h"

enum { JSON, VALUES, JOB, KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

typedef struct bytes {
  const unsigned char *at;
  size_t left;
} bytes;

static void wrong(const char *what, jt_text text) {
  fprintf(stderr, "%s: %.*s\n", what, (int)text.length, text.bytes);
  abort();
}

/* ---------------------------------------------------------------------- the same */

static bool same(lua_State *L, int a, int b);

static size_t count(lua_State *L, int table) {
  size_t entries = 0;
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) entries++;
  return entries;
}

/* Each entry of the one is in the other, which has no more. */
static bool same_table(lua_State *L, int a, int b) {
  bool all = count(L, a) == count(L, b);
  for (lua_pushnil(L); lua_next(L, a) != 0; lua_pop(L, 1)) {
    int top = lua_gettop(L);
    lua_pushvalue(L, top - 1);
    lua_rawget(L, b);
    all = all && same(L, top, top + 1);
    lua_pop(L, 1);
  }
  return all;
}

static bool same_number(lua_State *L, int a, int b) {
  lua_Number x = lua_tonumber(L, a), y = lua_tonumber(L, b);
  int64_t i = 0, j = 0;
  bool whole = jt_is_integer(L, a, &i);
  if (whole != jt_is_integer(L, b, &j)) return false;
  return whole ? i == j : memcmp(&x, &y, sizeof x) == 0;
}

static bool same(lua_State *L, int a, int b) {
  if (lua_type(L, a) != lua_type(L, b)) return false;
  luaL_checkstack(L, LUA_MINSTACK, "deep");
  if (lua_type(L, a) == LUA_TNUMBER) return same_number(L, a, b);
  if (!lua_istable(L, a)) return lua_rawequal(L, a, b) != 0;
  return same_table(L, a, b);
}

/* ------------------------------------------------------------------- protected */

/* decode(text) */
static int decode(lua_State *L) {
  size_t length;
  const char *text = lua_tolstring(L, 1, &length);
  jt_json_decode(L, (jt_text){ text, length }, "text");
  return 1;
}

/* encode(value) */
static int encode(lua_State *L) {
  jt_text text = jt_json_encode(L, 1, "encode", "value");
  lua_pushlstring(L, text.bytes, text.length);
  jt_json_encoded_free(L, 1);
  return 1;
}

/* Replaces the value on top by what the function makes of it; false: by an error. */
static bool call(lua_State *L, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_insert(L, -2);
  int failed = lua_pcall(L, 1, 1, 0);
  if (failed != 0 && (failed != LUA_ERRRUN || lua_tostring(L, -1) == NULL)) abort();
  return failed == 0;
}

static jt_text top_text(lua_State *L) {
  jt_text text;
  text.bytes = lua_tolstring(L, -1, &text.length);
  return text;
}

/* The value on top must be encoded, and decoded to the same. */
static void check_way_back(lua_State *L, jt_text from) {
  int value = lua_gettop(L);
  lua_pushvalue(L, value);
  if (!call(L, encode)) wrong("let in, but not out", from);
  lua_pushvalue(L, -1);
  if (!call(L, decode)) wrong("let out, but not in", from);
  if (!same(L, value, lua_gettop(L))) wrong("not the same any more", from);
  lua_settop(L, value);
}

/* --------------------------------------------------------------------------- JSON */

static void try_json(lua_State *L, bytes from) {
  jt_text text = { (const char *)from.at, from.left };
  lua_pushlstring(L, text.bytes, text.length);
  if (call(L, decode)) check_way_back(L, text);
}

/* ------------------------------------------------------------------------- values */

static unsigned take(bytes *from) {
  if (from->left == 0) return 0;
  from->left--;
  return *from->at++;
}

static lua_Number take_number(bytes *from) {
  unsigned char raw[8];
  lua_Number number;
  for (int i = 0; i < 8; i++) raw[i] = (unsigned char)take(from);
  memcpy(&number, raw, 8);
  return number;
}

static void push_bytes(lua_State *L, bytes *from) {
  size_t length = take(from) % 40;
  if (length > from->left) length = from->left;
  lua_pushlstring(L, (const char *)from->at, length);
  from->at += length;
  from->left -= length;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Sets the value on top in the table below it, by the next number or the key given. */
static void set(lua_State *L, bool by_number, bytes *from) {
  if (by_number) {
    lua_rawseti(L, -2, (int)jt_block_size(L, -2) + 1);
    return;
  }
  push_bytes(L, from);
  lua_insert(L, -2);
  lua_rawset(L, -3);
}

static void push_scalar(lua_State *L, unsigned kind, bytes *from) {
  switch (kind % 8) {
    case 0: jt_push_null(L); break;
    case 1: lua_pushboolean(L, kind & 8); break;
    case 2: lua_pushnumber(L, take_number(from)); break;
    case 3: jt_push_integer(L, (int64_t)take(from) - 100); break;
    case 4: lua_pushnumber(L, (lua_Number)(int)take(from) / 8); break;
    case 5: jt_push_integer(L, INT64_MAX - take(from)); break;
    case 6:
      if (kind < 250) push_bytes(L, from);
      else lua_pushcfunction(L, nothing);
      break;
    default: push_bytes(L, from);
  }
}

/* A table in hand, its parents below it. */
static void build(lua_State *L, bytes *from) {
  int bottom = lua_gettop(L) + 1;
  lua_newtable(L);
  while (from->left > 0) {
    unsigned what = take(from);
    switch (what % 4) {
      case 0:                     /* begin one inside */
        if (!lua_checkstack(L, LUA_MINSTACK)) return;
        lua_newtable(L);
        break;
      case 1:                     /* end it */
        if (lua_gettop(L) > bottom) set(L, what & 4, from);
        break;
      case 2:
        if (what == 254) lua_pushvalue(L, bottom);      /* a cycle */
        else push_scalar(L, take(from), from);
        set(L, what & 4, from);
        break;
      default:
        push_scalar(L, take(from), from);
        set(L, true, from);
    }
  }
  while (lua_gettop(L) > bottom) set(L, true, from);
}

static void try_values(lua_State *L, bytes from) {
  bytes program = from;
  build(L, &program);
  lua_pushvalue(L, -1);
  bool encoded = call(L, encode);
  if (!encoded && strncmp(lua_tostring(L, -1), "encode: ", 8) != 0)
    wrong("an error of another form", top_text(L));
  lua_pop(L, 1);
  if (encoded) check_way_back(L, (jt_text){ "a value", 7 });
}

/* ---------------------------------------------------------------------------- job */

/* The next part of the bytes: up to a newline. */
static jt_text take_line(bytes *from, size_t most) {
  jt_text line = { (const char *)from->at, 0 };
  while (from->left > 0 && line.length < most && take(from) != '\n') line.length++;
  return line;
}

/* The text that follows, in so much room; returns its length. */
static size_t put(char **at, jt_text text, size_t room) {
  memcpy(*at, text.bytes, text.length);
  memset(*at + text.length, 0, room - text.length);
  *at += room;
  return text.length;
}

/* As pipelines write them: what is no JSON is no result. */
static bool is_json(lua_State *L, jt_text text) {
  lua_pushlstring(L, text.bytes, text.length);
  bool good = call(L, decode);
  lua_pop(L, 1);
  return good;
}

static jt_job *make_job(lua_State *L, bytes from) {
  jt_job *job = calloc(1, sizeof *job + from.left + (size_t)8 * 3 * JT_PARTS + 64);
  if (job == NULL) abort();
  char *at = (char *)(job + 1);
  job->version = take(&from);
  job->status = (jt_status)(take(&from) % JT_STATUSES);
  job->progress = take(&from) / 255.0;
  job->created_at = job->updated_at = (int64_t)take(&from) << take(&from) % 46;
  jt_text id = { "fuzz_0123abcd", 13 }, step = take_line(&from, JT_STEP_MAX);
  job->id_length = (uint8_t)put(&at, id, jt_text_room(id.length));
  job->step_length = (uint16_t)put(&at, step, jt_text_room(step.length));
  for (int part = JT_RESULT; part < JT_PARTS; part++) {
    jt_text text = take_line(&from, SIZE_MAX);
    bool json = part == JT_RESULT || part == JT_META;
    bool there = text.length > 0 && (!json || is_json(L, text));
    if (!there) continue;
    memcpy(at, &text.length, sizeof text.length);
    at += sizeof text.length;
    put(&at, text, jt_blob_room(text.length));
    job->blobs = (uint8_t)(job->blobs | 1u << (part - JT_RESULT));
  }
  return job;
}

static void try_job(lua_State *L, bytes from) {
  jt_job *job = make_job(L, from);
  size_t bound = jt_json_job_bound(job);
  char *out = malloc(bound);
  if (out == NULL) abort();
  jt_text text = { out, jt_json_job(job, out) };
  if (text.length == 0 || text.length > bound) wrong("longer than was said", text);
  lua_pushlstring(L, text.bytes, text.length);
  if (!call(L, decode)) wrong("a job that is no JSON", text);
  lua_getfield(L, -1, "task_id");
  if (strcmp(lua_tostring(L, -1), "fuzz_0123abcd") != 0) wrong("another job", text);
  free(out);
  free(job);
}

/* --------------------------------------------------------------------- one input */

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) abort();
  jt_anchor_setup(L);
  lua_settop(L, 0);
  return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length) {
  static lua_State *L;
  if (length < 1) return 0;
  if (L == NULL) L = open_state();
  bytes from = { input + 1, length - 1 };
  switch (input[0] % KINDS) {
    case JSON: try_json(L, from); break;
    case VALUES: try_values(L, from); break;
    default: try_job(L, from);
  }
  lua_settop(L, 0);
  /* What an error left to the collector: then what is left over is a leak. */
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 0;
}
