/*
** record.c - reading and changing records; the picture is in record.h.
*/
#include "record.h"

_Static_assert(JT_UNIT == JT_LINE_WORDS * sizeof(jt_word) &&
               JT_RECORD_PLAIN_WORDS == JT_RECORD_LEAST_UNITS * JT_LINE_WORDS,
               "a unit is a line");

/* Whether it can be a record's. */
static inline bool shape_possible(uint64_t shape) {
  return jt_shape_owner(shape) <= JT_OWNERS && jt_shape_status(shape) < JT_STATUSES &&
         jt_shape_blobs(shape) >> JT_BLOBS == 0 &&
         jt_shape_id_length(shape) >= JT_ID_MIN &&
         jt_shape_id_length(shape) <= JT_ID_MAX &&
         jt_shape_step_length(shape) <= JT_STEP_MAX;
}

static inline uint32_t shape_units(uint64_t shape) {
  return jt_units_for((uint64_t)jt_shape_words(shape) * 8);
}

static inline bool shape_inside(const jt_store *store, uint32_t unit, uint64_t shape) {
  return jt_run_inside(&store->geometry, unit, shape_units(shape));
}

/* The shape of the record at 'unit', if there can be one. */
static inline bool shape_at(const jt_store *store, uint32_t unit, uint64_t *shape) {
  if (!jt_run_inside(&store->geometry, unit, JT_RECORD_LEAST_UNITS)) return false;
  *shape = jt_word_load(jt_unit_words(store, unit) + JT_RECORD_SHAPE);
  return shape_possible(*shape) && shape_inside(store, unit, *shape);
}

int jt_glance_runs(const jt_glance *glance, uint32_t unit, jt_run runs[JT_RUNS]) {
  int count = 0;
  runs[count++] = (jt_run){ unit, glance->units };
  for (uint32_t left = glance->blobs; left != 0; left &= left - 1) {
    const jt_blob *blob = &glance->blob[__builtin_ctz(left)];
    runs[count++] = (jt_run){ blob->unit, jt_units_for(blob->length) };
  }
  return count;
}

uint64_t jt_glance_units(const jt_glance *glance) {
  uint64_t units = glance->units;
  for (uint32_t left = glance->blobs; left != 0; left &= left - 1)
    units += jt_units_for(glance->blob[__builtin_ctz(left)].length);
  return units;
}

/* By whole lines: what lies behind the record's end, left by others, is copied too. */
JT_HOT
bool jt_record_copy(const jt_store *store, uint32_t unit, jt_record_words *out) {
  const jt_word *from = jt_unit_words(store, unit);
  if (!jt_run_inside(&store->geometry, unit, JT_RECORD_LEAST_UNITS)) return false;
  uint64_t version = jt_record_version_first(from);
  for (uint32_t at = 0; at < JT_RECORD_PLAIN_WORDS; at += JT_LINE_WORDS)
    jt_words_read_line(out->word + at, from + at);
  out->word[JT_RECORD_VERSION] = version;
  uint64_t shape = jt_words_shape(out);
  if (jt_shape_is_plain(shape)) return true;
  if (!shape_possible(shape) || !shape_inside(store, unit, shape)) return false;
  const uint32_t end = jt_shape_words(shape);
  for (uint32_t at = JT_RECORD_PLAIN_WORDS; at < end; at += JT_LINE_WORDS)
    jt_words_read_line(out->word + at, from + at);
  return true;
}

JT_ASIDE
uint64_t jt_record_checksum(const uint64_t *words, size_t count) {
  return jt_hash(words + 1, (count - 1) * 8);
}

JT_ASIDE
bool jt_record_intact(const jt_record_words *words) {
  const uint32_t count = jt_shape_words(jt_words_shape(words));
  return words->word[JT_RECORD_CHECKSUM] == jt_record_checksum(words->word, count);
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
  read_blobs(jt_shape_blobs(jt_words_shape(words)), words->word + JT_RECORD_FIXED, blob);
}

bool jt_record_valid(const jt_store *store, const jt_record_words *words) {
  const uint64_t *at = words->word;
  uint32_t blobs = jt_shape_blobs(jt_words_shape(words));
  double progress;
  memcpy(&progress, &at[JT_RECORD_PROGRESS], 8);
  return at[JT_RECORD_VERSION] < JT_VERSION_LIMIT && at[JT_RECORD_SEQUENCE] != 0 &&
         at[JT_RECORD_SEQUENCE] <= at[JT_RECORD_VERSION] &&
         at[JT_RECORD_CREATED_AT] < JT_TIME_LIMIT &&
         at[JT_RECORD_UPDATED_AT] < JT_TIME_LIMIT &&
         at[JT_RECORD_STARTED_AT] < JT_TIME_LIMIT &&
         at[JT_RECORD_FINISHED_AT] < JT_TIME_LIMIT &&
         progress >= 0 && progress <= 1 &&
         (blobs == 0 || blobs_valid(store, blobs, at + JT_RECORD_FIXED));
}

/* All but the blobs' places. */
static inline void glance_at(uint64_t shape, uint64_t version, uint64_t finished_at,
                             jt_glance *glance) {
  glance->version = version;
  glance->finished_at = (int64_t)finished_at;
  glance->status = (jt_status)jt_shape_status(shape);
  glance->owner = jt_shape_owner(shape);
  glance->units = shape_units(shape);
  glance->blobs = jt_shape_blobs(shape);
}

void jt_words_glance(const jt_record_words *words, jt_glance *glance) {
  const uint64_t *at = words->word;
  glance_at(at[JT_RECORD_SHAPE], at[JT_RECORD_VERSION], at[JT_RECORD_FINISHED_AT],
            glance);
  read_blobs(glance->blobs, at + JT_RECORD_FIXED, glance->blob);
}

/* ------------------------------------------------------------- changing it */

static void put_text(uint64_t *at, jt_text text) {
  size_t words = jt_padded(text.length) / 8;
  if (words == 0) return;
  at[words - 1] = 0;
  memcpy(at, text.bytes, text.length);
}

void jt_words_begin(jt_record_words *words, jt_text id, jt_text step, int64_t time) {
  memset(words->word, 0, JT_RECORD_FIXED * sizeof words->word[0]);
  jt_words_set_time(words, JT_RECORD_CREATED_AT, time);
  jt_words_set_time(words, JT_RECORD_UPDATED_AT, time);
  words->word[JT_RECORD_SHAPE] = (uint64_t)JT_PENDING | (uint64_t)id.length << 16;
  put_text(words->word + JT_RECORD_FIXED, id);
  jt_words_set_step(words, step);
}

void jt_words_set_step(jt_record_words *words, jt_text step) {
  uint64_t *shape = &words->word[JT_RECORD_SHAPE];
  *shape = (*shape & ~(UINT64_C(0xffff) << 32)) | (uint64_t)step.length << 32;
  put_text(words->word + jt_shape_step_at(*shape), step);
}

static uint64_t shape_with(uint64_t shape, uint32_t blobs) {
  return (shape & ~UINT64_C(0xff00)) | (uint64_t)blobs << 8;
}

/* The texts move: they are behind the blobs. */
void jt_words_set_blobs(jt_record_words *words, uint32_t blobs,
                        const jt_blob blob[JT_BLOBS]) {
  uint64_t *shape = &words->word[JT_RECORD_SHAPE];
  uint64_t old = *shape;
  *shape = shape_with(old, blobs);
  memmove(words->word + jt_shape_id_at(*shape), words->word + jt_shape_id_at(old),
          (jt_shape_words(old) - jt_shape_id_at(old)) * sizeof *shape);
  uint64_t *at = words->word + JT_RECORD_FIXED;
  for (; blobs != 0; blobs &= blobs - 1) {
    const jt_blob *one = &blob[__builtin_ctz(blobs)];
    *at++ = (uint64_t)one->unit << JT_LENGTH_BITS | one->length;
    *at++ = one->checksum;
  }
}

uint32_t jt_words_units(const jt_record_words *words, uint32_t blobs) {
  return shape_units(shape_with(jt_words_shape(words), blobs));
}

/* ------------------------------------------------------------ in the region */

bool jt_record_glance(const jt_store *store, uint32_t unit, jt_glance *glance) {
  const jt_word *from = jt_unit_words(store, unit);
  uint64_t shape;
  if (!shape_at(store, unit, &shape)) return false;
  glance_at(shape, jt_word_load(from + JT_RECORD_VERSION),
            jt_word_load(from + JT_RECORD_FINISHED_AT), glance);
  if (glance->blobs == 0) return true;
  uint64_t pairs[2 * JT_BLOBS];
  jt_words_read(pairs, from + JT_RECORD_FIXED,
                (jt_shape_id_at(shape) - JT_RECORD_FIXED) * 8);
  read_blobs(glance->blobs, pairs, glance->blob);
  return blobs_valid(store, glance->blobs, pairs);
}

bool jt_record_hash(const jt_store *store, uint32_t unit, uint64_t *hash) {
  uint64_t id[(JT_ID_MAX + 7) / 8];
  uint64_t shape;
  if (!shape_at(store, unit, &shape)) return false;
  jt_words_read(id, jt_unit_words(store, unit) + jt_shape_id_at(shape),
                jt_shape_id_length(shape));
  *hash = jt_hash(id, jt_shape_id_length(shape));
  return true;
}

bool jt_record_is(const jt_store *store, uint32_t unit, jt_text id) {
  const jt_word *from = jt_unit_words(store, unit);
  char found[(JT_ID_MAX + 7) / 8 * 8];
  uint64_t shape;
  if (!shape_at(store, unit, &shape) || jt_shape_id_length(shape) != id.length)
    return false;
  jt_words_read(found, from + jt_shape_id_at(shape), id.length);
  return memcmp(found, id.bytes, id.length) == 0;
}
