/*
** write.c - the changing calls: create, update, delete, clear.
*/
#include "write.h"

#include "cells.h"
#include "evict.h"
#include "heap.h"
#include "publish.h"
#include "replace.h"
#include "room.h"

static const char first_step[] = "Initializing";

/* ---------------------------------------------------------------- creating */

static bool index_is_full(const jt_store *store) {
  uint64_t jobs = 0;
  for (int i = 0; i < JT_STATUSES; i++)
    jobs += jt_word_load(&store->header->by_status[i]);
  return jobs >= store->geometry.max_jobs;
}

/* A cell for a new job, if need be a finished one's. */
static uint32_t vacant(jt_store *store, uint64_t hash) {
  if (index_is_full(store) &&
      (!jt_room_has_finished(store) || jt_evict(store, JT_NO_CELL, 16) == 0))
    return JT_NO_CELL;
  return jt_cells_vacant(store, hash);
}

static jt_code try_create(jt_store *store, void *context) {
  jt_text id = *(const jt_text *)context;
  jt_text step = { first_step, sizeof first_step - 1 };
  uint64_t hash = jt_hash(id.bytes, id.length);
  jt_record_words words;
  if (jt_cells_find(store, id, hash) != JT_NO_CELL) return JT_TAKEN;
  jt_words_begin(&words, id, step, jt_now());
  jt_run run = { 0, jt_words_units(&words, 0) };
  jt_code code = jt_room_take(store, &run, 1, JT_NO_CELL, 0);
  if (code != JT_OK) return code;
  uint32_t at = vacant(store, hash);
  if (at == JT_NO_CELL) {
    jt_heap_give(store, run.unit, run.units);
    return JT_FULL;
  }
  jt_publish(store, at, hash, run.unit, &words, NULL);
  return JT_OK;
}

jt_code jt_create_numbered(jt_store *store, const char *type, size_t length,
                           uint32_t number) {
  char id[JT_ID_MAX + 1];
  jt_text text = { id, jt_id_format(type, length, number, id) };
  return jt_write(store, try_create, &text);
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

/* The record's own fields; the blobs come later. */
static jt_code apply(jt_sight *job, const jt_change *change, int64_t time) {
  if (change->fields & JT_SET_STATUS) {
    if (!transition_allowed(jt_sight_status(job), change->status))
      return JT_INVALID_TRANSITION;
    jt_enter(&job->words, change->status, time);
  }
  if (change->fields & JT_SET_PROGRESS)
    jt_words_set_progress(&job->words, change->progress);
  if (change->fields & JT_SET_STEP) jt_words_set_step(&job->words, change->step);
  return JT_OK;
}

/* Most changes have none: one question instead of three. */
static void plan_blobs(const jt_change *change, jt_blob_plan *plan) {
  if (!(change->fields & (JT_SET_RESULT | JT_SET_ERROR | JT_SET_META))) return;
  if (change->fields & JT_SET_RESULT) jt_plan_blob(plan, JT_RESULT, change->result);
  if (change->fields & JT_SET_ERROR) jt_plan_blob(plan, JT_ERROR, change->error);
  if (change->fields & JT_SET_META) jt_plan_blob(plan, JT_META, change->meta);
}

JT_RARE
static jt_code write_off_and_find(jt_store *store, const jt_search *search,
                                  jt_sight *job) {
  return jt_write_off(store) ? jt_sight_find(store, search, job) : JT_OK;
}

jt_code jt_find_to_change(jt_store *store, const jt_search *search, jt_sight *job) {
  jt_code code = jt_sight_find(store, search, job);
  if (code == JT_OK && job->orphaned) code = write_off_and_find(store, search, job);
  return code == JT_OK && jt_expired(store, &job->words) ? JT_NOT_FOUND : code;
}

/* Of a report of progress the last tick will do: to be exact is a quarter of an update.
   When a job started and ended is exact. */
static int64_t time_for(const jt_change *change, const jt_sight *job) {
  bool enters = change->fields & JT_SET_STATUS &&
                change->status != jt_words_status(&job->words);
  return enters ? jt_now() : jt_last_tick();
}

typedef struct updating {
  jt_search search;
  const jt_change *wanted;
} updating;

JT_WAY
static jt_code try_update(jt_store *store, void *context) {
  const updating *want = context;
  jt_sight job;
  jt_glance old;
  jt_heap_prefetch_next(store);
  jt_code code = jt_find_to_change(store, &want->search, &job);
  if (code != JT_OK) return code;
  int64_t time = time_for(want->wanted, &job);
  jt_renew(&job, time, &old);
  code = apply(&job, want->wanted, time);
  if (code != JT_OK) return code;
  if (job.orphaned) return JT_FULL;
  jt_blob_plan plan = { 0 };
  plan_blobs(want->wanted, &plan);
  return jt_replace(store, &job, &old, &plan);
}

JT_HOT
jt_code jt_update(jt_store *store, const char *id, size_t length,
                  const jt_change *wanted) {
  updating want = { jt_search_for(id, length), wanted };
  jt_cells_prefetch(store, &want.search);
  return jt_write(store, try_update, &want);
}

/* ---------------------------------------------------------------- removing */

static jt_code try_delete(jt_store *store, void *context) {
  const jt_search *search = context;
  jt_sight job;
  jt_glance held;
  jt_code code = jt_find_to_change(store, search, &job);
  if (code != JT_OK) return code;
  jt_words_glance(&job.words, &held);
  jt_remove(store, job.at, jt_cell_unit(job.cell), &held);
  return JT_OK;
}

jt_code jt_delete(jt_store *store, const char *id, size_t length) {
  jt_search search = jt_search_for(id, length);
  return jt_write(store, try_delete, &search);
}

static uint64_t clear_locked(jt_store *store) {
  jt_glance held;
  uint64_t removed = 0;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    uint64_t cell = jt_word_load(&store->cells[at]);
    if (!jt_cell_is_job(cell) || !jt_record_glance(store, jt_cell_unit(cell), &held))
      continue;
    jt_remove(store, at, jt_cell_unit(cell), &held);
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
