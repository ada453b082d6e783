/*
** read.c - reading without a lock.
**
** A reader loads the cell (acquire), copies the record and the blobs that it
** refers to (relaxed), and then looks whether the cell is as it was. Units are
** reused only after the cell of the job that held them has changed; so if the
** cell has not changed, the copy is of one record and whole. If it has, the
** copy may be of anything: nothing in it was believed, only checked against
** the heap's bounds, and it is thrown away.
**
** In between the reader may have slept for as long as it takes to publish 2^24
** versions, and the cell's 24 bits come round again. The record's own version,
** of 64 bits, tells the two apart: it is loaded again too.
*/
#include "read.h"

#include "cells.h"
#include "evict.h"
#include "lock.h"

static bool unchanged(const jt_store *store, uint32_t at, uint64_t cell,
                      uint64_t version) {
  /* Pairs with the release fence in publish.c: a word of a later writer in our
     copy means that we see the changed cell here. */
  atomic_thread_fence(memory_order_acquire);
  const jt_word *record = jt_unit_words(store, jt_cell_unit(cell));
  return jt_word_load(&store->cells[at]) == cell &&
         jt_word_load(&record[JT_RECORD_VERSION]) == version;
}

bool jt_sight_holds(const jt_store *store, const jt_sight *sight) {
  return unchanged(store, sight->at, sight->cell, jt_words_version(&sight->words));
}

/* Read-only stores verify what they read: nobody may have repaired the file
   since the machine went down. */
static bool credible(const jt_store *store, const jt_sight *sight) {
  return jt_cell_has_version(sight->cell, jt_words_version(&sight->words)) &&
         (!store->readonly || jt_record_intact(&sight->words));
}

static jt_code sight_cell(const jt_store *store, uint32_t at, uint64_t cell,
                          jt_sight *sight) {
  uint32_t unit = jt_cell_unit(cell);
  if (!jt_run_inside(&store->geometry, unit, 2)) return JT_CORRUPT;
  jt_record_prefetch(store, unit, 2);
  sight->at = at;
  sight->cell = cell;
  bool copied = jt_record_copy(store, unit, &sight->words);
  if (!unchanged(store, at, cell, jt_words_version(&sight->words))) return JT_BUSY;
  return copied && jt_record_valid(store, &sight->words) && credible(store, sight)
         ? JT_OK : JT_CORRUPT;
}

jt_code jt_sight_at(const jt_store *store, uint32_t at, jt_sight *sight) {
  uint64_t cell = jt_cell_load(store, at);
  return jt_cell_is_job(cell) ? sight_cell(store, at, cell, sight) : JT_NOT_FOUND;
}

/* Word by word, as ids are two or three words long. */
static inline bool same_text(jt_text ours, jt_text theirs) {
  if (ours.length != theirs.length) return false;
  size_t whole = ours.length & ~(size_t)7;
  uint64_t a, b;
  for (size_t i = 0; i < whole; i += 8) {
    memcpy(&a, ours.bytes + i, 8);
    memcpy(&b, theirs.bytes + i, 8);
    if (a != b) return false;
  }
  return whole == ours.length ||
         memcmp(ours.bytes + whole, theirs.bytes + whole, ours.length - whole) == 0;
}

jt_code jt_sight_find(const jt_store *store, jt_text id, jt_sight *sight) {
  if (id.length < 1 || id.length > JT_ID_MAX) return JT_NOT_FOUND;
  uint64_t hash = jt_hash(id.bytes, id.length);
  uint32_t at = jt_cell_home(&store->geometry, hash);
  jt_code outcome = JT_NOT_FOUND;
  for (uint32_t left = jt_cells_to_search(store); left > 0; left--) {
    uint64_t cell = jt_cell_load(store, at);
    if (cell == JT_CELL_EMPTY) return outcome;
    if (jt_cell_has_tag(cell, hash)) {
      jt_code code = sight_cell(store, at, cell, sight);
      if (code == JT_OK && same_text(jt_words_id(&sight->words), id)) return JT_OK;
      if (code == JT_BUSY) return JT_BUSY;
      /* Damaged: perhaps the job asked for, perhaps not; look further. */
      if (code == JT_CORRUPT) outcome = JT_CORRUPT;
    }
    at = jt_cell_next(&store->geometry, at);
  }
  return outcome;
}

jt_code jt_read(jt_store *store, jt_try attempt, void *context) {
  jt_code code = attempt(store, context);
  for (int i = 1; i < JT_READ_TRIES && code == JT_BUSY; i++)
    code = attempt(store, context);
  if (code != JT_BUSY || store->readonly) return code;
  code = jt_lock(store);
  if (code != JT_OK) return code;
  code = attempt(store, context);
  jt_unlock(store);
  return code;
}

static size_t size_needed(const jt_record_words *words, const jt_blob *blob) {
  size_t size = sizeof(jt_job) + jt_text_room(words->shape.id_length) +
                jt_text_room(words->shape.step_length);
  if (words->shape.blobs == 0) return size;
  for (int i = 0; i < JT_BLOBS; i++)
    if (blob[i].unit != 0) size += jt_text_room(blob[i].length);
  return size;
}

/* Copies a text to 'at'; returns where the next one goes. Texts in a record are
   padded to words, and most are of a few: no call is worth its while. */
static inline char *place_text(char *at, jt_text text) {
  for (size_t i = 0; i < text.length; i += 8) memcpy(at + i, text.bytes + i, 8);
  at[text.length] = '\0';
  return at + jt_text_room(text.length);
}

/* Likewise; *intact becomes false when a read-only store meets a damaged one. */
static char *place_blob(const jt_store *store, char *at, const jt_blob *blob,
                        bool *intact) {
  jt_words_read(at, jt_unit_words(store, blob->unit), blob->length);
  if (store->readonly && jt_hash(at, blob->length) != blob->checksum) *intact = false;
  at[blob->length] = '\0';
  return at + jt_text_room(blob->length);
}

static bool place_blobs(const jt_store *store, const jt_blob *blob, jt_job *job,
                        char *at) {
  bool intact = true;
  for (int i = 0; i < JT_BLOBS; i++) {
    if (blob[i].unit == 0) continue;
    job->length[JT_RESULT + i] = blob[i].length;
    at = place_blob(store, at, &blob[i], &intact);
  }
  return intact;
}

_Static_assert(offsetof(jt_job, progress) == offsetof(jt_job, sequence) + 5 * 8,
               "six members of a job are copied as words 3 to 8 of its record");

/* All but the blobs; returns where they go. */
static char *place_record(const jt_record_words *words, jt_job *out) {
  out->version = jt_words_version(words);
  memcpy(&out->sequence, &words->word[3], 6 * 8);
  out->status = jt_words_status(words);
  out->length[JT_ID] = words->shape.id_length;
  out->length[JT_STEP] = words->shape.step_length;
  out->length[JT_RESULT] = out->length[JT_ERROR] = out->length[JT_META] = JT_ABSENT;
  char *at = place_text((char *)(out + 1), jt_words_id(words));
  return place_text(at, jt_words_step(words));
}

jt_code jt_sight_copy(const jt_store *store, const jt_sight *sight, jt_job *out,
                      size_t capacity, size_t *needed) {
  jt_blob blob[JT_BLOBS];
  bool has_blobs = sight->words.shape.blobs != 0;
  if (has_blobs) jt_words_blobs(&sight->words, blob);
  *needed = size_needed(&sight->words, blob);
  if (*needed > capacity) return JT_TOO_SMALL;
  char *at = place_record(&sight->words, out);
  if (!has_blobs) return JT_OK;
  bool intact = place_blobs(store, blob, out, at);
  if (!jt_sight_holds(store, sight)) return JT_BUSY;
  return intact ? JT_OK : JT_CORRUPT;
}

typedef struct get {
  jt_text id;
  jt_job *out;
  size_t capacity, *needed;
} get;

static jt_code try_get(jt_store *store, void *context) {
  const get *want = context;
  jt_sight sight;
  jt_code code = jt_sight_find(store, want->id, &sight);
  if (code != JT_OK) return code;
  if (jt_expired(store, &sight.words)) return JT_NOT_FOUND;
  return jt_sight_copy(store, &sight, want->out, want->capacity, want->needed);
}

jt_code jt_get(jt_store *store, const char *id, size_t length, jt_job *out,
               size_t capacity, size_t *needed) {
  get want = { { id, length }, out, capacity, needed };
  return jt_read(store, try_get, &want);
}

uint64_t jt_store_version(const jt_store *store) {
  return atomic_load_explicit(&store->header->version, memory_order_acquire);
}

bool jt_store_is_readonly(const jt_store *store) {
  return store->readonly;
}

static uint64_t at_most(uint64_t value, uint64_t limit) {
  return value < limit ? value : limit;
}

/* The counters lie in the region: a damaged one may make a number wrong, but not
   larger than it can be. */
void jt_store_stats(const jt_store *store, jt_stats *stats) {
  const jt_header *header = store->header;
  uint64_t heap = store->geometry.end_unit - store->geometry.first_unit;
  uint64_t used = at_most(jt_word_load(&header->units_used), heap);
  *stats = (jt_stats){ .max_jobs = store->geometry.max_jobs,
                       .size = store->geometry.size,
                       .evictions = jt_word_load(&header->evictions),
                       .recoveries = jt_word_load(&header->recoveries),
                       .damaged = jt_word_load(&header->damaged),
                       .version = jt_store_version(store),
                       .retention = (int64_t)jt_word_load(&header->retention) };
  for (int i = 0; i < JT_STATUSES; i++) {
    stats->by_status[i] = at_most(jt_word_load(&header->by_status[i]), stats->max_jobs);
    stats->jobs += stats->by_status[i];
  }
  stats->jobs = at_most(stats->jobs, stats->max_jobs);
  stats->bytes_used = used * JT_UNIT;
  stats->bytes_available = (heap - used) * JT_UNIT;
}
