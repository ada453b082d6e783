/*
** record.c - encoding and decoding of records; the picture is in record.h.
*/
#include "record.h"

_Static_assert(offsetof(jt_record, progress) == offsetof(jt_record, sequence) + 5 * 8,
               "six members of a record are copied as words 3 to 8");

static uint64_t shape_pack(const jt_record *record) {
  return (uint64_t)record->status | (uint64_t)record->blobs << 8 |
         (uint64_t)record->id.length << 16 | (uint64_t)record->step.length << 32 |
         (uint64_t)record->owner << 48;
}

static inline uint32_t words_for(size_t bytes) {
  return (uint32_t)(jt_padded(bytes) / 8);
}

/* From a table of hexadecimal digits: compilers call a function for the general case,
   and this is in every path. */
static inline uint32_t count_blobs(uint32_t blobs) {
  return (uint32_t)(UINT64_C(0x4332322132212110) >> 4 * blobs) & 7;
}

static inline bool shape_read(uint64_t packed, jt_shape *out) {
  out->status = packed & 0xff;
  out->blobs = packed >> 8 & 0xff;
  out->id_length = packed >> 16 & 0xffff;
  out->step_length = packed >> 32 & 0xffff;
  out->owner = (uint32_t)(packed >> 48);
  if (out->owner > JT_OWNERS || out->status >= JT_STATUSES || out->blobs >> JT_BLOBS ||
      out->id_length < 10 || out->id_length > JT_ID_MAX ||
      out->step_length > JT_STEP_MAX)
    return false;
  out->id_at = JT_RECORD_FIXED + 2 * count_blobs(out->blobs);
  out->step_at = out->id_at + words_for(out->id_length);
  out->words = out->step_at + words_for(out->step_length);
  return true;
}

static inline bool run_inside(const jt_store *store, uint32_t unit, const jt_shape *s) {
  return jt_run_inside(&store->geometry, unit, jt_units_for(s->words * 8));
}

/* The shape of the record at 'unit', if there can be one. */
static inline bool shape_at(const jt_store *store, uint32_t unit, jt_shape *out) {
  return jt_run_inside(&store->geometry, unit, 2) &&
         shape_read(jt_word_load(jt_unit_words(store, unit) + 2), out) &&
         run_inside(store, unit, out);
}

void jt_record_measure(jt_record *record) {
  uint32_t words = JT_RECORD_FIXED + 2 * count_blobs(record->blobs) +
                   words_for(record->id.length) + words_for(record->step.length);
  record->units = jt_units_for((uint64_t)words * 8);
}

int jt_record_runs(const jt_record *record, uint32_t unit, jt_run runs[JT_RUNS]) {
  int count = 0;
  runs[count++] = (jt_run){ unit, record->units };
  for (uint32_t left = record->blobs; left != 0; left &= left - 1) {
    const jt_blob *blob = &record->blob[__builtin_ctz(left)];
    runs[count++] = (jt_run){ blob->unit, jt_units_for(blob->length) };
  }
  return count;
}

uint64_t jt_record_all_units(const jt_record *record) {
  uint64_t units = record->units;
  for (uint32_t left = record->blobs; left != 0; left &= left - 1)
    units += jt_units_for(record->blob[__builtin_ctz(left)].length);
  return units;
}

static uint64_t *put_text(uint64_t *at, jt_text text) {
  size_t words = words_for(text.length);
  if (words == 0) return at;
  at[words - 1] = 0;
  memcpy(at, text.bytes, text.length);
  return at + words;
}

size_t jt_record_encode(const jt_record *record, uint64_t out[JT_RECORD_WORDS]) {
  uint64_t *at = out;
  at[1] = record->version;
  at[2] = shape_pack(record);
  memcpy(&at[3], &record->sequence, 6 * 8);
  at += JT_RECORD_FIXED;
  for (uint32_t left = record->blobs; left != 0; left &= left - 1) {
    const jt_blob *blob = &record->blob[__builtin_ctz(left)];
    *at++ = (uint64_t)blob->unit << JT_LENGTH_BITS | blob->length;
    *at++ = blob->checksum;
  }
  at = put_text(at, record->id);
  at = put_text(at, record->step);
  return (size_t)(at - out);
}

JT_HOT
bool jt_record_copy(const jt_store *store, uint32_t unit, jt_record_words *out) {
  const jt_word *from = jt_unit_words(store, unit);
  jt_shape *s = &out->shape;
  if (!jt_run_inside(&store->geometry, unit, 2)) return false;
  out->word[JT_RECORD_VERSION] = jt_record_version_first(from);
  out->word[0] = jt_word_load(from);
#pragma GCC unroll 7
  for (size_t i = JT_RECORD_VERSION + 1; i < JT_RECORD_FIXED; i++)
    out->word[i] = jt_word_load(from + i);
  if (!shape_read(out->word[2], s) || !run_inside(store, unit, s)) return false;
#pragma GCC unroll 4
  for (size_t i = JT_RECORD_FIXED; i < s->words; i++)
    out->word[i] = jt_word_load(from + i);
  return true;
}

uint64_t jt_record_checksum(const uint64_t *words, size_t count) {
  return jt_hash(words + 1, (count - 1) * 8);
}

bool jt_record_intact(const jt_record_words *words) {
  return words->word[0] == jt_record_checksum(words->word, words->shape.words);
}

/* The blobs that are there, from their pairs of words. */
static void read_blobs(uint32_t blobs, const uint64_t *pair, jt_blob blob[JT_BLOBS]) {
  for (; blobs != 0; blobs &= blobs - 1, pair += 2)
    blob[__builtin_ctz(blobs)] = (jt_blob){
      (uint32_t)(pair[0] >> JT_LENGTH_BITS),
      pair[0] & ((UINT64_C(1) << JT_LENGTH_BITS) - 1), pair[1]
    };
}

/* Each inside the heap; and together they cannot be longer than the store, for
   then they would overlap. */
static bool blobs_valid(const jt_store *store, uint32_t blobs, const uint64_t *pair) {
  uint64_t total = 0;
  for (; blobs != 0; blobs &= blobs - 1, pair += 2) {
    uint64_t unit = pair[0] >> JT_LENGTH_BITS;
    uint64_t length = pair[0] & ((UINT64_C(1) << JT_LENGTH_BITS) - 1);
    total += length;
    if (total > store->geometry.size ||
        !jt_run_inside(&store->geometry, unit, jt_units_for(length)))
      return false;
  }
  return true;
}

void jt_words_blobs(const jt_record_words *words, jt_blob blob[JT_BLOBS]) {
  for (int i = 0; i < JT_BLOBS; i++) blob[i].unit = 0;
  read_blobs(words->shape.blobs, words->word + JT_RECORD_FIXED, blob);
}

bool jt_record_glance(const jt_store *store, uint32_t unit, jt_record *record) {
  const jt_word *from = jt_unit_words(store, unit);
  jt_shape s;
  if (!shape_at(store, unit, &s)) return false;
  record->version = jt_word_load(from + JT_RECORD_VERSION);
  record->finished_at = (int64_t)jt_word_load(from + 7);
  record->status = (jt_status)s.status;
  record->owner = s.owner;
  record->units = jt_units_for((uint64_t)s.words * 8);
  record->blobs = s.blobs;
  if (s.blobs == 0) return true;
  uint64_t pairs[2 * JT_BLOBS];
  jt_words_read(pairs, from + JT_RECORD_FIXED, count_blobs(s.blobs) * 16);
  read_blobs(s.blobs, pairs, record->blob);
  return blobs_valid(store, s.blobs, pairs);
}

bool jt_record_valid(const jt_store *store, const jt_record_words *words) {
  const uint64_t *at = words->word;
  const jt_shape *s = &words->shape;
  double progress;
  memcpy(&progress, &at[8], 8);
  return at[1] < JT_VERSION_LIMIT && at[3] != 0 && at[3] <= at[1] &&
         at[4] < JT_TIME_LIMIT && at[5] < JT_TIME_LIMIT && at[6] < JT_TIME_LIMIT &&
         at[7] < JT_TIME_LIMIT &&
         progress >= 0 && progress <= 1 &&
         (s->blobs == 0 || blobs_valid(store, s->blobs, at + JT_RECORD_FIXED));
}

void jt_record_decode(const jt_record_words *words, jt_record *record) {
  record->version = words->word[1];
  memcpy(&record->sequence, &words->word[3], 6 * 8);
  record->status = jt_words_status(words);
  record->owner = jt_words_owner(words);
  record->units = jt_units_for((uint64_t)words->shape.words * 8);
  record->id = jt_words_id(words);
  record->step = jt_words_step(words);
  record->blobs = words->shape.blobs;
  read_blobs(record->blobs, words->word + JT_RECORD_FIXED, record->blob);
}

bool jt_record_hash(const jt_store *store, uint32_t unit, uint64_t *hash) {
  uint64_t id[(JT_ID_MAX + 7) / 8];
  jt_shape s;
  if (!shape_at(store, unit, &s)) return false;
  jt_words_read(id, jt_unit_words(store, unit) + s.id_at, s.id_length);
  *hash = jt_hash(id, s.id_length);
  return true;
}

bool jt_record_is(const jt_store *store, uint32_t unit, jt_text id) {
  const jt_word *from = jt_unit_words(store, unit);
  char found[(JT_ID_MAX + 7) / 8 * 8];
  jt_shape s;
  if (!shape_at(store, unit, &s) || s.id_length != id.length) return false;
  jt_words_read(found, from + s.id_at, id.length);
  return memcmp(found, id.bytes, id.length) == 0;
}
