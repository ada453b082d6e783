/*
** exercise.c - every call once or more; see exercise.h.
*/
#include "exercise.h"

#include <stdlib.h>
#include <string.h>

enum { LISTED = 64, BUFFER = 64 * 1024 };

static void read_listed(jt_store *store, const jt_key *key, const jt_filter *filter) {
  static _Alignas(jt_job) unsigned char buffer[BUFFER];
  jt_job *job = (jt_job *)(void *)buffer;
  size_t needed = 0;
  if (jt_get_listed(store, key, filter, job, sizeof buffer, &needed) != JT_OK) return;
  CHECK(needed <= sizeof buffer);
  for (int part = 0; part < JT_PARTS; part++) {
    jt_text text = jt_job_part(job, (jt_part)part);
    if (text.bytes == NULL) continue;
    size_t room = part < JT_RESULT ? text.length : text.length + 1;   /* a NUL */
    CHECK((size_t)(text.bytes - (const char *)job) + room <= needed);
    if (part >= JT_RESULT) CHECK_INT(text.bytes[text.length], 0);
  }
  const uint64_t after = job->version;
  jt_text id = jt_job_part(job, JT_ID);
  jt_wait(store, id.bytes, id.length, NULL, 0);
  jt_wait(store, id.bytes, id.length, &after, 0);
  if (jt_store_is_readonly(store)) return;
  jt_update(store, id.bytes, id.length,
            &(jt_change){ .fields = JT_SET_STEP, .step = text_of("exercised") });
}

void exercise_reading(jt_store *store) {
  jt_key keys[LISTED];
  size_t count = 0;
  jt_filter all = { -1, { NULL, 0 }, 0 }, running = { JT_RUNNING, text_of("chapter"), 0 };
  jt_stats stats;
  jt_store_stats(store, &stats);
  jt_list(store, &running, keys, LISTED, &count);
  jt_list(store, &all, keys, LISTED, &count);
  CHECK(count <= LISTED);
  for (size_t i = 0; i < count; i++) read_listed(store, &keys[i], &all);
  uint64_t upto = 0, version = 0;
  uint32_t dead = 0;
  static jt_summary summary;
  jt_summarize(store, &summary);
  CHECK(summary.count <= JT_SUMMARY_TYPES);
  for (size_t i = 0; i < summary.count; i++)
    CHECK(jt_type_valid(summary.types[i].type, strlen(summary.types[i].type)));
  jt_changes(store, version, keys, LISTED, &count, &upto);
  CHECK(count <= LISTED);
  for (size_t i = 0; i < count; i++) read_listed(store, &keys[i], &all);
  jt_store_pulse(store, &version, &dead);
  CHECK(dead <= JT_OWNERS);
  jt_changes(store, version / 2, keys, LISTED, &count, &upto);
  CHECK(count <= LISTED);
  job_id none = id_of("none", 1);
  jt_job *job;
  CHECK(get(store, &none, &job) != JT_OK);
}

static void try_new_job(jt_store *store, uint32_t number) {
  job_id id = id_of("exercise", number);
  static const char text[3000];
  jt_change change = { .fields = JT_SET_RESULT | JT_SET_STATUS, .status = JT_COMPLETED,
                       .result = { text, sizeof text } };
  if (jt_create_numbered(store, "exercise", 8, number) != JT_OK) return;
  if (update(store, &id, &change) == JT_FULL)
    set_status(store, &id, number % 2 ? JT_FAILED : JT_RUNNING);
}

/* Claims and asks for an end, and leaves nothing that it owns. */
static void try_to_own(jt_store *store, uint32_t number) {
  job_id id = id_of("exercise", number);
  claim_job(store, &id);
  cancel_job(store, &id, "exercised");
  claim_job(store, &id);
  erase(store, &id);
}

void exercise(jt_store *store) {
  exercise_reading(store);
  uint64_t most = store->geometry.max_jobs;
  uint32_t jobs = most < 100 ? (uint32_t)most : 100;
  for (uint32_t i = 0; i < jobs + 2; i++) try_new_job(store, i);
  for (uint32_t i = 0; i < jobs + 2; i += 2) {
    job_id id = id_of("exercise", i);
    erase(store, &id);
    jt_create_numbered(store, "exercise", 8, i);
    try_to_own(store, i);
  }
  exercise_reading(store);
}
