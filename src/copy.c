/*
** copy.c - see copy.h.
*/
#include "copy.h"

#include "job_status.h"
#include "store/hot.h"

#define GROWTHS 8   /* times that a job may outgrow its copy, before "busy" */

/* Most jobs fit, and are copied to where they stay. A larger one is looked up a second
   time. */
#define SHORT_JOB JT_JOB_PLAIN

static jt_code copy_job(lua_State *L, const jt_wanted *which, jt_job *out,
                        size_t capacity, size_t *needed) {
  jt_store *store = jt_call_store(L, which->handle, which->call);
  if (which->key != NULL)
    return jt_get_listed(store, which->key, which->filter, out, capacity,
                         needed);
  return jt_get(store, which->id.bytes, which->id.length, out, capacity,
                needed);
}

/* Copies the job to *job or, as long as that is too small, to a block for a
   JobStatus, which is pushed; *job is then in it. */
JT_HOT
static jt_code load(lua_State *L, const jt_wanted *which, jt_job **job,
                    size_t capacity, size_t *size) {
  jt_code code = copy_job(L, which, *job, capacity, size);
  for (int i = 0; code == JT_TOO_SMALL && i < GROWTHS; i++) {
    capacity = *size;
    if (i > 0) {   /* it grows while we look: give it some room */
      lua_pop(L, 1);
      capacity *= 2;
    }
    *job = jt_job_status_new(L, capacity);
    code = copy_job(L, which, *job, capacity, size);
  }
  return code == JT_TOO_SMALL ? JT_BUSY : code;
}

jt_code jt_load_job(lua_State *L, const jt_wanted *which, jt_room *small,
                    jt_job **job, size_t *size) {
  *job = &small->job;
  return load(L, which, job, sizeof *small, size);
}

jt_code jt_push_job(lua_State *L, const jt_wanted *which) {
  size_t size;
  jt_job *job = jt_job_status_new(L, SHORT_JOB);
  jt_code code = load(L, which, &job, SHORT_JOB, &size);
  if (code != JT_OK) return code;
  lua_pushvalue(L, lua_upvalueindex(JT_METATABLE));
  lua_setmetatable(L, -2);
  return JT_OK;
}
