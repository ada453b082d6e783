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
** of 64 bits, tells the two apart: it is copied before all the rest, which is then of
** that record or a later one's (record.h), and loaded again after the cell.
**
** Whether a job's owner lives is looked up between the copy and the second look
** at the cell. See owner.h for why that is right. Only owned jobs pay for it.
*/
#include "read.h"

#include "bury.h"
#include "evict.h"
#include "guard.h"
#include "lock.h"
#include "owner.h"

static bool unchanged(const jt_store *store, uint32_t at, uint64_t cell,
                      uint64_t version) {
  /* Pairs with the release fence in publish.c: a word of a later writer in our
     copy means that we see the changed cell here. */
  atomic_thread_fence(memory_order_acquire);
  const jt_word *record = jt_unit_words(store, jt_cell_unit(cell));
  /* The cell by an acquire: the version loaded after it is not older than it. */
  return jt_cell_load(store, at) == cell &&
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

/* Asked of a copy that may be torn: its shape has been checked, no more. */
JT_ASIDE
static bool owner_is_gone(const jt_store *store, jt_sight *sight) {
  uint32_t owner = jt_words_owner(&sight->words);
  if (jt_status_finished(jt_words_status(&sight->words))) return false;
  sight->pid = jt_owner_pid(store, owner);
  return !jt_owner_lives(store, owner);
}

JT_HOT
static jt_code sight_cell(const jt_store *store, uint32_t at, uint64_t cell,
                          jt_sight *sight) {
  uint32_t unit = jt_cell_unit(cell);
  if (!jt_run_inside(&store->geometry, unit, JT_RECORD_LEAST_UNITS)) return JT_CORRUPT;
  sight->at = at;
  sight->cell = cell;
  bool copied = jt_record_copy(store, unit, &sight->words);
  sight->orphaned = copied && jt_words_owner(&sight->words) != 0 &&
                    owner_is_gone(store, sight);
  if (!unchanged(store, at, cell, jt_words_version(&sight->words))) return JT_BUSY;
  return copied && jt_record_valid(store, &sight->words) && credible(store, sight)
         ? JT_OK : JT_CORRUPT;
}

jt_code jt_sight_at(const jt_store *store, uint32_t at, jt_sight *sight) {
  uint64_t cell = jt_cell_load(store, at);
  return jt_cell_is_job(cell) ? sight_cell(store, at, cell, sight) : JT_NOT_FOUND;
}

/* Word by word, the last one from the end backwards: an id has JT_ID_MIN bytes at least,
   most have two or three words. */
static inline bool same_text(jt_text ours, jt_text theirs) {
  if (ours.length != theirs.length) return false;
  size_t last = ours.length - 8;
  uint64_t a, b;
  for (size_t i = 0; i < last; i += 8) {
    memcpy(&a, ours.bytes + i, 8);
    memcpy(&b, theirs.bytes + i, 8);
    if (a != b) return false;
  }
  memcpy(&a, ours.bytes + last, 8);
  memcpy(&b, theirs.bytes + last, 8);
  return a == b;
}

JT_HOT
jt_code jt_sight_find(const jt_store *store, const jt_search *search, jt_sight *sight) {
  const jt_text id = search->id;
  const uint64_t hash = search->hash;
  if (id.length < 1 || id.length > JT_ID_MAX) return JT_NOT_FOUND;
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

jt_code jt_seen(const jt_store *store, jt_code code) {
  return jt_guard_lost(store->guard) ? JT_CORRUPT : code;
}

jt_code jt_read_on(jt_store *store, jt_try attempt, void *context, jt_code code) {
  for (int i = 1; i < JT_READ_TRIES && code == JT_BUSY; i++)
    code = attempt(store, context);
  if (store->readonly) return jt_seen(store, code);
  if (code != JT_BUSY) return code;
  code = jt_lock(store);
  if (code != JT_OK) return code;
  code = attempt(store, context);
  jt_unlock(store);
  return code;
}

typedef struct looking {
  uint32_t at;
  jt_sight *sight;
} looking;

static jt_code try_look(jt_store *store, void *context) {
  const looking *want = context;
  return jt_sight_at(store, want->at, want->sight);
}

jt_code jt_sight_read(jt_store *store, uint32_t at, jt_sight *sight) {
  looking want = { at, sight };
  return jt_read(store, try_look, &want);
}

/* --------------------------------------------------------------- every job */

static jt_code visit_batch(jt_store *store, uint32_t from, jt_visit visit,
                           void *context) {
  uint32_t jobs[JT_BATCH], count = jt_cells_gather(store, from, jobs);
  jt_sight sight;
  for (uint32_t i = 0; i < count; i++)
    jt_record_prefetch(store, jt_cell_unit(jt_word_load(&store->cells[jobs[i]])), 2);
  for (uint32_t i = 0; i < count; i++) {
    jt_code code = jt_sight_read(store, jobs[i], &sight);
    if (code == JT_BUSY) return code;
    if (code == JT_OK && !jt_expired(store, &sight.words)) visit(context, &sight);
  }
  return JT_OK;
}

jt_code jt_sight_each(jt_store *store, jt_visit visit, void *context) {
  jt_code code = JT_OK;
  jt_settle(store);
  for (uint32_t from = 0; from < store->geometry.cells && code == JT_OK; from += JT_BATCH)
    code = visit_batch(store, from, visit, context);
  return jt_seen(store, code);
}

/* ------------------------------------------------------------- copying out */

/* Of all but the blobs. */
static size_t record_room(const jt_record_words *words) {
  uint64_t shape = jt_words_shape(words);
  return sizeof(jt_job) + (jt_shape_words(shape) - jt_shape_id_at(shape)) * 8;
}

static size_t size_needed(const jt_record_words *words, const jt_blob *blob) {
  size_t size = record_room(words);
  for (int i = 0; i < JT_BLOBS; i++)
    if (blob[i].unit != 0) size += sizeof(size_t) + jt_blob_room(blob[i].length);
  return size;
}

/* Each place_... returns where the next thing goes. */
static char *place_length(char *at, size_t length) {
  memcpy(at, &length, sizeof length);
  return at + sizeof length;
}

/* *intact becomes false when a read-only store meets a damaged one. */
static char *place_blob(const jt_store *store, char *at, const jt_blob *blob,
                        bool *intact) {
  at = place_length(at, blob->length);
  jt_words_read_text(at, jt_unit_words(store, blob->unit), blob->length);
  if (store->readonly && jt_hash(at, blob->length) != blob->checksum) *intact = false;
  at[blob->length] = '\0';
  return at + jt_blob_room(blob->length);
}

static bool place_blobs(const jt_store *store, const jt_blob *blob, int from, int to,
                        char **place) {
  bool intact = true;
  char *at = *place;
  for (int i = from; i < to; i++)
    if (blob[i].unit != 0) at = place_blob(store, at, &blob[i], &intact);
  *place = at;
  return intact;
}

_Static_assert(offsetof(jt_job, progress) == offsetof(jt_job, created_at) + 4 * 8 &&
               sizeof(jt_job) == offsetof(jt_job, created_at) + 5 * 8 &&
               JT_RECORD_PROGRESS == JT_RECORD_CREATED_AT + 4 &&
               JT_RECORD_FIXED == JT_RECORD_CREATED_AT + 5,
               "five members, and the texts, are copied as they stand");

static inline void place_members(const jt_record_words *words, jt_job *out) {
  uint64_t shape = jt_words_shape(words);
  out->version = jt_words_version(words);
  out->status = jt_words_status(words);
  out->id_length = (uint8_t)jt_shape_id_length(shape);
  out->blobs = (uint8_t)jt_shape_blobs(shape);
  out->step_length = (uint16_t)jt_shape_step_length(shape);
  out->sequence = jt_words_sequence(words);
}

/* All but the blobs. */
static char *place_record(const jt_record_words *words, jt_job *out) {
  char *texts = (char *)(out + 1);
  size_t length = record_room(words) - sizeof *out;
  place_members(words, out);
  memcpy(&out->created_at, &words->word[JT_RECORD_CREATED_AT], 5 * 8);
  memcpy(texts, jt_words_id(words).bytes, length);
  return texts + length;
}

_Static_assert(JT_JOB_PLAIN == offsetof(jt_job, created_at) +
                               (JT_RECORD_PLAIN_WORDS - JT_RECORD_CREATED_AT) * 8,
               "what a plain record can hold");

/* Of a record of plain shape, in one piece: as much of each, however long its texts. */
static inline void place_plain(const jt_record_words *words, jt_job *out) {
  place_members(words, out);
  memcpy(&out->created_at, &words->word[JT_RECORD_CREATED_AT],
         JT_JOB_PLAIN - offsetof(jt_job, created_at));
}

/*
** A job whose owner is dead, as it will be when it is written off: failed, one
** version later, and with another error than may be stored.
*/
JT_RARE
static jt_code copy_orphan(const jt_store *store, const jt_sight *sight, jt_job *out,
                           size_t capacity, size_t *needed) {
  enum { ERROR = JT_ERROR - JT_RESULT };
  char epitaph[JT_EPITAPH_MAX];
  size_t length = jt_epitaph(sight->pid, jt_words_step(&sight->words), epitaph);
  jt_blob blob[JT_BLOBS];
  jt_words_blobs(&sight->words, blob);
  blob[ERROR].unit = 0;
  *needed = size_needed(&sight->words, blob) + sizeof length + jt_blob_room(length);
  if (*needed > capacity) return JT_TOO_SMALL;
  char *at = place_record(&sight->words, out);
  out->status = jt_sight_status(sight);
  out->version = jt_sight_version(sight);
  out->finished_at = out->updated_at;
  out->blobs |= 1u << ERROR;
  bool intact = place_blobs(store, blob, 0, ERROR, &at);
  at = place_length(at, length);
  memcpy(at, epitaph, length);
  at[length] = '\0';
  at += jt_blob_room(length);
  intact &= place_blobs(store, blob, ERROR + 1, JT_BLOBS, &at);
  if (!jt_sight_holds(store, sight)) return JT_BUSY;
  return intact ? JT_OK : JT_CORRUPT;
}

JT_ASIDE
static jt_code copy_with_blobs(const jt_store *store, const jt_sight *sight,
                               jt_job *out, size_t capacity, size_t *needed) {
  jt_blob blob[JT_BLOBS];
  jt_words_blobs(&sight->words, blob);
  *needed = size_needed(&sight->words, blob);
  if (*needed > capacity) return JT_TOO_SMALL;
  char *at = place_record(&sight->words, out);
  bool intact = place_blobs(store, blob, 0, JT_BLOBS, &at);
  if (!jt_sight_holds(store, sight)) return JT_BUSY;
  return intact ? JT_OK : JT_CORRUPT;
}

JT_ASIDE
static jt_code copy_any(const jt_store *store, const jt_sight *sight, jt_job *out,
                        size_t capacity, size_t *needed) {
  if (sight->orphaned) return copy_orphan(store, sight, out, capacity, needed);
  if (jt_shape_blobs(jt_words_shape(&sight->words)) != 0)
    return copy_with_blobs(store, sight, out, capacity, needed);
  *needed = record_room(&sight->words);
  if (*needed > capacity) return JT_TOO_SMALL;
  place_record(&sight->words, out);
  return JT_OK;
}

JT_HOT
jt_code jt_sight_copy(const jt_store *store, const jt_sight *sight, jt_job *out,
                      size_t capacity, size_t *needed) {
  bool plain = jt_shape_is_plain(jt_words_shape(&sight->words)) && !sight->orphaned;
  if (!plain || capacity < JT_JOB_PLAIN)
    return copy_any(store, sight, out, capacity, needed);
  *needed = record_room(&sight->words);
  place_plain(&sight->words, out);
  return JT_OK;
}

/* One try. *orphaned: set if the job was. */
static inline jt_code get_once(jt_store *store, jt_search search, jt_job *out,
                               size_t capacity, size_t *needed, bool *orphaned) {
  jt_sight sight;
  jt_code code = jt_sight_find(store, &search, &sight);
  if (code != JT_OK) return code;
  if (__builtin_expect(sight.orphaned, false)) *orphaned = true;
  if (jt_expired(store, &sight.words)) return JT_NOT_FOUND;
  return jt_sight_copy(store, &sight, out, capacity, needed);
}

typedef struct get {
  jt_search search;
  jt_job *out;
  size_t capacity, *needed;
  bool orphaned;                  /* it was, in a try */
} get;

static jt_code try_get(jt_store *store, void *context) {
  get *want = context;
  return get_once(store, want->search, want->out, want->capacity, want->needed,
                  &want->orphaned);
}

/* What the first try, which gave 'code', has not settled. */
JT_RARE
static jt_code get_on(jt_store *store, get want, jt_code code) {
  code = jt_read_on(store, try_get, &want, code);
  if (want.orphaned && jt_settle(store)) code = jt_read(store, try_get, &want);
  return code;
}

JT_WAY
jt_code jt_get(jt_store *store, const char *id, size_t length, jt_job *out,
               size_t capacity, size_t *needed) {
  jt_search search = jt_search_for(id, length);
  bool orphaned = false;
  jt_code code = get_once(store, search, out, capacity, needed, &orphaned);
  bool settled = code == JT_OK && !orphaned && !jt_guard_lost(store->guard);
  if (__builtin_expect(settled, true)) return code;
  return get_on(store, (get){ search, out, capacity, needed, orphaned }, code);
}
