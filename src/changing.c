/*
** changing.c - the calls that change the store, see calls.h.
*/
#include <stdio.h>

#include "call.h"
#include "calls.h"
#include "check.h"
#include "copy.h"
#include "fields.h"
#include "options.h"
#include "store/hot.h"

/* --------------------------------------------------------------- outcomes */

static int changed(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_OK) return jt_job_refused(L, code, id);
  lua_pushboolean(L, 1);
  return 1;
}

/* What is in use, asked for after the refusal (who finds room pays nothing for it) and
   before anything is pushed, which may run what closes the tracker. By then it may have
   changed; so a reason is given only where the numbers bear it out. */
static void push_fullness(lua_State *L, const jt_stats *now, bool may_lack_a_place) {
  char text[160];
  bool all_unfinished = now->by_status[JT_COMPLETED] + now->by_status[JT_FAILED] == 0;
  if (may_lack_a_place && all_unfinished && now->jobs >= now->max_jobs)
    snprintf(text, sizeof text, "%llu of %llu are in use, none of them finished",
             (unsigned long long)now->jobs, (unsigned long long)now->max_jobs);
  else
    snprintf(text, sizeof text,
             "%llu bytes are free of %llu, and no finished jobs could make enough",
             (unsigned long long)now->bytes_available,
             (unsigned long long)(now->bytes_used + now->bytes_available));
  lua_pushstring(L, text);
}

static int not_created(lua_State *L, const jt_handle *handle, jt_code code) {
  jt_stats now;
  if (code != JT_FULL) return jt_store_refused(L, code);
  jt_store_stats(jt_call_store(L, handle, "create_job"), &now);
  push_fullness(L, &now, true);
  lua_pushfstring(L, "no room for another job: %s", lua_tostring(L, -1));
  return jt_refused(L, code);
}

/* 'length': of the texts that the call brought. */
static int no_room(lua_State *L, const jt_wanted *which, size_t length) {
  char what[48] = "record";
  jt_stats now;
  jt_store_stats(jt_call_store(L, which->handle, which->call), &now);
  const char *name = jt_push_excerpt(L, which->id.bytes, which->id.length);
  if (length > 0) snprintf(what, sizeof what, "texts of %zu bytes", length);
  push_fullness(L, &now, false);
  lua_pushfstring(L, "job \"%s\": no room for its %s: %s", name, what,
                  lua_tostring(L, -1));
  return jt_refused(L, JT_FULL);
}

static size_t length_of_texts(const jt_change *change) {
  size_t length = 0;
  if (change->fields & JT_SET_STEP) length += change->step.length;
  if (change->fields & JT_SET_RESULT) length += change->result.length;
  if (change->fields & JT_SET_ERROR) length += change->error.length;
  if (change->fields & JT_SET_META) length += change->meta.length;
  return length;
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
  return code == JT_OK ? 1 : not_created(L, handle, code);
}

static const char *const becoming[JT_STATUSES] = {
  [JT_PENDING] = "become pending",
  [JT_RUNNING] = "become running",
  [JT_COMPLETED] = "become completed",
  [JT_FAILED] = "become failed",
};

JT_HOT
static int update_job(lua_State *L) {
  static const char call[] = "update_job";
  jt_text id;
  jt_handle *handle = jt_call_begin_with_id(L, call, &id);
  jt_change change;
  jt_fields_read(L, 2, &change);
  jt_code code = jt_update(jt_call_store(L, handle, call), id.bytes, id.length,
                           &change);
  jt_fields_free(L, 2, &change);
  if (code != JT_INVALID_TRANSITION && code != JT_FULL) return changed(L, code, id);
  jt_wanted which = { handle, call, id, NULL, NULL };
  if (code == JT_FULL) return no_room(L, &which, length_of_texts(&change));
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
  if (code == JT_FULL) return no_room(L, &which, reason.length);
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
