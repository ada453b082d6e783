/*
** listing.c - the calls that read many jobs, see calls.h.
*/
#include "call.h"
#include "calls.h"
#include "copy.h"
#include "options.h"

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
  jt_wanted which = { handle, "list_jobs", { NULL, 0 }, NULL, filter };
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

static int list_jobs(lua_State *L) {
  jt_list_options options;
  size_t count;
  jt_handle *handle = jt_call_begin(L, "list_jobs");
  jt_options_read_list(L, 1, &options);
  size_t room_for = keys_wanted(jt_call_store(L, handle, "list_jobs"), options.limit);
  jt_key *keys = jt_new_block(L, room_for * sizeof *keys);
  jt_code code = jt_list(jt_call_store(L, handle, "list_jobs"), &options.filter, keys,
                         room_for, &count);
  if (code == JT_OK) code = push_listed(L, handle, &options.filter, keys, count);
  return code == JT_OK ? 1 : jt_store_refused(L, code);
}

const luaL_Reg jt_listing_calls[] = {
  { "list_jobs", list_jobs },
  { NULL, NULL }
};
