/*
** waiting.c - the call that waits for a job, see calls.h.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE   /* clock_gettime */
#endif
#include <time.h>

#include "call.h"
#include "calls.h"
#include "copy.h"
#include "options.h"

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

static jt_code wait_for(lua_State *L, const jt_wanted *which,
                        const jt_wait_options *options) {
  const uint64_t *after = options->has_after ? &options->after : NULL;
  int64_t start = monotonic(), left = options->timeout;
  for (;;) {
    jt_code code = jt_wait(jt_call_store(L, which->handle, which->call),
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
  jt_wanted which = { .call = "wait_job" };
  which.handle = jt_call_begin_with_id(L, "wait_job", &which.id);
  jt_options_read_wait(L, 2, &options);
  jt_code code = wait_for(L, &which, &options);
  if (code == JT_OK) code = jt_push_job(L, &which);
  return code == JT_OK ? 1 : jt_job_refused(L, code, which.id);
}

const luaL_Reg jt_waiting_calls[] = {
  { "wait_job", wait_job },
  { NULL, NULL }
};
