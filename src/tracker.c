/*
** tracker.c - see tracker.h. The calls of a tracker are closures, see call.h.
*/
#include "tracker.h"

#include <string.h>

#include "call.h"
#include "calls.h"
#include "check.h"
#include "job_status.h"
#include "options.h"

/* ---------------------------------------------------- opening and closing */

static jt_handle *push_tracker(lua_State *L, const char *name);

static int open_tracker(lua_State *L) {
  jt_options options;
  jt_error error;
  jt_store *store;
  jt_call_begin(L, "open");
  const char *path = jt_to_c_string(L, 1);
  if (path == NULL || *path == '\0')
    jt_misuse(L, 1, "open", "path", "the name of a file, without NUL");
  jt_options_read_open(L, 2, &options);
  jt_handle *handle = push_tracker(L, path);
  jt_code code = jt_store_open(path, &options, &store, &error);
  if (code == JT_OK) {
    handle->store = store;
    return 1;
  }
  lua_pushstring(L, error.message);
  return jt_refused(L, code);
}

/* A store file keeps the shape that it was made with. */
static jt_code reconfigure(jt_store *store, const jt_options *options,
                           jt_error *error) {
  jt_stats now;
  jt_store_stats(store, &now);
  error->code = JT_OK;
  if ((options->size != 0 && options->size != now.size) ||
      (options->max_jobs != 0 && options->max_jobs != now.max_jobs))
    error->code = JT_IN_USE;
  else if (options->has_retention)
    error->code = jt_store_set_retention(store, options->retention);
  const char *message = error->code == JT_IN_USE
    ? "a store file keeps the size and the max_jobs that it was made with"
    : jt_code_message(error->code);
  strcpy(error->message, message);
  return error->code;
}

static int configure(lua_State *L) {
  jt_options options;
  jt_error error;
  jt_handle *handle = jt_call_begin(L, "configure");
  jt_options_read_configure(L, 1, &options);
  jt_code code = handle->in_memory
    ? jt_store_configure(&options, &error)
    : reconfigure(jt_call_store(L, handle, "configure"), &options, &error);
  if (code == JT_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushstring(L, error.message);
  return jt_refused(L, code);
}

static int close_tracker(lua_State *L) {
  jt_handle *handle = jt_call_begin(L, "close");
  if (handle->in_memory)
    return luaL_error(L, "close: the in-memory store cannot be closed");
  jt_handle_close(handle);
  return 0;
}

/* ----------------------------------------------------------------- set-up */

/* local tracker <close> = JobTracker.open(path) */
static int close_variable(lua_State *L) {
  jt_handle_close(lua_touserdata(L, lua_upvalueindex(JT_HANDLE)));
  return 0;
}

enum { NAME = 2 };   /* upvalue of to_string */

static int to_string(lua_State *L) {
  const jt_handle *handle = lua_touserdata(L, lua_upvalueindex(JT_HANDLE));
  bool closed = handle->store == NULL && !handle->in_memory;
  lua_pushfstring(L, "JobTracker (%s)", closed ? "closed"
                  : lua_tostring(L, lua_upvalueindex(NAME)));
  return 1;
}

static const luaL_Reg own_calls[] = {
  { "open", open_tracker }, { "configure", configure },
  { "close", close_tracker }, { NULL, NULL }
};

static const luaL_Reg *const calls[] = {
  jt_changing_calls, jt_reading_calls, jt_listing_calls, jt_waiting_calls,
  own_calls
};

#define LISTS (sizeof calls / sizeof calls[0])
#define FUNCTIONS 17   /* about how many there are */

static void set_functions(lua_State *L, int tracker, int handle,
                          const luaL_Reg *list) {
  for (; list->name != NULL; list++) {
    lua_pushvalue(L, handle);
    lua_pushvalue(L, tracker);
    lua_pushvalue(L, handle + 1);
    lua_pushcclosure(L, list->func, JT_METATABLE);
    lua_setfield(L, tracker, list->name);
  }
}

static void set_metatable(lua_State *L, int tracker, int handle,
                          const char *name) {
  lua_createtable(L, 0, 4);
  lua_pushliteral(L, "JobTracker");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable");
  lua_pushvalue(L, handle);
  lua_pushstring(L, name);
  lua_pushcclosure(L, to_string, NAME);
  lua_setfield(L, -2, "__tostring");
  lua_pushvalue(L, handle);
  lua_pushcclosure(L, close_variable, JT_HANDLE);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, tracker);
}

/* Pushes a tracker whose store is still to be opened. */
static jt_handle *push_tracker(lua_State *L, const char *name) {
  lua_createtable(L, 0, FUNCTIONS);
  int tracker = lua_gettop(L);
  jt_handle *handle = jt_handle_new(L);
  jt_job_status_push_metatable(L);
  for (size_t i = 0; i < LISTS; i++)
    set_functions(L, tracker, tracker + 1, calls[i]);
  set_metatable(L, tracker, tracker + 1, name);
  lua_settop(L, tracker);
  return handle;
}

void jt_tracker_push_memory(lua_State *L) {
  jt_error error;
  push_tracker(L, "in memory")->in_memory = true;
  /* Made now, for children that are forked from here on. Who may not map so
     much can still configure less, or use a file: calls say what is wrong. */
  jt_store_memory(&error);
}
