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

void jt_record_renew(const jt_sight *job, int64_t time, jt_record *record) {
  jt_record_decode(&job->words, record);
  record->updated_at = time > record->updated_at ? time : record->updated_at + 1;
}

static int64_t later(int64_t one, int64_t other) {
  return one > other ? one : other;
}

/* By the clock: updates that come faster than one a microsecond take updated_at ahead
   of it. In order also when the clock is set back. */
void jt_record_enter(jt_record *record, jt_status status, int64_t time) {
  if (status == JT_RUNNING && record->started_at == 0)
    record->started_at = later(time, record->created_at);
  if (jt_status_finished(status) && record->finished_at == 0)
    record->finished_at = later(time, later(record->started_at, record->created_at));
  if (status == JT_COMPLETED && record->status != JT_COMPLETED) record->progress = 1;
  record->status = status;
  if (jt_status_finished(status)) record->owner = 0;
}

static bool blobs_fit(const jt_store *store, const jt_blob_plan *plan) {
  uint64_t heap = jt_heap_units(store) * JT_UNIT;
  for (uint32_t left = plan->texts; left != 0; left &= left - 1)
    if (plan->text[__builtin_ctz(left)].length > heap) return false;
  return true;
}

/* The runs to reserve: first the record's, then one for each new blob. */
static int plan_runs(jt_record *record, const jt_blob_plan *plan, jt_run runs[JT_RUNS]) {
  int count = 1;
  for (uint32_t left = plan->texts; left != 0; left &= left - 1)
    runs[count++] = (jt_run){ 0, jt_units_for(plan->text[__builtin_ctz(left)].length) };
  record->blobs = (record->blobs & ~plan->changes) | plan->texts;
  jt_record_measure(record);
  runs[0] = (jt_run){ 0, record->units };
  return count;
}

JT_ASIDE
static void write_blobs(jt_store *store, jt_record *record, const jt_blob_plan *plan,
                        const jt_run *runs) {
  for (uint32_t left = plan->texts; left != 0; left &= left - 1) {
    int i = __builtin_ctz(left);
    record->blob[i] = jt_blob_write(store, (runs++)->unit, plan->text[i]);
  }
}

/* What the old record held and the new one does not: its own run, and the
   blobs that were replaced or cleared. */
static void give_old(jt_store *store, uint32_t unit, const jt_record *old,
                     const jt_blob_plan *plan) {
  jt_heap_give(store, unit, old->units);
  for (uint32_t left = old->blobs & plan->changes; left != 0; left &= left - 1) {
    const jt_blob *blob = &old->blob[__builtin_ctz(left)];
    jt_heap_give(store, blob->unit, jt_units_for(blob->length));
  }
}

jt_code jt_replace(jt_store *store, const jt_sight *job, jt_record *record,
                   const jt_blob_plan *plan) {
  jt_run runs[JT_RUNS];
  jt_record old;
  if (!blobs_fit(store, plan)) return JT_FULL;
  jt_record_decode(&job->words, &old);
  int count = plan_runs(record, plan, runs);
  uint64_t held = jt_status_finished(old.status) ? jt_record_all_units(&old) : 0;
  jt_code code = jt_room_take(store, runs, count, job->at, held);
  if (code != JT_OK) return code;
  if (plan->texts != 0) write_blobs(store, record, plan, runs + 1);
  record->version = jt_next_version(store);
  jt_publish(store, job->at, job->cell, runs[0].unit, record, &old);
  give_old(store, jt_cell_unit(job->cell), &old, plan);
  return JT_OK;
}
