/*
** listing.c - the calls that read many jobs, see calls.h. The store names them,
** then each is copied by itself: those that went meanwhile are left out, as are
** the damaged ones that a read-only store may meet.
*/
#include "call.h"
#include "calls.h"
#include "copy.h"
#include "options.h"

#define MORE 64   /* jobs that may come while we look */

/* Room for all jobs there are, or for 'limit' of them. */
static size_t room_for_jobs(jt_store *store, size_t limit) {
  jt_stats now;
  jt_store_stats(store, &now);
  size_t all = now.jobs + now.jobs / 8 + MORE;
  return limit < all ? limit : all;
}

/* The same for jobs that have changed: each change took a version. A dead owner's
   jobs are changed without one, where that cannot be stored. */
static size_t room_for_changes(jt_store *store, uint64_t after, size_t limit) {
  uint64_t version;
  uint32_t dead;
  jt_store_pulse(store, &version, &dead);
  size_t room = room_for_jobs(store, limit);
  uint64_t changes = (version > after ? version - after : 0) + MORE;
  return dead == 0 && changes < room ? (size_t)changes : room;
}

static jt_key *new_keys(lua_State *L, size_t count) {
  return jt_new_block(L, count * sizeof(jt_key));
}

/* Pushes the jobs as an array. */
static jt_code push_listed(lua_State *L, const jt_handle *handle,
                           const char *call, const jt_filter *filter,
                           const jt_key *keys, size_t count) {
  jt_wanted which = { handle, call, { NULL, 0 }, NULL, filter };
  jt_index jobs = 0;
  lua_createtable(L, (int)count, 0);
  int array = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    which.key = &keys[i];
    jt_code code = jt_push_job(L, &which);
    if (code == JT_OK) lua_rawseti(L, array, ++jobs);
    else if (code != JT_NOT_FOUND && code != JT_CORRUPT) return code;
    lua_settop(L, array);
  }
  return JT_OK;
}

/* One more is asked for than wanted: if it is there, so is a next page. */
static int list_jobs(lua_State *L) {
  static const char call[] = "list_jobs";
  jt_list_options options;
  size_t count;
  jt_handle *handle = jt_call_begin(L, call);
  jt_options_read_list(L, 1, &options);
  size_t limit = options.limit < SIZE_MAX ? options.limit + 1 : SIZE_MAX;
  size_t capacity = room_for_jobs(jt_call_store(L, handle, call), limit);
  jt_key *keys = new_keys(L, capacity);
  jt_code code = jt_list(jt_call_store(L, handle, call), &options.filter, keys,
                         capacity, &count);
  bool more = code == JT_OK && count == capacity;
  if (more) count--;
  if (code == JT_OK)
    code = push_listed(L, handle, call, &options.filter, keys, count);
  if (code != JT_OK) return jt_store_refused(L, code);
  if (more) jt_push_unsigned(L, keys[count - 1].sequence);
  else lua_pushnil(L);
  return 2;
}

static int list_changes(lua_State *L) {
  static const char call[] = "list_changes";
  jt_list_options options;
  size_t count;
  uint64_t upto;
  jt_handle *handle = jt_call_begin(L, call);
  uint64_t after = jt_read_version(L, 1, call, "after",
                                   "a store's version, an integer");
  jt_options_read_changes(L, 2, &options);
  jt_store *store = jt_call_store(L, handle, call);
  size_t capacity = room_for_changes(store, after, options.limit);
  jt_key *keys = new_keys(L, capacity);
  jt_code code = jt_changes(jt_call_store(L, handle, call), after, keys,
                            capacity, &count, &upto);
  if (code == JT_OK)
    code = push_listed(L, handle, call, &options.filter, keys, count);
  if (code != JT_OK) return jt_store_refused(L, code);
  jt_push_unsigned(L, upto);
  return 2;
}

const luaL_Reg jt_listing_calls[] = {
  { "list_jobs", list_jobs },
  { "list_changes", list_changes },
  { NULL, NULL }
};
