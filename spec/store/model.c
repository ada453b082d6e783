/*
** model.c - what a store must do, written as plainly as possible.
*/
#include "model.h"

#include <stdlib.h>

#include "raw.h"
#include "store/cells.h"
#include "store/evict.h"
#include "store/heap.h"

model model_make(jt_store *store, uint32_t capacity) {
  model m = { .store = store, .capacity = capacity };
  m.jobs = check_memory(capacity * sizeof *m.jobs);
  return m;
}

void model_free(model *m) {
  free(m->jobs);
}

static bool same_id(const job_id *a, const job_id *b) {
  return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

static model_job *find(const model *m, const job_id *id) {
  for (uint32_t i = 0; i < m->capacity; i++)
    if (m->jobs[i].there && same_id(&m->jobs[i].id, id)) return &m->jobs[i];
  return NULL;
}

static model_job *vacant(const model *m) {
  for (uint32_t i = 0; i < m->capacity; i++)
    if (!m->jobs[i].there) return &m->jobs[i];
  abort();
}

model_job *model_any(const model *m) {
  if (m->count == 0) return NULL;
  uint32_t i = (uint32_t)check_below(m->capacity);
  while (!m->jobs[i].there) i = (i + 1) % m->capacity;
  return &m->jobs[i];
}

jt_text model_blob_text(const model_blob *blob) {
  if (!blob->there) return (jt_text){ NULL, 0 };
  jt_text text = text_filled(blob->length, 0);
  char *bytes = (char *)(uintptr_t)text.bytes;
  uint64_t state = blob->seed;
  for (size_t i = 0; i < blob->length; i += 8) {
    uint64_t word = check_random_from(&state);
    memcpy(bytes + i, &word, blob->length - i < 8 ? blob->length - i : 8);
  }
  return text;
}

/* --------------------------------------------------------------- comparing */

static void compare_blob(const model_blob *blob, jt_text actual) {
  jt_text expected = model_blob_text(blob);
  CHECK_TEXT(actual, expected);
  free((void *)(uintptr_t)expected.bytes);
}

static void compare_job(const model_job *job, const jt_job *actual) {
  CHECK_TEXT(jt_job_part(actual, JT_ID), ((jt_text){ job->id.text, job->id.length }));
  CHECK_TEXT(jt_job_type(actual), ((jt_text){ job->id.text, job->id.length - 9 }));
  CHECK_TEXT(jt_job_part(actual, JT_STEP), ((jt_text){ job->step, job->step_length }));
  CHECK_INT(actual->version, job->version);
  CHECK_INT(actual->sequence, job->sequence);
  CHECK_INT(actual->status, job->status);
  CHECK_INT(actual->created_at, job->created_at);
  CHECK_INT(actual->updated_at, job->updated_at);
  CHECK_INT(actual->started_at, job->started_at);
  CHECK_INT(actual->finished_at, job->finished_at);
  CHECK(actual->progress >= job->progress && actual->progress <= job->progress);
  for (int i = 0; i < MODEL_BLOBS; i++)
    compare_blob(&job->blob[i], jt_job_part(actual, (jt_part)(JT_RESULT + i)));
  for (int i = JT_RESULT; i < JT_PARTS; i++) {
    jt_text text = jt_job_part(actual, (jt_part)i);
    if (text.bytes != NULL) CHECK_INT(text.bytes[text.length], 0);
  }
}

static void compare(const model_job *job, jt_store *store) {
  jt_job *actual;
  if (CHECK_CODE(get(store, &job->id, &actual), JT_OK)) compare_job(job, actual);
  free(actual);
}

static void compare_stats(const model *m, jt_store *store) {
  jt_stats stats;
  uint64_t by_status[JT_STATUSES] = { 0 };
  jt_store_stats(store, &stats);
  for (uint32_t i = 0; i < m->capacity; i++)
    if (m->jobs[i].there) by_status[m->jobs[i].status]++;
  for (int i = 0; i < JT_STATUSES; i++) CHECK_INT(stats.by_status[i], by_status[i]);
  CHECK_INT(stats.jobs, m->count);
  CHECK_INT(stats.evictions, m->evictions);
  CHECK_INT(stats.version, m->version);
  CHECK_INT(stats.bytes_used + stats.bytes_available, jt_heap_units(store) * JT_UNIT);
  CHECK_INT(stats.damaged, 0);
}

void model_compare(const model *m, jt_store *store) {
  for (uint32_t i = 0; i < m->capacity; i++)
    if (m->jobs[i].there) compare(&m->jobs[i], store);
  compare_stats(m, store);
}

static int newest_first(const void *left, const void *right) {
  const model_job *a = *(model_job *const *)left, *b = *(model_job *const *)right;
  return a->sequence < b->sequence ? 1 : a->sequence > b->sequence ? -1 : 0;
}

static bool is_listed(const model_job *job, int status, const char *type) {
  return job->there && (status < 0 || (int)job->status == status) &&
         (type == NULL || (job->id.length - 9 == strlen(type) &&
                           memcmp(job->id.text, type, strlen(type)) == 0));
}

static void compare_listed(jt_store *store, const jt_key *key, const jt_filter *filter,
                           const model_job *job) {
  size_t needed = 0;
  jt_job nothing, *actual;
  CHECK_INT(key->sequence, job->sequence);
  CHECK_CODE(jt_get_listed(store, key, filter, &nothing, 0, &needed), JT_TOO_SMALL);
  actual = check_memory(needed);
  if (CHECK_CODE(jt_get_listed(store, key, filter, actual, needed, &needed), JT_OK))
    compare_job(job, actual);
  free(actual);
}

void model_compare_list(const model *m, jt_store *store, int status, const char *type,
                        size_t limit) {
  jt_filter filter = { status, type != NULL ? text_of(type) : (jt_text){ NULL, 0 }, 0 };
  model_job **expected = check_memory(m->capacity * sizeof *expected);
  jt_key *keys = check_memory((limit + 1) * sizeof *keys);
  size_t count = 0, listed = 0;
  for (uint32_t i = 0; i < m->capacity; i++)
    if (is_listed(&m->jobs[i], status, type)) expected[count++] = &m->jobs[i];
  qsort(expected, count, sizeof(model_job *), newest_first);
  if (count > limit) count = limit;
  CHECK_CODE(jt_list(store, &filter, keys, limit, &listed), JT_OK);
  if (CHECK_INT(listed, count))
    for (size_t i = 0; i < count; i++)
      compare_listed(store, &keys[i], &filter, expected[i]);
  free(expected);
  free(keys);
}

/* --------------------------------------------------------------- making room */

typedef struct request {
  uint32_t units[1 + MODEL_BLOBS];   /* the runs, as the store asks for them */
  int runs;
  bool new_job;
  const model_job *keep;
} request;

static uint32_t units_of(uint64_t bytes) {
  return bytes == 0 ? 1 : (uint32_t)((bytes + 63) / 64);
}

static uint32_t record_units(const model_job *job) {
  uint64_t words = 9;
  for (int i = 0; i < MODEL_BLOBS; i++) words += job->blob[i].there ? 2 : 0;
  words += (job->id.length + 7) / 8 + (job->step_length + 7) / 8;
  return units_of(words * 8);
}

/* A copy of the bitmap, a byte for each unit. */
static unsigned char *map_of(const jt_store *store) {
  uint64_t units = jt_heap_units(store);
  unsigned char *taken = check_memory(units);
  for (uint64_t i = 0; i < units; i++)
    taken[i] = (unsigned char)(store->bitmap[i / 64] >> i % 64 & 1);
  return taken;
}

/* Whether the first 'runs' of them fit into that map, one after the other, each
   at the first place. Frees the map. */
static bool fit_into(unsigned char *taken, uint64_t units, const request *wanted,
                     int runs) {
  bool fitting = true;
  for (int run = 0; run < runs && fitting; run++) {
    uint64_t length = 0, i = 0;
    for (; i < units && length < wanted->units[run]; i++)
      length = taken[i] ? 0 : length + 1;
    fitting = length == wanted->units[run];
    if (fitting) memset(taken + i - length, 1, length);
  }
  free(taken);
  return fitting;
}

static bool fits(const jt_store *store, const request *wanted) {
  return fit_into(map_of(store), jt_heap_units(store), wanted, wanted->runs);
}

/* The map without the units of a job. */
static void give_up(const jt_store *store, unsigned char *taken, const model_job *job) {
  jt_text id = { job->id.text, job->id.length };
  uint32_t at = jt_cells_find(store, id, jt_hash(id.bytes, id.length));
  uint32_t unit = jt_cell_unit(jt_word_load(&store->cells[at]));
  raw_record record = raw_read(store, unit);
  memset(taken + (unit - store->geometry.first_unit), 0, raw_units(&record));
  for (int i = 0; i < RAW_BLOBS; i++) {
    const raw_blob *blob = &record.blob[i];
    if (blob->unit != 0)
      memset(taken + (blob->unit - store->geometry.first_unit), 0,
             units_of(blob->length));
  }
}

static bool may_go(const model_job *job, const request *wanted) {
  return job->there && job != wanted->keep && jt_status_finished(job->status);
}

/* Whether there are units enough for all, wherever. */
static bool are_enough(const unsigned char *taken, uint64_t units,
                       const request *wanted) {
  uint64_t sum = 0;
  for (int i = 0; i < wanted->runs; i++) sum += wanted->units[i];
  for (uint64_t i = 0; i < units && sum > 0; i++) sum -= !taken[i];
  return sum == 0;
}

/* Whether the first 'runs' would fit if every job went that may, and there were
   units enough for the others. */
static bool would_fit(const model *m, const request *wanted, int runs) {
  uint64_t stay = 0, units = jt_heap_units(m->store);
  unsigned char *taken = map_of(m->store);
  for (uint32_t i = 0; i < m->capacity; i++) {
    if (may_go(&m->jobs[i], wanted)) give_up(m->store, taken, &m->jobs[i]);
    else stay += m->jobs[i].there;
  }
  bool room = !wanted->new_job || stay < m->store->geometry.max_jobs;
  room = room && are_enough(taken, units, wanted);
  return fit_into(taken, units, wanted, runs) && room;
}

static bool is_gone(const model *m, const model_job *job) {
  jt_job *found;
  jt_code code = get(m->store, &job->id, &found);
  bool gone = code == JT_NOT_FOUND || found->sequence != job->sequence;
  free(found);
  return gone;
}

/* After a change: the store's version has grown, and is that of the change. */
static void grown(model *m, uint64_t changes) {
  uint64_t version = jt_store_version(m->store);
  CHECK(version >= m->version + changes);
  m->version = version;
}

/* Takes the evicted jobs out of the model; checks that they could go. */
static uint64_t drop_evicted(model *m, const model_job *keep) {
  int64_t youngest_gone = 0, oldest_left = INT64_MAX;
  uint64_t gone = 0;
  for (uint32_t i = 0; i < m->capacity; i++) {
    model_job *job = &m->jobs[i];
    if (!job->there || !jt_status_finished(job->status)) continue;
    if (job == keep || !is_gone(m, job)) {
      if (job != keep && job->finished_at < oldest_left) oldest_left = job->finished_at;
      continue;
    }
    if (job->finished_at > youngest_gone) youngest_gone = job->finished_at;
    job->there = false;
    m->count--;
    gone++;
  }
  CHECK(gone == 0 || youngest_gone <= oldest_left);
  m->evictions += gone;
  return gone;
}

typedef struct before {
  bool fits;                      /* as it is */
  bool would_fit;                 /* with all gone that may go */
  bool could_begin;               /* its longest run would, and units are enough */
  uint64_t evictions;
} before;

static before look_before(const model *m, request *wanted) {
  bool room = !wanted->new_job || m->count < m->store->geometry.max_jobs;
  for (int i = 1; i < wanted->runs; i++)      /* the longest first */
    for (int k = i; k > 0 && wanted->units[k] > wanted->units[k - 1]; k--) {
      uint32_t shorter = wanted->units[k - 1];
      wanted->units[k - 1] = wanted->units[k];
      wanted->units[k] = shorter;
    }
  return (before){ room && fits(m->store, wanted), would_fit(m, wanted, wanted->runs),
                   would_fit(m, wanted, 1),
                   jt_word_load(&m->store->header->evictions) };
}

/* Of several runs, the store may place one so that the next has no place, where
   first fit would have found one for each: counted, not wrong. */
static void must_not_fit(model *m, const request *wanted, bool fitting,
                         const char *why) {
  if (!fitting) return;
  if (wanted->runs > 1) m->misplaced++;
  else CHECK_NOT_HERE(why);
}

/* Whether the outcome was the right one; takes out what was evicted. */
static void judge(model *m, const request *wanted, const before *was, jt_code code) {
  uint64_t counted = jt_word_load(&m->store->header->evictions) - was->evictions;
  if (counted > 0) CHECK_INT(drop_evicted(m, wanted->keep), counted);
  grown(m, counted + (code == JT_OK ? 1 : 0));
  if (counted > 0) must_not_fit(m, wanted, was->fits, "evicted, though there was room");
  if (code == JT_OK) return;
  CHECK_CODE(code, JT_FULL);
  m->full++;
  must_not_fit(m, wanted, was->would_fit, "full, though finished jobs could make room");
  if (was->could_begin) return;
  if (!CHECK_INT(counted, 0))
    check_say("for a request that can never fit: %s, %d runs, the longest of %u units",
              wanted->new_job ? "a new job" : "an update", wanted->runs,
              wanted->units[0]);
}

/* ------------------------------------------------------------------ calls */

void model_create(model *m, const char *type, uint32_t number) {
  static const char step[] = "Initializing";
  model_job job = { .there = true, .id = id_of(type, number),
                    .step_length = sizeof step - 1 };
  memcpy(job.step, step, sizeof step - 1);
  if (find(m, &job.id) != NULL) {
    CHECK_CODE(jt_create_numbered(m->store, type, strlen(type), number), JT_TAKEN);
    return;
  }
  request wanted = { { record_units(&job) }, 1, true, NULL };
  before was = look_before(m, &wanted);
  int64_t earliest = jt_now();
  jt_code code = jt_create_numbered(m->store, type, strlen(type), number);
  judge(m, &wanted, &was, code);
  if (code != JT_OK) return;
  jt_job *made;
  job.version = job.sequence = m->version;
  if (!CHECK_CODE(get(m->store, &job.id, &made), JT_OK)) return;
  CHECK(made->created_at >= earliest && made->created_at <= jt_now());
  job.created_at = job.updated_at = made->created_at;
  compare_job(&job, made);
  free(made);
  *vacant(m) = job;
  m->count++;
}

static bool is_allowed(jt_status from, jt_status to) {
  if (from == to) return true;
  if (from == JT_PENDING) return true;
  return from == JT_RUNNING && (to == JT_COMPLETED || to == JT_FAILED);
}

static void apply_status(model_job *job, jt_status status, int64_t now) {
  bool was = job->status == JT_COMPLETED;
  job->status = status;
  if (status == JT_RUNNING && job->started_at == 0) job->started_at = now;
  if (jt_status_finished(status) && job->finished_at == 0) job->finished_at = now;
  if (status == JT_COMPLETED && !was) job->progress = 1;
}

static model_job applied(const model_job *job, const jt_change *change,
                         const model_blob blobs[MODEL_BLOBS], int64_t now) {
  static const unsigned bits[MODEL_BLOBS] = { JT_SET_RESULT, JT_SET_ERROR, JT_SET_META };
  model_job after = *job;
  after.updated_at = now;
  if (change->fields & JT_SET_STATUS) apply_status(&after, change->status, now);
  if (change->fields & JT_SET_PROGRESS) after.progress = change->progress;
  if (change->fields & JT_SET_STEP) {
    after.step_length = change->step.length;
    if (after.step_length > 0) memcpy(after.step, change->step.bytes, after.step_length);
  }
  for (int i = 0; i < MODEL_BLOBS; i++)
    if (change->fields & bits[i]) after.blob[i] = blobs[i];
  return after;
}

static request request_of(const model_job *job, const model_job *after,
                          const jt_change *change) {
  static const unsigned bits[MODEL_BLOBS] = { JT_SET_RESULT, JT_SET_ERROR, JT_SET_META };
  request wanted = { { record_units(after) }, 1, false, job };
  for (int i = 0; i < MODEL_BLOBS; i++)
    if (change->fields & bits[i] && after->blob[i].there)
      wanted.units[wanted.runs++] = units_of(after->blob[i].length);
  return wanted;
}

/* A time that was not there before: by the clock, in the course of the call. */
static void take_time(int64_t old, int64_t now, int64_t earliest, int64_t *mine) {
  if (old == 0 && *mine != 0) {
    CHECK(now >= earliest && now <= *mine && now <= jt_now());
    *mine = now;
  }
}

/* The update that is allowed. */
static void change_job(model *m, model_job *job, const jt_change *change,
                       const model_blob blobs[MODEL_BLOBS]) {
  model_job after = applied(job, change, blobs, 0);
  request wanted = request_of(job, &after, change);
  before was = look_before(m, &wanted);
  bool enters = change->fields & JT_SET_STATUS && change->status != job->status;
  int64_t earliest = enters ? jt_now() : jt_last_tick();
  jt_code code = update(m->store, &job->id, change);
  judge(m, &wanted, &was, code);
  if (code == JT_OK) {
    jt_job *changed;
    if (!CHECK_CODE(get(m->store, &job->id, &changed), JT_OK)) return;
    CHECK(changed->updated_at > job->updated_at && changed->updated_at >= earliest);
    after = applied(job, change, blobs, changed->updated_at);
    take_time(job->started_at, changed->started_at, earliest, &after.started_at);
    take_time(job->finished_at, changed->finished_at, earliest, &after.finished_at);
    *job = after;
    job->version = m->version;
    free(changed);
  }
  compare(job, m->store);         /* all of it, or nothing */
}

void model_update(model *m, const job_id *id, const jt_change *change,
                  const model_blob blobs[MODEL_BLOBS]) {
  jt_change full = *change;
  full.result = model_blob_text(&blobs[0]);
  full.error = model_blob_text(&blobs[1]);
  full.meta = model_blob_text(&blobs[2]);
  model_job *job = find(m, id);
  if (job == NULL) {
    CHECK_CODE(update(m->store, id, &full), JT_NOT_FOUND);
  } else if (change->fields & JT_SET_STATUS && !is_allowed(job->status, change->status)) {
    CHECK_CODE(update(m->store, id, &full), JT_INVALID_TRANSITION);
    compare(job, m->store);
  } else {
    change_job(m, job, &full, blobs);
  }
  free((void *)(uintptr_t)full.result.bytes);
  free((void *)(uintptr_t)full.error.bytes);
  free((void *)(uintptr_t)full.meta.bytes);
}

void model_delete(model *m, const job_id *id) {
  model_job *job = find(m, id);
  CHECK_CODE(erase(m->store, id), job != NULL ? JT_OK : JT_NOT_FOUND);
  CHECK(!exists(m->store, id));
  if (job == NULL) return;
  job->there = false;
  m->count--;
  grown(m, 1);
}

void model_clear(model *m) {
  uint64_t removed = 0;
  CHECK_CODE(jt_clear(m->store, &removed), JT_OK);
  CHECK_INT(removed, m->count);
  for (uint32_t i = 0; i < m->capacity; i++) m->jobs[i].there = false;
  grown(m, removed);
  m->count = 0;
}
