/*
** summarize.c - what kinds of jobs there are, and how they fare: one scan of the cells
** without the lock, and a sorted row of types, which has a fixed number of places.
*/
#include "read.h"

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
static uint64_t duration_of(const jt_record_words *words, int64_t finished_at) {
  int64_t begun = jt_words_time(words, JT_RECORD_STARTED_AT);
  if (begun == 0) begun = jt_words_time(words, JT_RECORD_CREATED_AT);
  return finished_at > begun ? (uint64_t)(finished_at - begun) : 0;
}

static size_t class_of(uint64_t duration) {
  size_t class = 0;
  while (class < JT_BOUNDS && duration > (uint64_t)jt_bounds[class]) class++;
  return class;
}

/* What is orphaned was finished when it was last seen to be alive: see store.h. */
static void count_finished(jt_type_summary *sum, const jt_sight *sight) {
  int64_t finished_at = jt_words_time(&sight->words, sight->orphaned
                                        ? JT_RECORD_UPDATED_AT : JT_RECORD_FINISHED_AT);
  uint64_t duration = duration_of(&sight->words, finished_at);
  sum->took[class_of(duration)]++;
  sum->duration += duration < UINT64_MAX - sum->duration ? duration
                                                         : UINT64_MAX - sum->duration;
  if (jt_sight_status(sight) == JT_COMPLETED && finished_at > sum->last_success)
    sum->last_success = finished_at;
}

static void count(void *context, const jt_sight *sight) {
  jt_summary *summary = context;
  jt_text type = jt_words_id(&sight->words);
  type.length -= 9;
  jt_type_summary *sum = place_of(summary, type);
  jt_status status = jt_sight_status(sight);
  sum->by_status[status]++;
  if (jt_status_finished(status)) count_finished(sum, sight);
}

jt_code jt_summarize(jt_store *store, jt_summary *summary) {
  *summary = (jt_summary){ 0 };
  return jt_sight_each(store, count, summary);
}
