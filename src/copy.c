/*
** copy.c - see copy.h.
*/
#include "copy.h"

#include <string.h>

#include "job_status.h"

#define GROWTHS 8   /* times that a job may outgrow its copy, before "busy" */

static jt_code copy_job(lua_State *L, const jt_wanted *which, jt_job *out,
                        size_t capacity, size_t *needed) {
  jt_store *store = jt_call_store(L, which->handle, which->call);
  if (which->key != NULL)
    return jt_get_listed(store, which->key, which->filter, out, capacity,
                         needed);
  return jt_get(store, which->id.bytes, which->id.length, out, capacity,
                needed);
}

jt_code jt_load_job(lua_State *L, const jt_wanted *which, jt_room *small,
                    jt_job **job, size_t *size) {
  jt_code code = copy_job(L, which, &small->job, sizeof *small, size);
  *job = &small->job;
  for (int i = 0; code == JT_TOO_SMALL && i < GROWTHS; i++) {
    size_t capacity = *size;
    if (i > 0) {   /* it grows while we look: give it some room */
      lua_pop(L, 1);
      capacity *= 2;
    }
    *job = jt_job_status_new(L, capacity);
    code = copy_job(L, which, *job, capacity, size);
  }
  return code == JT_TOO_SMALL ? JT_BUSY : code;
}

jt_code jt_push_job(lua_State *L, const jt_wanted *which) {
  jt_room small;
  jt_job *job;
  size_t size;
  jt_code code = jt_load_job(L, which, &small, &job, &size);
  if (code != JT_OK) return code;
  if (job == &small.job) memcpy(jt_job_status_new(L, size), job, size);
  lua_pushvalue(L, lua_upvalueindex(JT_METATABLE));
  lua_setmetatable(L, -2);
  return JT_OK;
}
