/*
** claim.c - who works on a job, and asking them to stop.
*/
#include "owner.h"
#include "replace.h"
#include "write.h"

static jt_code find_unfinished(jt_store *store, const jt_search *search, jt_sight *job) {
  jt_code code = jt_find_to_change(store, search, job);
  if (code != JT_OK) return code;
  return jt_status_finished(jt_sight_status(job)) ? JT_INVALID_TRANSITION : JT_OK;
}

/* ---------------------------------------------------------------- claiming */

/* The slot first: killed before the job names it, it is a dead one without jobs. */
static jt_code own(jt_store *store, jt_sight *job, uint32_t self) {
  static const jt_blob_plan no_blobs;
  jt_glance old;
  if (self == 0) self = jt_owner_take(store);
  if (self == 0) return JT_FULL;
  jt_renew(job, jt_now(), &old);
  jt_words_set_owner(&job->words, self);
  return jt_replace(store, job, &old, &no_blobs);
}

static jt_code try_claim(jt_store *store, void *context) {
  const jt_search *search = context;
  jt_sight job;
  jt_code code = find_unfinished(store, search, &job);
  if (code != JT_OK) return code;
  uint32_t owner = jt_words_owner(&job.words), self = jt_owner_self(store);
  if (owner == 0) return own(store, &job, self);
  return owner == self ? JT_OK : JT_CLAIMED;
}

jt_code jt_claim(jt_store *store, const char *id, size_t length) {
  jt_search search = jt_search_for(id, length);
  return jt_write(store, try_claim, &search);
}

/* -------------------------------------------------------------- cancelling */

typedef struct cancelling {
  jt_search search;
  jt_text reason, error;
} cancelling;

static bool nobody_works_on(const jt_sight *job) {
  return jt_words_status(&job->words) == JT_PENDING && jt_words_owner(&job->words) == 0;
}

static jt_code try_cancel(jt_store *store, void *context) {
  const cancelling *want = context;
  jt_blob_plan plan = { 0 };
  jt_sight job;
  jt_glance old;
  jt_code code = find_unfinished(store, &want->search, &job);
  if (code != JT_OK) return code;
  int64_t now = jt_now();
  jt_renew(&job, now, &old);
  if (old.blobs & 1u << JT_BLOB(JT_CANCEL)) return JT_OK;
  jt_plan_blob(&plan, JT_CANCEL, want->reason);
  if (nobody_works_on(&job)) {
    jt_plan_blob(&plan, JT_ERROR, want->error);
    jt_enter(&job.words, JT_FAILED, now);
  }
  return jt_replace(store, &job, &old, &plan);
}

jt_code jt_cancel(jt_store *store, const char *id, size_t length, jt_text reason) {
  static const char prefix[] = "cancelled: ";
  enum { PREFIX = sizeof prefix - 1 };
  char error[PREFIX + JT_REASON_MAX];
  memcpy(error, prefix, PREFIX);
  memcpy(error + PREFIX, reason.bytes, reason.length);
  cancelling want = { jt_search_for(id, length), reason,
                      { error, PREFIX + reason.length } };
  return jt_write(store, try_cancel, &want);
}
