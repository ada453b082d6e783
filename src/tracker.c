/*
** tracker.c - see tracker.h. The functions of a tracker are closures over
**
**   1  HANDLE     the userdata that holds the store, which Lua code never sees
**   2  SELF       the tracker's table, to tell tracker:f() from tracker.f()
**   3  METATABLE  of JobStatus
**
** Any call that allocates in Lua may run a finalizer, and a finalizer may be
** Lua code that closes this very tracker. So each function asks for the store
** ('store_of') as late as in the store's call itself. After a call that
** changed the store nothing may raise: the caller would not know that it
** happened.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE   /* clock_gettime */
#endif
#include "tracker.h"

#include <string.h>
#include <time.h>

#include "check.h"
#include "fields.h"
#include "handle.h"
#include "job_status.h"
#include "options.h"

enum { HANDLE = 1, SELF = 2, METATABLE = 3 };   /* upvalues */

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

static jt_store *store_of(lua_State *L, const jt_handle *handle,
                          const char *call) {
  if (handle->in_memory) return memory_store(L, call);
  check_open(L, handle, call);
  return handle->store;
}

/* Drops what a call with a colon puts first; raises on a closed tracker. */
static jt_handle *begin(lua_State *L, const char *call) {
  jt_handle *handle = lua_touserdata(L, lua_upvalueindex(HANDLE));
  if (lua_type(L, 1) == LUA_TTABLE &&
      lua_rawequal(L, 1, lua_upvalueindex(SELF)))
    lua_remove(L, 1);
  check_open(L, handle, call);
  return handle;
}

static jt_text check_id(lua_State *L, const char *call) {
  jt_text id;
  if (lua_type(L, 1) != LUA_TSTRING)
    jt_misuse(L, 1, call, "task_id", "a string");
  id.bytes = lua_tolstring(L, 1, &id.length);
  return id;
}

/* --------------------------------------------------------------- outcomes */

/* Returns nil, the message on top of the stack, the code's name. */
static int refused(lua_State *L, jt_code code) {
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushstring(L, jt_code_name(code));
  return 3;
}

static int store_refused(lua_State *L, jt_code code) {
  lua_pushstring(L, jt_code_message(code));
  return refused(L, code);
}

static int job_refused(lua_State *L, jt_code code, jt_text id) {
  const char *name = jt_push_excerpt(L, id.bytes, id.length);
  if (code == JT_NOT_FOUND) lua_pushfstring(L, "no job \"%s\"", name);
  else lua_pushfstring(L, "job \"%s\": %s", name, jt_code_message(code));
  return refused(L, code);
}

static int changed(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_OK) return job_refused(L, code, id);
  lua_pushboolean(L, 1);
  return 1;
}

/* ----------------------------------------------------------- copying jobs */

/* Which job: one that jt_list named or, with 'key' NULL, the one of that id. */
typedef struct wanted {
  const jt_handle *handle;
  const char *call;
  jt_text id;
  const jt_key *key;
  const jt_filter *filter;
} wanted;

/* Room for most jobs, where copying one costs no allocation. */
typedef union room {
  jt_job job;
  char bytes[1024];
} room;

#define GROWTHS 8   /* times that a job may outgrow its copy, before "busy" */

static jt_code copy_job(lua_State *L, const wanted *which, jt_job *out,
                        size_t capacity, size_t *needed) {
  jt_store *store = store_of(L, which->handle, which->call);
  if (which->key != NULL)
    return jt_get_listed(store, which->key, which->filter, out, capacity,
                         needed);
  return jt_get(store, which->id.bytes, which->id.length, out, capacity,
                needed);
}

/*
** Copies the job into 'small' or, if it is too large for it, into a block for a
** JobStatus, which it pushes: that is the caller's to pop, whatever the code.
** *job is where the copy is, *size its size.
*/
static jt_code load_job(lua_State *L, const wanted *which, room *small,
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

/* Pushes the job as a JobStatus. */
static jt_code push_job(lua_State *L, const wanted *which) {
  room small;
  jt_job *job;
  size_t size;
  jt_code code = load_job(L, which, &small, &job, &size);
  if (code != JT_OK) return code;
  if (job == &small.job) memcpy(jt_job_status_new(L, size), job, size);
  lua_pushvalue(L, lua_upvalueindex(METATABLE));
  lua_setmetatable(L, -2);
  return JT_OK;
}

/* What get_job and get_json answer when there is no text or object to give: an
   unknown id is an ordinary answer, a plain nil. */
static int not_got(lua_State *L, jt_code code, jt_text id) {
  if (code != JT_NOT_FOUND) return job_refused(L, code, id);
  lua_pushnil(L);
  return 1;
}

/* --------------------------------------------------------------- changing */

/* The id is a Lua string before the job exists: no error comes after. */
static int create_job(lua_State *L) {
  jt_handle *handle = begin(L, "create_job");
  jt_text type = jt_read_task_type(L, 1, "create_job");
  char id[JT_ID_MAX + 1];
  jt_code code;
  do {
    uint32_t number = jt_draw_number();
    lua_settop(L, 1);
    lua_pushlstring(L, id, jt_id_format(type.bytes, type.length, number, id));
    code = jt_create_numbered(store_of(L, handle, "create_job"), type.bytes,
                              type.length, number);
  } while (code == JT_TAKEN);
  return code == JT_OK ? 1 : store_refused(L, code);
}

static int update_job(lua_State *L) {
  jt_handle *handle = begin(L, "update_job");
  jt_text id = check_id(L, "update_job");
  jt_change change;
  jt_fields_read(L, 2, &change);
  jt_code code = jt_update(store_of(L, handle, "update_job"), id.bytes, id.length,
                           &change);
  jt_fields_free(L, 2, &change);
  return changed(L, code, id);
}

static int delete_job(lua_State *L) {
  jt_handle *handle = begin(L, "delete_job");
  jt_text id = check_id(L, "delete_job");
  jt_store *store = store_of(L, handle, "delete_job");
  return changed(L, jt_delete(store, id.bytes, id.length), id);
}

static int clear_jobs(lua_State *L) {
  uint64_t removed;
  jt_handle *handle = begin(L, "clear_jobs");
  jt_code code = jt_clear(store_of(L, handle, "clear_jobs"), &removed);
  if (code != JT_OK) return store_refused(L, code);
  jt_push_unsigned(L, removed);
  return 1;
}

/* ---------------------------------------------------------------- reading */

static int get_job(lua_State *L) {
  jt_handle *handle = begin(L, "get_job");
  wanted which = { handle, "get_job", check_id(L, "get_job"), NULL, NULL };
  jt_code code = push_job(L, &which);
  return code == JT_OK ? 1 : not_got(L, code, which.id);
}

static int get_json(lua_State *L) {
  room small;
  jt_job *job;
  size_t size;
  jt_handle *handle = begin(L, "get_json");
  wanted which = { handle, "get_json", check_id(L, "get_json"), NULL, NULL };
  jt_code code = load_job(L, &which, &small, &job, &size);
  if (code != JT_OK) return not_got(L, code, which.id);
  jt_job_status_push_json(L, job);
  jt_push_unsigned(L, job->version);
  return 2;
}

/* Room for the jobs there are, and for some that may come meanwhile. */
static size_t keys_wanted(const jt_store *store, size_t limit) {
  jt_stats now;
  jt_store_stats(store, &now);
  size_t all = now.jobs + now.jobs / 8 + 64;
  return limit < all ? limit : all;
}

/* Pushes the listed jobs as an array, without those that are gone or damaged. */
static jt_code push_listed(lua_State *L, const jt_handle *handle,
                           const jt_filter *filter, const jt_key *keys,
                           size_t count) {
  wanted which = { handle, "list_jobs", { NULL, 0 }, NULL, filter };
  jt_index jobs = 0;
  lua_createtable(L, (int)count, 0);
  int array = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    which.key = &keys[i];
    jt_code code = push_job(L, &which);
    if (code == JT_OK) lua_rawseti(L, array, ++jobs);
    else if (code != JT_NOT_FOUND && code != JT_CORRUPT) return code;
    lua_settop(L, array);
  }
  return JT_OK;
}

static int list_jobs(lua_State *L) {
  jt_list_options options;
  size_t count;
  jt_handle *handle = begin(L, "list_jobs");
  jt_options_read_list(L, 1, &options);
  size_t room_for = keys_wanted(store_of(L, handle, "list_jobs"), options.limit);
  jt_key *keys = jt_new_block(L, room_for * sizeof *keys);
  jt_code code = jt_list(store_of(L, handle, "list_jobs"), &options.filter, keys,
                         room_for, &count);
  if (code == JT_OK) code = push_listed(L, handle, &options.filter, keys, count);
  return code == JT_OK ? 1 : store_refused(L, code);
}

static void set_count(lua_State *L, const char *name, uint64_t value) {
  jt_push_unsigned(L, value);
  lua_setfield(L, -2, name);
}

static int stats(lua_State *L) {
  jt_stats now;
  jt_handle *handle = begin(L, "stats");
  jt_store_stats(store_of(L, handle, "stats"), &now);
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

/* ---------------------------------------------------------------- waiting */

static int64_t monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Lua's own signal handlers, such as that of Ctrl-C, only set a hook, which
   fires when Lua code runs: so some does, and may raise. */
static void run_hooks(lua_State *L) {
  if (luaL_loadbuffer(L, "return", 6, "=wait_job") != 0) lua_error(L);
  lua_call(L, 0, 0);
}

static jt_code wait_for(lua_State *L, const wanted *which,
                        const jt_wait_options *options) {
  const uint64_t *after = options->has_after ? &options->after : NULL;
  int64_t start = monotonic(), left = options->timeout;
  for (;;) {
    jt_code code = jt_wait(store_of(L, which->handle, which->call),
                           which->id.bytes, which->id.length, after, left);
    if (code != JT_INTERRUPTED) return code;
    run_hooks(L);
    if (left == JT_FOREVER) continue;
    left = options->timeout - (monotonic() - start);
    if (left < 0) left = 0;
  }
}

static int wait_job(lua_State *L) {
  jt_wait_options options;
  jt_handle *handle = begin(L, "wait_job");
  wanted which = { handle, "wait_job", check_id(L, "wait_job"), NULL, NULL };
  jt_options_read_wait(L, 2, &options);
  jt_code code = wait_for(L, &which, &options);
  if (code == JT_OK) code = push_job(L, &which);
  return code == JT_OK ? 1 : job_refused(L, code, which.id);
}

/* ---------------------------------------------------- opening and closing */

static jt_handle *push_tracker(lua_State *L, const char *name);

static int open_tracker(lua_State *L) {
  jt_options options;
  jt_error error;
  jt_store *store;
  begin(L, "open");
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
  return refused(L, code);
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
  jt_handle *handle = begin(L, "configure");
  jt_options_read_configure(L, 1, &options);
  jt_code code = handle->in_memory
    ? jt_store_configure(&options, &error)
    : reconfigure(store_of(L, handle, "configure"), &options, &error);
  if (code == JT_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushstring(L, error.message);
  return refused(L, code);
}

static int close_tracker(lua_State *L) {
  jt_handle *handle = begin(L, "close");
  if (handle->in_memory)
    return luaL_error(L, "close: the in-memory store cannot be closed");
  jt_handle_close(handle);
  return 0;
}

/* ----------------------------------------------------------------- set-up */

/* local tracker <close> = JobTracker.open(path) */
static int close_variable(lua_State *L) {
  jt_handle_close(lua_touserdata(L, lua_upvalueindex(HANDLE)));
  return 0;
}

enum { NAME = 2 };   /* upvalue of to_string */

static int to_string(lua_State *L) {
  const jt_handle *handle = lua_touserdata(L, lua_upvalueindex(HANDLE));
  bool closed = handle->store == NULL && !handle->in_memory;
  lua_pushfstring(L, "JobTracker (%s)", closed ? "closed"
                  : lua_tostring(L, lua_upvalueindex(NAME)));
  return 1;
}

static const luaL_Reg functions[] = {
  { "create_job", create_job }, { "update_job", update_job },
  { "get_job", get_job },       { "delete_job", delete_job },
  { "clear_jobs", clear_jobs }, { "list_jobs", list_jobs },
  { "wait_job", wait_job },     { "get_json", get_json },
  { "stats", stats },           { "open", open_tracker },
  { "configure", configure },   { "close", close_tracker },
};

#define COUNT (sizeof functions / sizeof functions[0])

static void set_functions(lua_State *L, int tracker, int handle) {
  jt_job_status_push_metatable(L);
  for (size_t i = 0; i < COUNT; i++) {
    lua_pushvalue(L, handle);
    lua_pushvalue(L, tracker);
    lua_pushvalue(L, handle + 1);
    lua_pushcclosure(L, functions[i].func, METATABLE);
    lua_setfield(L, tracker, functions[i].name);
  }
  lua_pop(L, 1);
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
  lua_pushcclosure(L, close_variable, HANDLE);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, tracker);
}

/* Pushes a tracker whose store is still to be opened. */
static jt_handle *push_tracker(lua_State *L, const char *name) {
  lua_createtable(L, 0, (int)COUNT);
  int tracker = lua_gettop(L);
  jt_handle *handle = jt_handle_new(L);
  set_functions(L, tracker, tracker + 1);
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
