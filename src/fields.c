/*
** fields.c - see fields.h. The values whose texts the change refers to move to
** slots above the table: there they live on even if somebody changes the table
** meanwhile (see tracker.c about finalizers). result and meta are encoded last,
** when nothing else is on the stack.
**
** Every report of progress comes through here. Hence a switch over the lengths
** of the names: with it a table of two fields is read in three quarters of the
** time that a search in a list of names takes.
*/
#include "fields.h"

#include <string.h>

#include "check.h"
#include "json_encode.h"
#include "options.h"

/* Sums of floats that should be 1 miss it by less. */
#define OVERSHOOT 1e-9

static const char call[] = "update_job";

/* The slots: how far above the table. */
enum { STEP = 1, RESULT, ERROR, META, SLOTS = META };

/* --------------------------------------------- one value, on top of the stack */

static double read_progress(lua_State *L) {
  lua_Number progress = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER ||
      !(progress >= -OVERSHOOT && progress <= 1 + OVERSHOOT))
    jt_misuse(L, -1, call, "progress", "a number from 0 to 1");
  return progress <= 0 ? 0 : progress >= 1 ? 1 : progress;   /* not -0.0 */
}

static jt_text read_text(lua_State *L, const char *name, const char *rule) {
  jt_text text;
  if (lua_type(L, -1) != LUA_TSTRING) jt_misuse(L, -1, call, name, rule);
  text.bytes = lua_tolstring(L, -1, &text.length);
  return text;
}

static jt_text read_step(lua_State *L) {
  jt_text step = read_text(L, "current_step", "a string");
  if (step.length > JT_STEP_MAX)
    luaL_error(L, "%s: current_step must be at most %d bytes, got %d", call,
               (int)JT_STEP_MAX, (int)step.length);
  return step;
}

static jt_text read_error(lua_State *L) {
  if (jt_is_null(L, -1)) return (jt_text){ NULL, 0 };
  return read_text(L, "error", "a string, or null to clear it");
}

/* ----------------------------------------------------------------- the table */

#define IS(literal) (memcmp(name, literal, sizeof(literal) - 1) == 0)

/* The JT_SET bit of a field's name; 0: not a field. */
static unsigned find_field(const char *name, size_t length) {
  switch (length) {
    case 4: return IS("meta") ? JT_SET_META : 0;
    case 5: return IS("error") ? JT_SET_ERROR : 0;
    case 6: return IS("status") ? JT_SET_STATUS
                 : IS("result") ? JT_SET_RESULT : 0;
    case 8: return IS("progress") ? JT_SET_PROGRESS : 0;
    case 12: return IS("current_step") ? JT_SET_STEP : 0;
    default: return 0;
  }
}

static unsigned read_name(lua_State *L, int key) {
  size_t length;
  unsigned field = 0;
  if (lua_type(L, key) == LUA_TSTRING) {
    const char *name = lua_tolstring(L, key, &length);
    field = find_field(name, length);
  }
  if (field == 0)
    jt_unknown(L, key, call, "field",
               "status, progress, current_step, result, error, meta");
  return field;
}

/* Takes the pair on top of the stack and leaves its key. */
static void read_pair(lua_State *L, int table, jt_change *change) {
  unsigned field = read_name(L, -2);
  int slot = 0;
  change->fields |= field;
  switch (field) {
    case JT_SET_STATUS: change->status = jt_read_status(L, -1, call); break;
    case JT_SET_PROGRESS: change->progress = read_progress(L); break;
    case JT_SET_STEP: change->step = read_step(L), slot = STEP; break;
    case JT_SET_ERROR: change->error = read_error(L), slot = ERROR; break;
    case JT_SET_RESULT: slot = RESULT; break;
    default: slot = META;
  }
  if (slot == 0) lua_pop(L, 1);
  else lua_replace(L, table + slot);
}

static jt_text encode(lua_State *L, int index, const char *name) {
  if (jt_is_null(L, index)) return (jt_text){ NULL, 0 };
  return jt_json_encode(L, index, call, name);
}

void jt_fields_read(lua_State *L, int index, jt_change *change) {
  change->fields = 0;
  if (lua_type(L, index) != LUA_TTABLE)
    jt_misuse(L, index, call, "fields", "a table");
  lua_settop(L, index + SLOTS);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) read_pair(L, index, change);
  if (change->fields & JT_SET_RESULT)
    change->result = encode(L, index + RESULT, "result");
  if (change->fields & JT_SET_META)
    change->meta = encode(L, index + META, "meta");
}

void jt_fields_free(lua_State *L, int index, const jt_change *change) {
  if (change->fields & JT_SET_RESULT && change->result.bytes != NULL)
    jt_json_encoded_free(L, index + RESULT);
  if (change->fields & JT_SET_META && change->meta.bytes != NULL)
    jt_json_encoded_free(L, index + META);
}
