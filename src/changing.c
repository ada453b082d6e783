/*
** changing.c - the calls that change the store, see calls.h.
*/
#include "call.h"
#include "calls.h"
#include "check.h"
#include "copy.h"
#include "fields.h"
#include "options.h"

/* --------------------------------------------------------------- outcomes */

static int changed(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_OK) return jt_job_refused(L, code, id);
  lua_pushboolean(L, 1);
  return 1;
}

/* Says which status the job is in, unless it has gone meanwhile. */
static int transition_refused(lua_State *L, const jt_wanted *which,
                              const char *wish) {
  jt_room small;
  jt_job *job;
  size_t size;
  if (jt_load_job(L, which, &small, &job, &size) != JT_OK)
    return jt_job_refused(L, JT_INVALID_TRANSITION, which->id);
  lua_pushfstring(L, "job \"%s\": a %s job cannot %s",
                  jt_push_excerpt(L, which->id.bytes, which->id.length),
                  jt_status_name(job->status), wish);
  return jt_refused(L, JT_INVALID_TRANSITION);
}

/* The same as 'changed', with a better message where the status forbids it. */
static int moved(lua_State *L, jt_code code, const jt_wanted *which,
                 const char *wish) {
  if (code == JT_INVALID_TRANSITION) return transition_refused(L, which, wish);
  return changed(L, code, which->id);
}

/* ------------------------------------------------------------------ calls */

/* The id is a Lua string before the job exists: no error comes after. */
static int create_job(lua_State *L) {
  jt_handle *handle = jt_call_begin(L, "create_job");
  jt_text type = jt_read_task_type(L, 1, "create_job");
  char id[JT_ID_MAX + 1];
  jt_code code;
  do {
    uint32_t number = jt_draw_number();
    lua_settop(L, 1);
    lua_pushlstring(L, id, jt_id_format(type.bytes, type.length, number, id));
    code = jt_create_numbered(jt_call_store(L, handle, "create_job"), type.bytes,
                              type.length, number);
  } while (code == JT_TAKEN);
  return code == JT_OK ? 1 : jt_store_refused(L, code);
}

static const char *const becoming[JT_STATUSES] = {
  [JT_PENDING] = "become pending",
  [JT_RUNNING] = "become running",
  [JT_COMPLETED] = "become completed",
  [JT_FAILED] = "become failed",
};

static int update_job(lua_State *L) {
  static const char call[] = "update_job";
  jt_text id;
  jt_handle *handle = jt_call_begin_with_id(L, call, &id);
  jt_change change;
  jt_fields_read(L, 2, &change);
  jt_code code = jt_update(jt_call_store(L, handle, call), id.bytes, id.length,
                           &change);
  jt_fields_free(L, 2, &change);
  if (code != JT_INVALID_TRANSITION) return changed(L, code, id);
  jt_wanted which = { handle, call, id, NULL, NULL };
  return transition_refused(L, &which, becoming[change.status]);
}

/* Of claiming, "full" has a second meaning. */
static int not_claimed(lua_State *L, jt_text id) {
  lua_pushfstring(L, "job \"%s\": there is no room for its owner, or %d processes"
                  " or threads own jobs already",
                  jt_push_excerpt(L, id.bytes, id.length), (int)JT_OWNERS);
  return jt_refused(L, JT_FULL);
}

static int claim_job(lua_State *L) {
  static const char call[] = "claim_job";
  jt_wanted which = { .call = call };
  which.handle = jt_call_begin_with_id(L, call, &which.id);
  jt_store *store = jt_call_store(L, which.handle, call);
  jt_code code = jt_claim(store, which.id.bytes, which.id.length);
  if (code == JT_FULL) return not_claimed(L, which.id);
  return moved(L, code, &which, "be claimed");
}

static int cancel_job(lua_State *L) {
  static const char call[] = "cancel_job";
  jt_wanted which = { .call = call };
  which.handle = jt_call_begin_with_id(L, call, &which.id);
  jt_text reason = jt_read_reason(L, 2, call);
  jt_store *store = jt_call_store(L, which.handle, call);
  jt_code code = jt_cancel(store, which.id.bytes, which.id.length, reason);
  return moved(L, code, &which, "be cancelled");
}

static int delete_job(lua_State *L) {
  jt_text id;
  jt_handle *handle = jt_call_begin_with_id(L, "delete_job", &id);
  jt_store *store = jt_call_store(L, handle, "delete_job");
  return changed(L, jt_delete(store, id.bytes, id.length), id);
}

static int clear_jobs(lua_State *L) {
  uint64_t removed;
  jt_handle *handle = jt_call_begin(L, "clear_jobs");
  jt_code code = jt_clear(jt_call_store(L, handle, "clear_jobs"), &removed);
  if (code != JT_OK) return jt_store_refused(L, code);
  jt_push_unsigned(L, removed);
  return 1;
}

const luaL_Reg jt_changing_calls[] = {
  { "create_job", create_job },
  { "update_job", update_job },
  { "claim_job", claim_job },
  { "cancel_job", cancel_job },
  { "delete_job", delete_job },
  { "clear_jobs", clear_jobs },
  { NULL, NULL }
};
