/*
** model.h - a naive table of jobs, kept beside a store: what each call must do,
** and which jobs may go when there is no room. Knows store.h; looks into the
** region only to see which runs of units are free.
*/
#ifndef MODEL_H
#define MODEL_H

#include "region.h"

enum { MODEL_BLOBS = 3 };         /* result, error, meta */

typedef struct model_blob {
  bool there;
  uint32_t seed;                  /* its bytes follow from that */
  size_t length;
} model_blob;

typedef struct model_job {
  bool there;
  job_id id;
  uint64_t version, sequence;
  int64_t created_at, updated_at, started_at, finished_at;
  double progress;
  jt_status status;
  char step[JT_STEP_MAX];
  size_t step_length;
  model_blob blob[MODEL_BLOBS];
} model_job;

typedef struct model {
  jt_store *store;                /* all changes go through this view */
  model_job *jobs;
  uint32_t capacity, count;
  uint64_t evictions, version;
  uint64_t full;                  /* how often that was the answer */
  uint64_t misplaced;             /* runs that first fit would have placed */
} model;

model model_make(jt_store *store, uint32_t capacity);
void model_free(model *m);        /* not the store */

/* Each makes the call on the store, checks what it says, what it did to that
   job, and that the jobs that went to make room were the right ones. */
void model_create(model *m, const char *type, uint32_t number);
void model_update(model *m, const job_id *id, const jt_change *change,
                  const model_blob blobs[MODEL_BLOBS]);
void model_delete(model *m, const job_id *id);
void model_clear(model *m);

/* Compares all jobs, through that view of the store. */
void model_compare(const model *m, jt_store *store);

/* Compares a list of the store with the model's own. */
void model_compare_list(const model *m, jt_store *store, int status,
                        const char *type, size_t limit);

/* A job that is there, NULL: there is none. */
model_job *model_any(const model *m);

/* The bytes of a blob, to be freed; absent if it is. */
jt_text model_blob_text(const model_blob *blob);

#endif
