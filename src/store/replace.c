/*
** replace.c - building a job's new record beside the old one: reserve all the units
** that it needs (making room if it must), fill them, publish.
*/
#include "replace.h"

#include "cells.h"
#include "evict.h"
#include "heap.h"
#include "publish.h"
#include "room.h"

void jt_renew(jt_sight *job, int64_t time, jt_glance *old) {
  int64_t before = jt_words_time(&job->words, JT_RECORD_UPDATED_AT);
  jt_words_glance(&job->words, old);
  jt_words_set_time(&job->words, JT_RECORD_UPDATED_AT, time > before ? time : before + 1);
}

static int64_t later(int64_t one, int64_t other) {
  return one > other ? one : other;
}

/* By the clock: updates that come faster than one a microsecond take updated_at ahead
   of it. In order also when the clock is set back. */
void jt_enter(jt_record_words *words, jt_status status, int64_t time) {
  int64_t begun = later(jt_words_time(words, JT_RECORD_CREATED_AT),
                        jt_words_time(words, JT_RECORD_STARTED_AT));
  if (status == JT_RUNNING && jt_words_time(words, JT_RECORD_STARTED_AT) == 0)
    jt_words_set_time(words, JT_RECORD_STARTED_AT, later(time, begun));
  if (jt_status_finished(status) && jt_words_time(words, JT_RECORD_FINISHED_AT) == 0)
    jt_words_set_time(words, JT_RECORD_FINISHED_AT, later(time, begun));
  if (status == JT_COMPLETED && jt_words_status(words) != JT_COMPLETED)
    jt_words_set_progress(words, 1);
  jt_words_set_status(words, status);
  if (jt_status_finished(status)) jt_words_set_owner(words, 0);
}

static bool blobs_fit(const jt_store *store, const jt_blob_plan *plan) {
  uint64_t heap = jt_heap_units(store) * JT_UNIT;
  for (uint32_t left = plan->texts; left != 0; left &= left - 1)
    if (plan->text[__builtin_ctz(left)].length > heap) return false;
  return true;
}

/* Those that the job will have. */
static uint32_t blobs_after(const jt_glance *old, const jt_blob_plan *plan) {
  return (old->blobs & ~plan->changes) | plan->texts;
}

/* The runs to reserve: first the record's, then one for each new blob. */
static int plan_runs(const jt_record_words *words, uint32_t blobs,
                     const jt_blob_plan *plan, jt_run runs[JT_RUNS]) {
  int count = 0;
  runs[count++] = (jt_run){ 0, jt_words_units(words, blobs) };
  for (uint32_t left = plan->texts; left != 0; left &= left - 1)
    runs[count++] = (jt_run){ 0, jt_units_for(plan->text[__builtin_ctz(left)].length) };
  return count;
}

JT_ASIDE
static void write_blobs(jt_store *store, jt_record_words *words, const jt_glance *old,
                        const jt_blob_plan *plan, const jt_run *runs) {
  jt_blob blob[JT_BLOBS];
  memcpy(blob, old->blob, sizeof blob);
  for (uint32_t left = plan->texts; left != 0; left &= left - 1) {
    int i = __builtin_ctz(left);
    blob[i] = jt_blob_write(store, (runs++)->unit, plan->text[i]);
  }
  jt_words_set_blobs(words, blobs_after(old, plan), blob);
}

/* What the job held and does not hold any more: its old record, and the blobs that were
   replaced or cleared. */
static void give_old(jt_store *store, uint32_t unit, const jt_glance *old,
                     const jt_blob_plan *plan) {
  jt_heap_give(store, unit, old->units);
  for (uint32_t left = old->blobs & plan->changes; left != 0; left &= left - 1) {
    const jt_blob *blob = &old->blob[__builtin_ctz(left)];
    jt_heap_give(store, blob->unit, jt_units_for(blob->length));
  }
}

jt_code jt_replace(jt_store *store, jt_sight *job, const jt_glance *old,
                   const jt_blob_plan *plan) {
  jt_run runs[JT_RUNS];
  if (!blobs_fit(store, plan)) return JT_FULL;
  int count = plan_runs(&job->words, blobs_after(old, plan), plan, runs);
  uint64_t held = jt_status_finished(old->status) ? jt_glance_units(old) : 0;
  jt_code code = jt_room_take(store, runs, count, job->at, held);
  if (code != JT_OK) return code;
  if (plan->changes != 0) write_blobs(store, &job->words, old, plan, runs + 1);
  jt_publish(store, job->at, job->cell, runs[0].unit, &job->words, old);
  give_old(store, jt_cell_unit(job->cell), old, plan);
  return JT_OK;
}
