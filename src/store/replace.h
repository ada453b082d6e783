/*
** replace.h - giving a job a new record in place of its old one: what every change
** of a job that exists comes down to. Under the lock.
*/
#ifndef JT_REPLACE_H
#define JT_REPLACE_H

#include "read.h"

/* What becomes of a job's blobs; a bit for each. */
typedef struct jt_blob_plan {
  uint32_t changes;               /* those that are replaced or cleared */
  uint32_t texts;                 /* of them, those that have a new text */
  jt_text text[JT_BLOBS];
} jt_blob_plan;

/* The index of a part's blob. */
#define JT_BLOB(part) ((part) - JT_RESULT)

static inline void jt_plan_blob(jt_blob_plan *plan, jt_part part, jt_text text) {
  plan->changes |= 1u << JT_BLOB(part);
  if (text.bytes != NULL) plan->texts |= 1u << JT_BLOB(part);
  plan->text[JT_BLOB(part)] = text;
}

/* What every change begins with: *old is what the job holds; job->words become those of
   its next record, updated at that time. */
void jt_renew(jt_sight *job, int64_t time, jt_glance *old);

/* Gives the record a status that it may have, at that time, and what follows from it. */
void jt_enter(jt_record_words *words, jt_status status, int64_t time);

/*
** Publishes job->words in place of the record that was there, with the blobs planned for
** it. JT_FULL, and then nothing is changed (but for what was evicted).
*/
jt_code jt_replace(jt_store *store, jt_sight *job, const jt_glance *old,
                   const jt_blob_plan *plan);

#endif
