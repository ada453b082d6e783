/*
** job_status.h - the JobStatus userdata: a job at one instant, read-only. Its
** block holds a jt_job as the store copied it; nothing else is kept, so Lua's
** collector frees all of it. It knows no store.
*/
#ifndef JT_JOB_STATUS_H
#define JT_JOB_STATUS_H

#include "compat.h"
#include "store/store.h"

/* Pushes a block for a job of 'size' bytes and returns where the job goes. With
   the metatable it is a JobStatus. */
jt_job *jt_job_status_new(lua_State *L, size_t size);

/* Whether the value at 'index' is a JobStatus. */
bool jt_job_status_is(lua_State *L, int index);

/* Pushes the metatable of JobStatus, made at its first use in a Lua state. */
void jt_job_status_push_metatable(lua_State *L);

/* Pushes the exported table: methods and the names of the statuses. It raises for
   any other name. */
void jt_job_status_push_class(lua_State *L);

/* Pushes the job's JSON text, see json_job.h. */
void jt_job_status_push_json(lua_State *L, const jt_job *job);

#endif
