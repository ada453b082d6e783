/*
** json_job.c - see json_job.h.
*/
#include "json_job.h"

#include <string.h>

#include "json_text.h"
#include "timestamp.h"

/* Each put_... writes at 'at' and returns where the next byte goes. */
static inline char *put(char *at, const char *bytes, size_t length) {
  memcpy(at, bytes, length);
  return at + length;
}

#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

static char *put_null(char *at) {
  return PUT(at, "null");
}

static char *put_string(char *at, jt_text text) {
  if (text.bytes == NULL) return put_null(at);
  return at + jt_json_string(text.bytes, text.length, at);
}

static char *put_json(char *at, jt_text text) {
  return text.bytes == NULL ? put_null(at) : put(at, text.bytes, text.length);
}

static char *put_time(char *at, int64_t time, jt_timestamp_last *last) {
  if (time == 0) return put_null(at);
  *at++ = '"';
  jt_timestamp_write(last, time, at);
  at += JT_TIMESTAMP_LENGTH;
  *at++ = '"';
  return at;
}

/* The names of statuses are plain, whatever the job holds. What is copied behind the
   name is written over. */
static char *put_status(char *at, jt_status status) {
  jt_text name = jt_status_text(status);
  *at++ = '"';
  memcpy(at, name.bytes, JT_STATUS_ROOM);
  at += name.length;
  *at++ = '"';
  return at;
}

/* Most jobs have none of the four. */
static char *put_blobs(char *at, const jt_job *job) {
  if (job->blobs == 0)
    return PUT(at, ",\"result\":null,\"error\":null,\"meta\":null"
                   ",\"cancel_requested\":null");
  at = PUT(at, ",\"result\":");
  at = put_json(at, jt_job_part(job, JT_RESULT));
  at = PUT(at, ",\"error\":");
  at = put_string(at, jt_job_part(job, JT_ERROR));
  at = PUT(at, ",\"meta\":");
  at = put_json(at, jt_job_part(job, JT_META));
  at = PUT(at, ",\"cancel_requested\":");
  return put_string(at, jt_job_part(job, JT_CANCEL));
}

/* No byte takes more than six: of a short text that is near enough, and five of
   them fit into the buffers that callers have at hand. */
static size_t string_bound(jt_text text) {
  return text.length <= 48 ? 6 * text.length + 2
                           : jt_json_string_bound(text.bytes, text.length);
}

static size_t blobs_bound(const jt_job *job) {
  return string_bound(jt_job_part(job, JT_ERROR)) +
         string_bound(jt_job_part(job, JT_CANCEL)) +
         jt_job_part(job, JT_RESULT).length + jt_job_part(job, JT_META).length;
}

size_t jt_json_job_bound(const jt_job *job) {
  const size_t skeleton = 512;  /* names, status, numbers, times, null: at most 400 */
  return skeleton + 2 * string_bound(jt_job_part(job, JT_ID)) +
         string_bound(jt_job_part(job, JT_STEP)) +
         (job->blobs != 0 ? blobs_bound(job) : 0);
}

size_t jt_json_job(const jt_job *job, char *out) {
  jt_timestamp_last *last = jt_timestamp_last_here();
  char *at = PUT(out, "{\"task_id\":");
  at = put_string(at, jt_job_part(job, JT_ID));
  at = PUT(at, ",\"task_type\":");
  at = put_string(at, jt_job_type(job));
  at = PUT(at, ",\"status\":");
  at = put_status(at, job->status);
  at = PUT(at, ",\"progress\":");
  size_t progress = jt_json_real(job->progress, at);
  if (progress == 0) return 0;
  at += progress;
  at = PUT(at, ",\"current_step\":");
  at = put_string(at, jt_job_part(job, JT_STEP));
  at = put_blobs(at, job);
  at = PUT(at, ",\"created_at\":");
  at = put_time(at, job->created_at, last);
  at = PUT(at, ",\"updated_at\":");
  at = put_time(at, job->updated_at, last);
  at = PUT(at, ",\"started_at\":");
  at = put_time(at, job->started_at, last);
  at = PUT(at, ",\"finished_at\":");
  at = put_time(at, job->finished_at, last);
  at = PUT(at, ",\"version\":");
  at += jt_json_unsigned(job->version, at);
  at = PUT(at, "}");
  return (size_t)(at - out);
}
