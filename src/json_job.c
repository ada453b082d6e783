/*
** json_job.c - see json_job.h.
*/
#include "json_job.h"

#include <string.h>

#include "json_text.h"
#include "timestamp.h"

/* Where the next byte goes; NULL once memory has run out. */
typedef struct writer {
  char *at;
} writer;

static void put(writer *to, const char *bytes, size_t length) {
  if (to->at == NULL) return;
  memcpy(to->at, bytes, length);
  to->at += length;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

/* Takes what a jt_json_... function wrote at 'to->at'. */
static void advance(writer *to, size_t written) {
  to->at = written == 0 ? NULL : to->at + written;
}

static void put_string(writer *to, jt_text text) {
  if (text.bytes == NULL) PUT(to, "null");
  else if (to->at != NULL)
    advance(to, jt_json_string(text.bytes, text.length, to->at));
}

static void put_json(writer *to, jt_text text) {
  if (text.bytes == NULL) PUT(to, "null");
  else put(to, text.bytes, text.length);
}

static void put_time(writer *to, int64_t time) {
  if (time == 0 || to->at == NULL) {
    PUT(to, "null");
    return;
  }
  PUT(to, "\"");
  jt_timestamp_write(time, to->at);
  to->at += JT_TIMESTAMP_LENGTH;
  PUT(to, "\"");
}

static void put_real(writer *to, double value) {
  if (to->at != NULL) advance(to, jt_json_real(value, to->at));
}

static void put_unsigned(writer *to, uint64_t value) {
  if (to->at != NULL) advance(to, jt_json_unsigned(value, to->at));
}

/* The names of statuses are plain, whatever the job holds. */
static void put_status(writer *to, jt_status status) {
  const char *name = jt_status_name(status);
  PUT(to, "\"");
  put(to, name, strlen(name));
  PUT(to, "\"");
}

/* No byte takes more than six: of a short text that is near enough, and five of
   them fit into the buffers that callers have at hand. */
static size_t string_bound(jt_text text) {
  return text.bytes == NULL ? sizeof "null"
       : text.length <= 48 ? 6 * text.length + 2
       : jt_json_string_bound(text.bytes, text.length);
}

size_t jt_json_job_bound(const jt_job *job) {
  const size_t skeleton = 512;  /* names, status, numbers, times: at most 400 */
  return skeleton + 2 * string_bound(jt_job_part(job, JT_ID)) +
         string_bound(jt_job_part(job, JT_STEP)) +
         string_bound(jt_job_part(job, JT_ERROR)) +
         string_bound(jt_job_part(job, JT_CANCEL)) +
         jt_job_part(job, JT_RESULT).length + jt_job_part(job, JT_META).length;
}

size_t jt_json_job(const jt_job *job, char *out) {
  writer to = { out };
  PUT(&to, "{\"task_id\":");
  put_string(&to, jt_job_part(job, JT_ID));
  PUT(&to, ",\"task_type\":");
  put_string(&to, jt_job_type(job));
  PUT(&to, ",\"status\":");
  put_status(&to, job->status);
  PUT(&to, ",\"progress\":");
  put_real(&to, job->progress);
  PUT(&to, ",\"current_step\":");
  put_string(&to, jt_job_part(job, JT_STEP));
  PUT(&to, ",\"result\":");
  put_json(&to, jt_job_part(job, JT_RESULT));
  PUT(&to, ",\"error\":");
  put_string(&to, jt_job_part(job, JT_ERROR));
  PUT(&to, ",\"meta\":");
  put_json(&to, jt_job_part(job, JT_META));
  PUT(&to, ",\"cancel_requested\":");
  put_string(&to, jt_job_part(job, JT_CANCEL));
  PUT(&to, ",\"created_at\":");
  put_time(&to, job->created_at);
  PUT(&to, ",\"updated_at\":");
  put_time(&to, job->updated_at);
  PUT(&to, ",\"started_at\":");
  put_time(&to, job->started_at);
  PUT(&to, ",\"finished_at\":");
  put_time(&to, job->finished_at);
  PUT(&to, ",\"version\":");
  put_unsigned(&to, job->version);
  PUT(&to, "}");
  return to.at == NULL ? 0 : (size_t)(to.at - out);
}
