/*
** reading.c - the calls that read one job, or count all; see calls.h.
*/
#include "call.h"
#include "calls.h"
#include "copy.h"
#include "job_status.h"
#include "options.h"
#include "store/hot.h"

/* What get_job and get_json answer when there is no text or object to give: an
   unknown id is an ordinary answer, a plain nil. */
static int not_got(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_NOT_FOUND) return jt_job_refused(L, code, id);
  lua_pushnil(L);
  return 1;
}

JT_HOT
static int get_job(lua_State *L) {
  jt_wanted which = { .call = "get_job" };
  which.handle = jt_call_begin_with_id(L, "get_job", &which.id);
  jt_code code = jt_push_job(L, &which);
  return code == JT_OK ? 1 : not_got(L, code, which.id);
}

/* The version at 'index' of which the caller has the text; 0, no job's: of none. */
static uint64_t known_version(lua_State *L, int index) {
  if (lua_isnoneornil(L, index)) return 0;
  return jt_read_version(L, index, "get_json", "known", "a job's version, an integer");
}

static int get_json(lua_State *L) {
  jt_room small;
  jt_job *job;
  size_t size;
  jt_wanted which = { .call = "get_json" };
  which.handle = jt_call_begin_with_id(L, "get_json", &which.id);
  uint64_t known = known_version(L, 2);
  jt_code code = jt_load_job(L, &which, &small, &job, &size);
  if (code != JT_OK) return not_got(L, code, which.id);
  if (job->version == known) lua_pushboolean(L, false);
  else jt_job_status_push_json(L, job);
  jt_push_unsigned(L, job->version);
  return 2;
}

static void set_count(lua_State *L, const char *name, uint64_t value) {
  jt_push_unsigned(L, value);
  lua_setfield(L, -2, name);
}

static int stats(lua_State *L) {
  jt_stats now;
  jt_handle *handle = jt_call_begin(L, "stats");
  jt_store_stats(jt_call_store(L, handle, "stats"), &now);
  uint64_t free_jobs = now.jobs < now.max_jobs ? now.max_jobs - now.jobs : 0;
  lua_createtable(L, 0, 12);
  for (jt_status status = 0; status < JT_STATUSES; status++)
    set_count(L, jt_status_name(status), now.by_status[status]);
  set_count(L, "jobs_used", now.jobs);
  set_count(L, "jobs_available", free_jobs);
  set_count(L, "bytes_used", now.bytes_used);
  set_count(L, "bytes_available", now.bytes_available);
  set_count(L, "evictions", now.evictions);
  set_count(L, "recoveries", now.recoveries);
  set_count(L, "damaged", now.damaged);
  set_count(L, "version", now.version);
  return 1;
}

static void set_seconds(lua_State *L, const char *name, uint64_t microseconds) {
  lua_pushnumber(L, (lua_Number)microseconds / 1e6);
  lua_setfield(L, -2, name);
}

/* How many jobs took at most each of the bounds. */
static void push_within(lua_State *L, const jt_type_summary *of) {
  uint64_t jobs = 0;
  lua_createtable(L, JT_BOUNDS, 0);
  for (int i = 0; i < JT_BOUNDS; i++) {
    jobs += of->took[i];
    jt_push_unsigned(L, jobs);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_type(lua_State *L, const jt_type_summary *of, const char *name) {
  lua_createtable(L, 0, 8);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "task_type");
  for (jt_status status = 0; status < JT_STATUSES; status++)
    set_count(L, jt_status_name(status), of->by_status[status]);
  push_within(L, of);
  lua_setfield(L, -2, "within");
  set_seconds(L, "duration", of->duration);
  if (of->last_success != 0)
    set_seconds(L, "last_success", (uint64_t)of->last_success);
}

static void push_bounds(lua_State *L) {
  lua_createtable(L, JT_BOUNDS, 0);
  for (int i = 0; i < JT_BOUNDS; i++) {
    lua_pushnumber(L, (lua_Number)jt_bounds[i] / 1e6);
    lua_rawseti(L, -2, i + 1);
  }
}

static bool is_empty(const jt_type_summary *of) {
  uint64_t jobs = 0;
  for (int i = 0; i < JT_STATUSES; i++) jobs += of->by_status[i];
  return jobs == 0;
}

static int summary(lua_State *L) {
  jt_handle *handle = jt_call_begin(L, "summary");
  jt_summary *now = jt_new_block(L, sizeof *now);
  jt_code code = jt_summarize(jt_call_store(L, handle, "summary"), now);
  if (code != JT_OK) return jt_store_refused(L, code);
  lua_createtable(L, (int)now->count, 0);
  for (size_t i = 0; i < now->count; i++) {
    push_type(L, &now->types[i], now->types[i].type);
    lua_rawseti(L, -2, (jt_index)i + 1);
  }
  if (!is_empty(&now->others)) {
    push_type(L, &now->others, "(other)");
    lua_rawseti(L, -2, (jt_index)now->count + 1);
  }
  push_bounds(L);
  return 2;
}

static int version(lua_State *L) {
  uint64_t now;
  uint32_t dead;
  jt_handle *handle = jt_call_begin(L, "version");
  jt_store_pulse(jt_call_store(L, handle, "version"), &now, &dead);
  jt_push_unsigned(L, now);
  jt_push_unsigned(L, dead);
  return 2;
}

const luaL_Reg jt_reading_calls[] = {
  { "get_job", get_job },
  { "get_json", get_json },
  { "stats", stats },
  { "summary", summary },
  { "version", version },
  { NULL, NULL }
};
