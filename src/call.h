/*
** call.h - what every function of a tracker has in common: the closure that it
** is, how it comes to its store and to its job's id, and how it says that the
** store refused. It knows no call in particular.
**
** Any call that allocates in Lua may run a finalizer, and a finalizer may be
** Lua code that closes this very tracker. So each function asks for the store
** ('jt_call_store') as late as in the store's call itself. After a call that
** changed the store nothing may raise: the caller would not know that it
** happened.
*/
#ifndef JT_CALL_H
#define JT_CALL_H

#include "compat.h"
#include "handle.h"
#include "store/store.h"

/* The upvalues of each function. */
enum {
  JT_HANDLE = 1,   /* the userdata that holds the store, which Lua never sees */
  JT_SELF,         /* the tracker's table, to tell tracker:f() from tracker.f() */
  JT_METATABLE     /* of JobStatus */
};

/* Drops what a call with a colon puts first; raises on a closed tracker. */
jt_handle *jt_call_begin(lua_State *L, const char *call);

/* The same for a call whose first argument is a task_id. */
jt_handle *jt_call_begin_with_id(lua_State *L, const char *call, jt_text *id);

/* The tracker's store; raises where the tracker was closed meanwhile. */
jt_store *jt_call_store(lua_State *L, const jt_handle *handle, const char *call);

/* Returns nil, the message on top of the stack, the code's name. */
int jt_refused(lua_State *L, jt_code code);

/* The same with the code's own message; with one that names the job. */
int jt_store_refused(lua_State *L, jt_code code);
int jt_job_refused(lua_State *L, jt_code code, jt_text id);

#endif
