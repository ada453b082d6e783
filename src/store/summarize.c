/*
** summarize.c - what kinds of jobs there are, and how they fare: one scan of the cells
** without the lock, and a sorted row of types, which has a fixed number of places.
*/
#include "bury.h"
#include "cells.h"
#include "evict.h"
#include "read.h"

#define BATCH 64u                 /* cells looked through at a time */

#define SECONDS(n) ((int64_t)(n) * 1000000)

const int64_t jt_bounds[JT_BOUNDS] = {
  SECONDS(1) / 10, SECONDS(1) / 2, SECONDS(1), SECONDS(5), SECONDS(10), SECONDS(30),
  SECONDS(60), SECONDS(2 * 60), SECONDS(5 * 60), SECONDS(10 * 60), SECONDS(30 * 60),
  SECONDS(60 * 60), SECONDS(2 * 60 * 60), SECONDS(6 * 60 * 60)
};

/*
** The place of a type, made if there is none yet. The others': all are taken, or it
** is no type (in a file that nobody has verified, an id may be anything). Compared
** with the zeros behind it: no type has a NUL.
*/
static jt_type_summary *place_of(jt_summary *summary, jt_text type) {
  jt_type_summary *types = summary->types;
  char key[sizeof types->type] = { 0 };
  size_t low = 0, high = summary->count;
  memcpy(key, type.bytes, type.length);
  while (low < high) {
    size_t middle = (low + high) / 2;
    int order = memcmp(key, types[middle].type, sizeof key);
    if (order == 0) return &types[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  if (summary->count == JT_SUMMARY_TYPES || !jt_type_valid(type.bytes, type.length))
    return &summary->others;
  memmove(&types[low + 1], &types[low], (summary->count - low) * sizeof *types);
  types[low] = (jt_type_summary){ 0 };
  memcpy(types[low].type, key, sizeof key);
  summary->count++;
  return &types[low];
}

/* A clock that was set back, or a lie, does not make it negative. */
static uint64_t duration_of(const jt_record *record, int64_t finished_at) {
  int64_t begun = record->started_at != 0 ? record->started_at : record->created_at;
  return finished_at > begun ? (uint64_t)(finished_at - begun) : 0;
}

static size_t class_of(uint64_t duration) {
  size_t class = 0;
  while (class < JT_BOUNDS && duration > (uint64_t)jt_bounds[class]) class++;
  return class;
}

/* What is orphaned was finished when it was last seen to be alive: see store.h. */
static void count_finished(jt_type_summary *sum, const jt_sight *sight) {
  jt_record record;
  jt_record_decode(&sight->words, &record);
  int64_t finished_at = sight->orphaned ? record.updated_at : record.finished_at;
  uint64_t duration = duration_of(&record, finished_at);
  sum->took[class_of(duration)]++;
  sum->duration += duration < UINT64_MAX - sum->duration ? duration
                                                         : UINT64_MAX - sum->duration;
  if (jt_sight_status(sight) == JT_COMPLETED && finished_at > sum->last_success)
    sum->last_success = finished_at;
}

static void count(jt_summary *summary, const jt_sight *sight) {
  jt_text type = jt_words_id(&sight->words);
  type.length -= 9;
  jt_type_summary *sum = place_of(summary, type);
  jt_status status = jt_sight_status(sight);
  sum->by_status[status]++;
  if (jt_status_finished(status)) count_finished(sum, sight);
}

/*
** The cells from 'from' on that hold a job now, of BATCH at most. Their records lie in
** no order: asked for in a row, with nothing in between, many are fetched at a time.
*/
static uint32_t gather(const jt_store *store, uint32_t from, uint32_t jobs[BATCH]) {
  uint32_t left = store->geometry.cells - from, count = 0;
  uint32_t end = from + (left < BATCH ? left : BATCH);
  uint64_t cells[BATCH];
  for (uint32_t at = from; at < end; at++) {
    cells[count] = jt_cell_load(store, at);
    jobs[count] = at;
    count += jt_cell_is_job(cells[count]);
  }
  for (uint32_t i = 0; i < count; i++)
    jt_record_prefetch(store, jt_cell_unit(cells[i]), 2);
  return count;
}

static jt_code count_batch(jt_store *store, uint32_t from, jt_summary *summary) {
  uint32_t jobs[BATCH], there = gather(store, from, jobs);
  jt_sight sight;
  for (uint32_t i = 0; i < there; i++) {
    jt_code code = jt_sight_read(store, jobs[i], &sight);
    if (code == JT_BUSY) return code;
    if (code == JT_OK && !jt_expired(store, &sight.words)) count(summary, &sight);
  }
  return JT_OK;
}

jt_code jt_summarize(jt_store *store, jt_summary *summary) {
  jt_code code = JT_OK;
  *summary = (jt_summary){ 0 };
  jt_settle(store);
  for (uint32_t from = 0; from < store->geometry.cells && code == JT_OK; from += BATCH)
    code = count_batch(store, from, summary);
  return jt_seen(store, code);
}
