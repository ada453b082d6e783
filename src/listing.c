/*
** listing.c - the calls that read many jobs, see calls.h. The store names them,
** then each is copied by itself: those that went meanwhile are left out, as are
** the damaged ones that a read-only store may meet.
*/
#include "call.h"
#include "calls.h"
#include "copy.h"
#include "options.h"

/* Keys of the jobs there are, and of some that may come meanwhile; no more than
   'limit'. */
static jt_key *new_keys(lua_State *L, jt_store *store, size_t limit,
                        size_t *capacity) {
  jt_stats now;
  jt_store_stats(store, &now);
  size_t all = now.jobs + now.jobs / 8 + 64;
  *capacity = limit < all ? limit : all;
  return jt_new_block(L, *capacity * sizeof(jt_key));
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
  size_t capacity, count;
  jt_handle *handle = jt_call_begin(L, call);
  jt_options_read_list(L, 1, &options);
  size_t limit = options.limit < SIZE_MAX ? options.limit + 1 : SIZE_MAX;
  jt_key *keys = new_keys(L, jt_call_store(L, handle, call), limit, &capacity);
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
  size_t capacity, count;
  uint64_t upto;
  jt_handle *handle = jt_call_begin(L, call);
  uint64_t after = jt_read_version(L, 1, call, "a store's version, an integer");
  jt_options_read_changes(L, 2, &options);
  jt_key *keys = new_keys(L, jt_call_store(L, handle, call), options.limit,
                          &capacity);
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
