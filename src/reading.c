/*
** reading.c - the calls that read one job, or the counts of all; see calls.h.
*/
#include "call.h"
#include "calls.h"
#include "copy.h"
#include "job_status.h"

/* What get_job and get_json answer when there is no text or object to give: an
   unknown id is an ordinary answer, a plain nil. */
static int not_got(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_NOT_FOUND) return jt_job_refused(L, code, id);
  lua_pushnil(L);
  return 1;
}

static int get_job(lua_State *L) {
  jt_handle *handle = jt_call_begin(L, "get_job");
  jt_wanted which = { handle, "get_job", jt_call_id(L, "get_job"), NULL, NULL };
  jt_code code = jt_push_job(L, &which);
  return code == JT_OK ? 1 : not_got(L, code, which.id);
}

static int get_json(lua_State *L) {
  jt_room small;
  jt_job *job;
  size_t size;
  jt_handle *handle = jt_call_begin(L, "get_json");
  jt_wanted which = { handle, "get_json", jt_call_id(L, "get_json"), NULL, NULL };
  jt_code code = jt_load_job(L, &which, &small, &job, &size);
  if (code != JT_OK) return not_got(L, code, which.id);
  jt_job_status_push_json(L, job);
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
  { "version", version },
  { NULL, NULL }
};
