/*
** file_mutate.c - changes inputs of file_fuzz so that they get far: it finds the records
** by the cells, changes what it likes, and makes checksums right again, most of the time.
** Bytes changed at random are dropped by the first checksum that they meet.
*/
#include <string.h>

#include "image.h"
#include "store/cells.h"

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t length, size_t max, unsigned seed);

/* ------------------------------------------------------------------------ chance */

static uint64_t state;

static uint64_t draw(uint64_t limit) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return state % limit;
}

static uint64_t edge_value(const jt_geometry *geometry) {
  const uint64_t values[] = {
    0, 1, 2, 9, 10, JT_ID_MAX, JT_ID_MAX + 1, JT_OWNERS, JT_OWNERS + 1, JT_STEP_MAX,
    JT_STEP_MAX + 1, UINT16_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, (uint64_t)INT64_MIN,
    (1u << JT_UNIT_BITS) - 1, (UINT64_C(1) << JT_LENGTH_BITS) - 1, JT_VERSION_LIMIT,
    JT_VERSION_LIMIT - 1, JT_VERSION_SAFE, JT_TIME_LIMIT, JT_TIME_LIMIT - 1, 1u << 24,
    geometry->size, geometry->end_unit, geometry->end_unit - 1, geometry->first_unit,
    geometry->first_unit - 1, geometry->cells, geometry->max_jobs, jt_twice(3)
  };
  return values[draw(sizeof values / sizeof values[0])];
}

static void change_word(jt_word *word, const jt_geometry *geometry) {
  uint64_t value = jt_word_load(word);
  switch (draw(4)) {
    case 0: value = edge_value(geometry); break;
    case 1: value ^= UINT64_C(1) << draw(64); break;
    case 2: value += draw(5) - 2; break;
    default: memcpy((char *)&value + 2 * draw(4), &(uint16_t){ (uint16_t)draw(300) }, 2);
  }
  jt_word_store(word, value);
}

/* -------------------------------------------------------------------- structures */

/* The cells that refer to units of the heap; how many. */
static size_t jobs_of(const jt_store *store, uint32_t jobs[64]) {
  size_t count = 0;
  for (uint32_t at = 0; at < store->geometry.cells && count < 64; at++) {
    uint64_t cell = jt_word_load(&store->cells[at]);
    if (jt_cell_is_job(cell) && jt_run_inside(&store->geometry, jt_cell_unit(cell), 2))
      jobs[count++] = at;
  }
  return count;
}

static uint32_t some_job(const jt_store *store) {
  uint32_t jobs[64];
  size_t count = jobs_of(store, jobs);
  return count == 0 ? JT_NO_CELL : jobs[draw(count)];
}

/* Its checksum, and a cell that suits its version and id. */
static void seal(jt_store *store, uint32_t at) {
  uint32_t unit = jt_cell_unit(jt_word_load(&store->cells[at]));
  jt_record_words words;
  if (!jt_record_copy(store, unit, &words)) return;
  uint64_t sum = jt_record_checksum(words.word, jt_shape_words(jt_words_shape(&words)));
  jt_text id = jt_words_id(&words);
  jt_word_store(jt_unit_words(store, unit), sum);
  jt_word_store(&store->cells[at], jt_cell_make(jt_hash(id.bytes, id.length),
                                                jt_words_version(&words), unit));
}

/* A blob's checksum too, if it is there. */
static void seal_blobs(jt_store *store, uint32_t at) {
  uint32_t unit = jt_cell_unit(jt_word_load(&store->cells[at]));
  jt_word *words = jt_unit_words(store, unit);
  jt_record_words copy;
  jt_blob blob[JT_BLOBS];
  if (!jt_record_copy(store, unit, &copy)) return;
  jt_words_blobs(&copy, blob);
  for (int i = 0, pair = JT_RECORD_FIXED; i < JT_BLOBS; i++) {
    if (blob[i].unit == 0) continue;
    if (jt_run_inside(&store->geometry, blob[i].unit, jt_units_for(blob[i].length)) &&
        blob[i].length <= store->geometry.size)
      jt_word_store(words + pair + 1, jt_hash(jt_unit_words(store, blob[i].unit),
                                              blob[i].length));
    pair += 2;
  }
}

static void change_record(jt_store *store) {
  uint32_t at = some_job(store);
  if (at == JT_NO_CELL) return;
  uint32_t unit = jt_cell_unit(jt_word_load(&store->cells[at]));
  change_word(jt_unit_words(store, unit) + draw(16), &store->geometry);
  if (draw(2)) seal_blobs(store, at);
  if (draw(8)) seal(store, at);
}

static void change_cell(jt_store *store) {
  jt_word *cell = &store->cells[draw(store->geometry.cells)];
  uint32_t at = some_job(store);
  uint64_t value = jt_word_load(&store->cells[at == JT_NO_CELL ? 0 : at]);
  switch (draw(5)) {
    case 0: value = draw(2); break;
    case 1: change_word(cell, &store->geometry); return;
    case 2: value = (value & ~UINT64_C(0xfffffff)) |
                    (store->geometry.first_unit + draw(store->geometry.end_unit)); break;
    case 3: jt_word_store(&store->cells[at == JT_NO_CELL ? 0 : at], draw(2)); break;
    default: break;               /* the same job, once more */
  }
  jt_word_store(cell, value);
}

/* One job's record in the units of another, or of nobody, with a cell of its own. */
static void copy_record(jt_store *store) {
  uint32_t at = some_job(store), first = store->geometry.first_unit;
  uint32_t units = store->geometry.end_unit - first;
  if (at == JT_NO_CELL) return;
  uint32_t from = jt_cell_unit(jt_word_load(&store->cells[at]));
  uint32_t to = first + (uint32_t)draw(units - 1);
  memmove(jt_unit_words(store, to), jt_unit_words(store, from), 2 * JT_UNIT);
  uint32_t cell = (uint32_t)draw(store->geometry.cells);
  jt_word_store(&store->cells[cell], jt_cell_make(0, 0, to));
  change_word(jt_unit_words(store, to) + 8 + draw(6), &store->geometry);
  seal(store, cell);
}

static void change_header(jt_store *store) {
  const size_t first = offsetof(jt_header, pid_namespace) / 8;
  jt_word *words = (jt_word *)(void *)store->base;
  change_word(words + first + draw(sizeof(jt_header) / 8 - first), &store->geometry);
}

static void change_shape(jt_store *store) {
  jt_header *header = store->header;
  switch (draw(4)) {
    case 0: header->size = edge_value(&store->geometry); break;
    case 1: header->max_jobs = edge_value(&store->geometry); break;
    case 2: header->size -= JT_UNIT * draw(8); break;
    default: header->max_jobs += draw(9) - 4;
  }
  if (draw(8)) header->identity = jt_header_identity(header);
}

static void change_slot(jt_store *store) {
  jt_word *slot = (jt_word *)(void *)&store->slots[draw(JT_OWNERS)];
  change_word(slot + draw(sizeof(jt_slot) / 8), &store->geometry);
}

static void change_structure(jt_store *store) {
  switch (draw(10)) {
    case 0: case 1: case 2: case 3: change_record(store); break;
    case 4: case 5: change_cell(store); break;
    case 6: copy_record(store); break;
    case 7: change_header(store); break;
    case 8: change_slot(store); break;
    default: change_shape(store);
  }
}

/* ------------------------------------------------------------------------- inputs */

/* The input's script changed by libFuzzer's own means; the new length. */
static size_t change_script(uint8_t *input, const image *old, size_t max) {
  size_t room = max - old->size - 2;
  size_t length = LLVMFuzzerMutate(input + old->size, old->script_length,
                                   room < SCRIPT_MAX ? room : SCRIPT_MAX);
  input[old->size + length] = (uint8_t)length;
  input[old->size + length + 1] = (uint8_t)(length >> 8);
  return old->size + length + 2;
}

static bool shape_of(const unsigned char *bytes, size_t size, jt_geometry *geometry) {
  const jt_header *header = (const void *)bytes;
  return size >= JT_PAGE &&
         jt_geometry_make(header->size, header->max_jobs, geometry, NULL) &&
         geometry->size <= size;
}

/* Now and then a byte string anywhere, in the libFuzzer's manner, of the same length. */
static void change_bytes(unsigned char *bytes, size_t size) {
  size_t length = 1 + draw(64), at = draw(size);
  if (length > size - at) length = size - at;
  LLVMFuzzerMutate(bytes + at, length, length);
}

size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t length, size_t max, unsigned seed) {
  static _Alignas(4096) unsigned char bytes[IMAGE_MAX];
  image old = image_of(input, length);
  jt_geometry geometry;
  jt_store store;
  state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  if (length < 2 || old.size < 8 || old.size > IMAGE_MAX ||
      max < old.size + 2 + SCRIPT_MAX)
    return LLVMFuzzerMutate(input, length, max);
  if (draw(3) == 0) return change_script(input, &old, max);
  memcpy(bytes, input, old.size);
  if (draw(20) == 0 || !shape_of(bytes, old.size, &geometry)) {
    change_bytes(bytes, old.size);
  } else {
    jt_store_attach(&store, &geometry, bytes);
    for (uint64_t times = 1 + draw(4); times > 0; times--) change_structure(&store);
  }
  memcpy(input, bytes, old.size);
  return length;
}
