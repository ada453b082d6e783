/*
** write.c - the changing calls: create, update, delete, clear.
**
** Each takes the lock, builds the job's new record beside the old one, reserves
** all the units it needs (making room if it must), fills them, and publishes.
** Until then nothing refers to what it wrote, so giving up costs nothing.
*/
#include "cells.h"
#include "evict.h"
#include "heap.h"
#include "lock.h"
#include "notify.h"
#include "publish.h"
#include "read.h"

static const char first_step[] = "Initializing";

/* --------------------------------------------------------------- reserving */

static void give_runs(jt_store *store, const jt_run *runs, int count) {
  for (int i = 0; i < count; i++) jt_heap_give(store, runs[i].unit, runs[i].units);
}

/* The longest run that has no place yet. */
static jt_run *longest_left(jt_run *runs, int count) {
  jt_run *longest = NULL;
  for (jt_run *run = runs; run < runs + count; run++)
    if (run->unit == 0 && (longest == NULL || run->units > longest->units)) longest = run;
  return longest;
}

/* Takes a place for each run, or for none: the longest first, so that a short
   one does not come to lie in the midst of the only place that it has. */
static bool take_runs(jt_store *store, jt_run *runs, int count) {
  for (int i = 0; i < count; i++) runs[i].unit = 0;
  for (jt_run *run; (run = longest_left(runs, count)) != NULL;) {
    run->unit = jt_heap_take(store, run->units);
    if (run->unit != 0) continue;
    for (int i = 0; i < count; i++)
      if (runs[i].unit != 0) give_runs(store, &runs[i], 1);
    return false;
  }
  return true;
}

static bool has_finished(const jt_store *store) {
  const jt_header *header = store->header;
  return (jt_word_load(&header->by_status[JT_COMPLETED]) |
          jt_word_load(&header->by_status[JT_FAILED])) != 0;
}

/* Whether it could fit if every finished job went that may: else none has to
   go. 'held': units of the job in hand that are not counted as pinned. */
static bool could_fit(const jt_store *store, const jt_run *runs, int count,
                      uint64_t held) {
  uint64_t wanted = jt_word_load(&store->header->units_pinned) + held;
  for (int i = 0; i < count; i++) wanted += runs[i].units;
  return wanted <= jt_heap_units(store);
}

/* A small record alone fits wherever any job was. Longer runs may not, however
   many jobs go, if those that stay lie in between: then none is to go. */
static bool could_be_freed(jt_store *store, jt_run *runs, int count, uint32_t keep) {
  if (count == 1 && runs[0].units <= JT_RECORD_LEAST_UNITS) return true;
  jt_evict_suppose(store, keep, true);
  bool fits = take_runs(store, runs, count);
  if (fits) give_runs(store, runs, count);
  jt_evict_suppose(store, keep, false);
  return fits;
}

/* Takes the runs, making room in ever larger shares until it is enough. Each
   pass removes a sixteenth of what the store holds or all that is left, so a
   few end it. 'keep': see jt_evict. */
static jt_code reserve(jt_store *store, jt_run *runs, int count, uint32_t keep,
                       uint64_t held) {
  if (take_runs(store, runs, count)) return JT_OK;
  if (!has_finished(store) || !could_fit(store, runs, count, held) ||
      !could_be_freed(store, runs, count, keep))
    return JT_FULL;
  for (uint64_t share = 16; has_finished(store); share = share > 1 ? share / 2 : 1) {
    if (jt_evict(store, keep, share) == 0) break;
    if (take_runs(store, runs, count)) return JT_OK;
  }
  return JT_FULL;
}

/* ---------------------------------------------------------------- creating */

static jt_record first_record(jt_text id) {
  int64_t now = jt_now();
  jt_record record = { .created_at = now, .updated_at = now,
                       .status = JT_PENDING, .id = id,
                       .step = { first_step, sizeof first_step - 1 } };
  jt_record_measure(&record);
  return record;
}

static bool index_is_full(const jt_store *store) {
  uint64_t jobs = 0;
  for (int i = 0; i < JT_STATUSES; i++)
    jobs += jt_word_load(&store->header->by_status[i]);
  return jobs >= store->geometry.max_jobs;
}

/* A cell for a new job, if need be a finished one's. */
static uint32_t vacant(jt_store *store, uint64_t hash) {
  if (index_is_full(store) &&
      (!has_finished(store) || jt_evict(store, JT_NO_CELL, 16) == 0))
    return JT_NO_CELL;
  return jt_cells_vacant(store, hash);
}

static jt_code create_locked(jt_store *store, jt_text id) {
  uint64_t hash = jt_hash(id.bytes, id.length);
  if (jt_cells_find(store, id, hash) != JT_NO_CELL) return JT_TAKEN;
  jt_record record = first_record(id);
  jt_run run = { 0, record.units };
  jt_code code = reserve(store, &run, 1, JT_NO_CELL, 0);
  if (code != JT_OK) return code;
  uint32_t at = vacant(store, hash);
  if (at == JT_NO_CELL) {
    jt_heap_give(store, run.unit, run.units);
    return JT_FULL;
  }
  record.version = record.sequence = jt_next_version(store);
  jt_publish(store, at, hash, run.unit, &record, NULL);
  return JT_OK;
}

jt_code jt_create_numbered(jt_store *store, const char *type, size_t length,
                           uint32_t number) {
  char id[JT_ID_MAX + 1];
  size_t id_length = jt_id_format(type, length, number, id);
  jt_code code = jt_lock(store);
  if (code != JT_OK) return code;
  code = create_locked(store, (jt_text){ id, id_length });
  jt_unlock(store);
  jt_notify_wake(store);   /* even a store that is full may have evicted */
  return code;
}

jt_code jt_create(jt_store *store, const char *type, size_t length,
                  char id[JT_ID_MAX + 1]) {
  jt_code code;
  do {
    uint32_t number = jt_draw_number();
    jt_id_format(type, length, number, id);
    code = jt_create_numbered(store, type, length, number);
  } while (code == JT_TAKEN);
  return code;
}

/* ---------------------------------------------------------------- updating */

static bool transition_allowed(jt_status from, jt_status to) {
  if (from == to) return true;
  return !jt_status_finished(from) && to != JT_PENDING;
}

static void set_status(jt_record *record, jt_status status) {
  if (status == JT_RUNNING && record->started_at == 0)
    record->started_at = record->updated_at;
  if (jt_status_finished(status) && record->finished_at == 0)
    record->finished_at = record->updated_at;
  if (status == JT_COMPLETED && record->status != JT_COMPLETED) record->progress = 1;
  record->status = status;
}

/* The record's own fields; the blobs come later. */
static jt_code apply(jt_record *record, const jt_change *change) {
  int64_t now = jt_now();
  bool status = change->fields & JT_SET_STATUS;
  if (status && !transition_allowed(record->status, change->status))
    return JT_INVALID_TRANSITION;
  record->updated_at = now > record->updated_at ? now : record->updated_at + 1;
  if (status) set_status(record, change->status);
  if (change->fields & JT_SET_PROGRESS) record->progress = change->progress;
  if (change->fields & JT_SET_STEP) record->step = change->step;
  return JT_OK;
}

/* The new blob of each part, as a text: absent where it stays or is cleared. */
typedef struct blob_plan {
  bool changes[JT_BLOBS];
  jt_text text[JT_BLOBS];
} blob_plan;

static blob_plan plan_blobs(const jt_change *change) {
  static const unsigned bit[JT_BLOBS] = { JT_SET_RESULT, JT_SET_ERROR, JT_SET_META };
  const jt_text text[JT_BLOBS] = { change->result, change->error, change->meta };
  blob_plan plan = { { false }, { { NULL, 0 } } };
  for (int i = 0; i < JT_BLOBS; i++) {
    plan.changes[i] = change->fields & bit[i];
    if (plan.changes[i]) plan.text[i] = text[i];
  }
  return plan;
}

static bool blobs_fit(const jt_store *store, const blob_plan *plan) {
  uint64_t heap = jt_heap_units(store) * JT_UNIT;
  return plan->text[0].length <= heap && plan->text[1].length <= heap &&
         plan->text[2].length <= heap;
}

/* The runs to reserve: first the record's, then one for each new blob. */
static int plan_runs(jt_record *record, const blob_plan *plan, jt_run runs[JT_RUNS]) {
  int count = 1;
  for (int i = 0; i < JT_BLOBS; i++) {
    if (!plan->changes[i]) continue;
    bool present = plan->text[i].bytes != NULL;
    /* A place not known yet, so that the record's size is right. */
    record->blob[i] = (jt_blob){ .unit = present ? UINT32_MAX : 0 };
    if (present) runs[count++] = (jt_run){ 0, jt_units_for(plan->text[i].length) };
  }
  jt_record_measure(record);
  runs[0] = (jt_run){ 0, record->units };
  return count;
}

static void write_blobs(jt_store *store, jt_record *record, const blob_plan *plan,
                        const jt_run *runs) {
  for (int i = 0; i < JT_BLOBS; i++)
    if (plan->text[i].bytes != NULL)
      record->blob[i] = jt_blob_write(store, (runs++)->unit, plan->text[i]);
}

/* What the old record held and the new one does not: its own run, and the
   blobs that were replaced or cleared. */
static void give_old(jt_store *store, uint32_t unit, const jt_record *old,
                     const blob_plan *plan) {
  jt_record gone = *old;
  jt_run runs[JT_RUNS];
  for (int i = 0; i < JT_BLOBS; i++)
    if (!plan->changes[i]) gone.blob[i] = (jt_blob){ 0 };
  int count = jt_record_runs(&gone, unit, runs);
  give_runs(store, runs, count);
}

static jt_code change(jt_store *store, const jt_sight *job, const jt_change *wanted) {
  jt_record old, record;
  jt_run runs[JT_RUNS];
  jt_record_decode(&job->words, &old);
  record = old;
  jt_code code = apply(&record, wanted);
  if (code != JT_OK) return code;
  blob_plan plan = plan_blobs(wanted);
  if (!blobs_fit(store, &plan)) return JT_FULL;
  int count = plan_runs(&record, &plan, runs);
  uint64_t held = jt_status_finished(old.status) ? jt_record_all_units(&old) : 0;
  code = reserve(store, runs, count, job->at, held);
  if (code != JT_OK) return code;
  write_blobs(store, &record, &plan, runs + 1);
  record.version = jt_next_version(store);
  jt_publish(store, job->at, job->cell, runs[0].unit, &record, &old);
  give_old(store, jt_cell_unit(job->cell), &old, &plan);
  return JT_OK;
}

/* Finds a job that is there for its users. A reader's way serves a writer too:
   under the lock nothing changes meanwhile. */
static jt_code find_locked(jt_store *store, jt_text id, jt_sight *job) {
  jt_code code = jt_sight_find(store, id, job);
  return code == JT_OK && jt_expired(store, &job->words) ? JT_NOT_FOUND : code;
}

jt_code jt_update(jt_store *store, const char *id, size_t length,
                  const jt_change *wanted) {
  jt_sight job;
  jt_code code = jt_lock(store);
  if (code != JT_OK) return code;
  code = find_locked(store, (jt_text){ id, length }, &job);
  if (code == JT_OK) code = change(store, &job, wanted);
  jt_unlock(store);
  jt_notify_wake(store);
  return code;
}

/* ---------------------------------------------------------------- removing */

jt_code jt_delete(jt_store *store, const char *id, size_t length) {
  jt_sight job;
  jt_record record;
  jt_code code = jt_lock(store);
  if (code != JT_OK) return code;
  code = find_locked(store, (jt_text){ id, length }, &job);
  if (code == JT_OK) {
    jt_record_decode(&job.words, &record);
    jt_remove(store, job.at, jt_cell_unit(job.cell), &record);
  }
  jt_unlock(store);
  if (code == JT_OK) jt_notify_wake(store);
  return code;
}

static uint64_t clear_locked(jt_store *store) {
  jt_record record;
  uint64_t removed = 0;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    uint64_t cell = jt_word_load(&store->cells[at]);
    if (!jt_cell_is_job(cell) || !jt_record_glance(store, jt_cell_unit(cell), &record))
      continue;
    jt_remove(store, at, jt_cell_unit(cell), &record);
    removed++;
  }
  return removed;
}

jt_code jt_clear(jt_store *store, uint64_t *removed) {
  *removed = 0;
  jt_code code = jt_lock(store);
  if (code != JT_OK) return code;
  *removed = clear_locked(store);
  jt_unlock(store);
  if (*removed > 0) jt_notify_wake(store);
  return JT_OK;
}
