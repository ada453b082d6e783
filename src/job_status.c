/*
** job_status.c - see job_status.h. A JobStatus is told from other values by a
** mark in its block: that takes half the time of a look at its metatable, and
** holds even where the debug library has given the metatable to something else.
*/
#include "job_status.h"

#include <stddef.h>
#include <string.h>

#include "check.h"
#include "json_decode.h"
#include "json_job.h"
#include "store/hot.h"
#include "timestamp.h"
#include "utf8.h"

static const char key = 0;   /* of the metatable in the registry; the mark */

typedef struct block {
  const char *mark;          /* &key */
  jt_job job;                /* and its texts */
} block;

/* The fields, in the order of to_dict and of the JSON text. */
enum field {
  TASK_ID, TASK_TYPE, STATUS, PROGRESS, CURRENT_STEP, RESULT, ERROR, META,
  CANCEL_REQUESTED, CREATED_AT, UPDATED_AT, STARTED_AT, FINISHED_AT, VERSION, FIELDS
};

static const char *const field_names[FIELDS] = {
  "task_id", "task_type", "status", "progress", "current_step", "result",
  "error", "meta", "cancel_requested", "created_at", "updated_at", "started_at",
  "finished_at", "version"
};

/* ----------------------------------------------------------------- fields */

static void push_text(lua_State *L, jt_text text) {
  if (text.bytes == NULL) lua_pushnil(L);
  else lua_pushlstring(L, text.bytes, text.length);
}

static void push_value(lua_State *L, const jt_job *job, jt_part part,
                       const char *name) {
  jt_text json = jt_job_part(job, part);
  if (json.bytes == NULL) lua_pushnil(L);
  else jt_json_decode(L, json, name);
}

static void push_time(lua_State *L, int64_t time) {
  char text[JT_TIMESTAMP_LENGTH];
  if (time == 0) {
    lua_pushnil(L);
    return;
  }
  jt_timestamp_write(jt_timestamp_last_here(), time, text);
  lua_pushlstring(L, text, sizeof text);
}

static void push_field(lua_State *L, const jt_job *job, enum field field) {
  switch (field) {
    case TASK_ID: push_text(L, jt_job_part(job, JT_ID)); break;
    case TASK_TYPE: push_text(L, jt_job_type(job)); break;
    case STATUS: lua_pushstring(L, jt_status_name(job->status)); break;
    case PROGRESS: lua_pushnumber(L, job->progress); break;
    case CURRENT_STEP: push_text(L, jt_job_part(job, JT_STEP)); break;
    case RESULT: push_value(L, job, JT_RESULT, "JobStatus.result"); break;
    case ERROR: push_text(L, jt_job_part(job, JT_ERROR)); break;
    case META: push_value(L, job, JT_META, "JobStatus.meta"); break;
    case CANCEL_REQUESTED: push_text(L, jt_job_part(job, JT_CANCEL)); break;
    case CREATED_AT: push_time(L, job->created_at); break;
    case UPDATED_AT: push_time(L, job->updated_at); break;
    case STARTED_AT: push_time(L, job->started_at); break;
    case FINISHED_AT: push_time(L, job->finished_at); break;
    case VERSION: jt_push_unsigned(L, job->version); break;
    default: lua_pushnil(L);
  }
}

/* ---------------------------------------------------------------- methods */

jt_job *jt_job_status_new(lua_State *L, size_t size) {
  block *is = jt_new_block(L, offsetof(block, job) + size);
  is->mark = &key;
  return &is->job;
}

/* The JobStatus at 'index', or NULL. */
static const jt_job *to_job(lua_State *L, int index) {
  const block *is = lua_touserdata(L, index);
  if (is == NULL || jt_block_size(L, index) < sizeof *is) return NULL;
  return is->mark == &key ? &is->job : NULL;
}

bool jt_job_status_is(lua_State *L, int index) {
  return to_job(L, index) != NULL;
}

static const jt_job *check_job(lua_State *L, const char *call) {
  const jt_job *job = to_job(L, 1);
  if (job == NULL) jt_misuse(L, 1, call, "the first argument", "a JobStatus");
  return job;
}

static int to_dict(lua_State *L) {
  const jt_job *job = check_job(L, "to_dict");
  lua_settop(L, 2);   /* what stands for absent fields; nil leaves them out */
  lua_createtable(L, 0, FIELDS);
  for (enum field field = 0; field < FIELDS; field++) {
    push_field(L, job, field);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushvalue(L, 2);
    }
    lua_setfield(L, 3, field_names[field]);
  }
  return 1;
}

void jt_job_status_push_json(lua_State *L, const jt_job *job) {
  char small[2560];   /* texts of 48 bytes (json_job.c), half a KiB of result and meta */
  size_t bound = jt_json_job_bound(job);
  char *text = bound <= sizeof small ? small : jt_new_block(L, bound);
  size_t length = jt_json_job(job, text);
  if (length == 0) luaL_error(L, "not enough memory");
  lua_pushlstring(L, text, length);
  if (text != small) lua_remove(L, -2);
}

static int to_json(lua_State *L) {
  jt_job_status_push_json(L, check_job(L, "to_json"));
  return 1;
}

/* ------------------------------------------------------------ metamethods */

#define IS(literal) (memcmp(name, literal, sizeof(literal) - 1) == 0)

/* The field of that name, or FIELDS. A switch over the lengths is faster than a
   Lua table that maps names to numbers, by a twentieth of a get_job(id).progress. */
static enum field find_field(const char *name, size_t length) {
  switch (length) {
    case 4: return IS("meta") ? META : FIELDS;
    case 5: return IS("error") ? ERROR : FIELDS;
    case 6: return IS("status") ? STATUS : IS("result") ? RESULT : FIELDS;
    case 7: return IS("task_id") ? TASK_ID : IS("version") ? VERSION : FIELDS;
    case 8: return IS("progress") ? PROGRESS : FIELDS;
    case 9: return IS("task_type") ? TASK_TYPE : FIELDS;
    case 10: return IS("created_at") ? CREATED_AT
                  : IS("updated_at") ? UPDATED_AT
                  : IS("started_at") ? STARTED_AT : FIELDS;
    case 11: return IS("finished_at") ? FINISHED_AT : FIELDS;
    case 12: return IS("current_step") ? CURRENT_STEP : FIELDS;
    case 16: return IS("cancel_requested") ? CANCEL_REQUESTED : FIELDS;
    default: return FIELDS;
  }
}

enum { METHODS = 1 };   /* upvalue */

JT_HOT
static int get_member(lua_State *L) {
  size_t length = 0;
  const jt_job *job = check_job(L, "JobStatus");
  const char *name = lua_tolstring(L, 2, &length);
  enum field field = find_field(name, length);
  if (field != FIELDS) push_field(L, job, field);
  else {
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(METHODS));
  }
  return 1;
}

static int refuse_assignment(lua_State *L) {
  return luaL_error(L, "JobStatus is read-only");
}

static bool same_job(const jt_job *left, const jt_job *right) {
  if (left == NULL || right == NULL || left->version != right->version)
    return false;
  jt_text a = jt_job_part(left, JT_ID), b = jt_job_part(right, JT_ID);
  return a.length == b.length &&
         (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

static int is_equal(lua_State *L) {
  lua_pushboolean(L, same_job(to_job(L, 1), to_job(L, 2)));
  return 1;
}

#define SHOWN 200   /* bytes of a text that tostring shows */

static const char *push_shown(lua_State *L, jt_text text) {
  char shown[SHOWN + 1];
  lua_pushlstring(L, shown,
                  jt_utf8_excerpt(text.bytes, text.length, shown, SHOWN));
  return lua_tostring(L, -1);
}

/* JobStatus chapter_9f3c2a1b: running 25% "Section 2 of 6" (version 12) */
static int to_string(lua_State *L) {
  const jt_job *job = check_job(L, "tostring");
  const char *id = push_shown(L, jt_job_part(job, JT_ID));
  const char *step = push_shown(L, jt_job_part(job, JT_STEP));
  int percent = (int)(job->progress * 100 + 1e-9);  /* 0.29 * 100 < 29 */
  jt_push_unsigned(L, job->version);
  lua_pushfstring(L, "JobStatus %s: %s %d%% \"%s\" (version %s)", id,
                  jt_status_name(job->status), percent, step,
                  lua_tostring(L, -1));
  return 1;
}

/* ----------------------------------------------------------------- set-up */

static const luaL_Reg methods[] = {
  { "to_dict", to_dict }, { "to_json", to_json }, { NULL, NULL }
};

static const luaL_Reg metamethods[] = {
  { "__newindex", refuse_assignment }, { "__eq", is_equal },
  { "__tostring", to_string }, { NULL, NULL }
};

/* Sets the functions in the table on top. */
static void set_functions(lua_State *L, const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_pushcfunction(L, list->func);
    lua_setfield(L, -2, list->name);
  }
}

static void make_metatable(lua_State *L) {
  lua_createtable(L, 0, 6);
  set_functions(L, metamethods);
  lua_createtable(L, 0, 2);
  set_functions(L, methods);
  lua_pushcclosure(L, get_member, METHODS);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "JobStatus");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable");
  jt_register(L, &key);
}

void jt_job_status_push_metatable(lua_State *L) {
  jt_push_registered(L, &key);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  make_metatable(L);
}

/* "PENDING" for "pending". */
static void set_constant(lua_State *L, jt_status status) {
  const char *name = jt_status_name(status);
  char upper[16];
  size_t length = strlen(name);
  for (size_t i = 0; i < length; i++) upper[i] = (char)(name[i] - 'a' + 'A');
  lua_pushlstring(L, upper, length);
  lua_pushstring(L, name);
  lua_rawset(L, -3);
}

/* A misspelt constant would be nil, and a field that is nil is no field. */
static int refuse_name(lua_State *L) {
  lua_settop(L, 2);
  return jt_unknown(L, 2, "JobStatus", "name",
                    "PENDING, RUNNING, COMPLETED, FAILED, to_dict, to_json");
}

void jt_job_status_push_class(lua_State *L) {
  lua_createtable(L, 0, JT_STATUSES + 2);
  set_functions(L, methods);
  for (jt_status status = 0; status < JT_STATUSES; status++)
    set_constant(L, status);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, refuse_name);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}
