/*
** json_job.h - a job as one JSON object, the form that leaves the house. It
** knows no Lua.
**
** All fields, always in this order, absent ones null: task_id, task_type,
** status, progress, current_step, result, error, meta, cancel_requested,
** created_at, updated_at, started_at, finished_at, version. result and meta are
** JSON texts already and go in as they are; in the other texts, what is not UTF-8
** becomes U+FFFD.
*/
#ifndef JT_JSON_JOB_H
#define JT_JSON_JOB_H

#include "store/store.h"

/* Room that jt_json_job needs for this job. */
size_t jt_json_job_bound(const jt_job *job);

/* Writes the text, without a NUL, and returns its length; 0: out of memory. */
size_t jt_json_job(const jt_job *job, char *out);

#endif
