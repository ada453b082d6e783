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

/* What every change begins with: the job's record, updated at that time. */
void jt_record_renew(const jt_sight *job, int64_t time, jt_record *record);

/* Gives the record a status that it may have, at that time, and what follows from it. */
void jt_record_enter(jt_record *record, jt_status status, int64_t time);

/*
** Publishes 'record', which was made from the seen job's, with the blobs planned for it.
** JT_FULL, and then nothing is changed (but for what was evicted).
*/
jt_code jt_replace(jt_store *store, const jt_sight *job, jt_record *record,
                   const jt_blob_plan *plan);

#endif
