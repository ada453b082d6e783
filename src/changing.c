/*
** changing.c - the calls that change the store, see calls.h.
*/
#include "call.h"
#include "calls.h"
#include "fields.h"
#include "options.h"

static int changed(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_OK) return jt_job_refused(L, code, id);
  lua_pushboolean(L, 1);
  return 1;
}

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

static int update_job(lua_State *L) {
  jt_handle *handle = jt_call_begin(L, "update_job");
  jt_text id = jt_call_id(L, "update_job");
  jt_change change;
  jt_fields_read(L, 2, &change);
  jt_code code = jt_update(jt_call_store(L, handle, "update_job"), id.bytes, id.length,
                           &change);
  jt_fields_free(L, 2, &change);
  return changed(L, code, id);
}

static int delete_job(lua_State *L) {
  jt_handle *handle = jt_call_begin(L, "delete_job");
  jt_text id = jt_call_id(L, "delete_job");
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
  { "delete_job", delete_job },
  { "clear_jobs", clear_jobs },
  { NULL, NULL }
};
