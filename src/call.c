/*
** call.c - see call.h.
*/
#include "call.h"

#include "check.h"
#include "job_status.h"
#include "store/hot.h"

/* -------------------------------------------------------------- arguments */

static void check_open(lua_State *L, const jt_handle *handle, const char *call) {
  if (handle->store == NULL && !handle->in_memory)
    luaL_error(L, "%s: closed tracker", call);
}

/* Asked for at each call: 'configure', here or in another Lua state, may have
   replaced it; and where it could not be mapped there may be room now. */
static jt_store *memory_store(lua_State *L, const char *call) {
  jt_error error;
  jt_store *store = jt_store_memory(&error);
  if (store == NULL) luaL_error(L, "%s: %s", call, error.message);
  return store;
}

jt_store *jt_call_store(lua_State *L, const jt_handle *handle, const char *call) {
  if (handle->in_memory) return memory_store(L, call);
  check_open(L, handle, call);
  return handle->store;
}

static void drop_self(lua_State *L) {
  if (lua_type(L, 1) == LUA_TTABLE &&
      lua_rawequal(L, 1, lua_upvalueindex(JT_SELF)))
    lua_remove(L, 1);
}

jt_handle *jt_call_begin(lua_State *L, const char *call) {
  jt_handle *handle = lua_touserdata(L, lua_upvalueindex(JT_HANDLE));
  drop_self(L);
  check_open(L, handle, call);
  return handle;
}

static void check_id(lua_State *L, const char *call) {
  if (lua_type(L, 1) != LUA_TSTRING)
    jt_misuse(L, 1, call, "task_id", jt_job_status_is(L, 1)
                ? "a string, such as job.task_id" : "a string");
}

/* A string is not the tracker: one look at it is all that most calls need. */
JT_HOT
jt_handle *jt_call_begin_with_id(lua_State *L, const char *call, jt_text *id) {
  jt_handle *handle = lua_touserdata(L, lua_upvalueindex(JT_HANDLE));
  bool is_string = lua_type(L, 1) == LUA_TSTRING;
  if (!is_string) drop_self(L);
  check_open(L, handle, call);
  if (!is_string) check_id(L, call);
  id->bytes = lua_tolstring(L, 1, &id->length);
  return handle;
}

/* --------------------------------------------------------------- outcomes */

int jt_refused(lua_State *L, jt_code code) {
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushstring(L, jt_code_name(code));
  return 3;
}

int jt_store_refused(lua_State *L, jt_code code) {
  lua_pushstring(L, jt_code_message(code));
  return jt_refused(L, code);
}

int jt_job_refused(lua_State *L, jt_code code, jt_text id) {
  const char *name = jt_push_excerpt(L, id.bytes, id.length);
  if (code == JT_NOT_FOUND) lua_pushfstring(L, "no job \"%s\"", name);
  else lua_pushfstring(L, "job \"%s\": %s", name, jt_code_message(code));
  return jt_refused(L, code);
}
