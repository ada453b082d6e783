/*
** raw.c - see raw.h.
*/
#include "raw.h"

#include "store/cells.h"

static size_t words_of(size_t bytes) {
  return (bytes + 7) / 8;
}

static uint64_t *put(uint64_t *at, jt_text text) {
  size_t words = words_of(text.length);
  memset(at, 0, words * 8);
  if (text.length > 0) memcpy(at, text.bytes, text.length);
  return at + words;
}

void raw_seal(uint64_t *words, size_t count) {
  words[0] = jt_hash(words + 1, (count - 1) * 8);
}

size_t raw_encode(const raw_record *record, uint64_t words[RAW_WORDS]) {
  uint64_t *at = words + 9, blobs = 0;
  for (int i = 0; i < RAW_BLOBS; i++) {
    const raw_blob *blob = &record->blob[i];
    if (blob->unit == 0) continue;
    blobs |= UINT64_C(1) << i;
    *at++ = blob->unit << 36 | blob->length;
    *at++ = blob->checksum;
  }
  words[1] = record->version;
  words[2] = record->status | blobs << 8 | (uint64_t)record->id.length << 16 |
             (uint64_t)record->step.length << 32 | record->owner << 48;
  words[3] = record->sequence;
  words[4] = (uint64_t)record->created_at;
  words[5] = (uint64_t)record->updated_at;
  words[6] = (uint64_t)record->started_at;
  words[7] = (uint64_t)record->finished_at;
  memcpy(&words[8], &record->progress, 8);
  at = put(put(at, record->id), record->step);
  raw_seal(words, (size_t)(at - words));
  return (size_t)(at - words);
}

void raw_write(const jt_store *store, uint32_t unit, const uint64_t *words,
               size_t count) {
  memcpy(store->base + (size_t)unit * JT_UNIT, words, count * 8);
}

void raw_publish(jt_store *store, uint32_t unit, const raw_record *record) {
  uint64_t words[RAW_WORDS], hash = jt_hash(record->id.bytes, record->id.length);
  size_t count = raw_encode(record, words);
  raw_write(store, unit, words, count);
  jt_cell_publish(store, jt_cells_vacant(store, hash),
                  jt_cell_make(hash, record->version, unit));
}

raw_record raw_read(const jt_store *store, uint32_t unit) {
  const uint64_t *words = (const void *)(store->base + (size_t)unit * JT_UNIT);
  const uint64_t *at = words + 9;
  raw_record r = { .version = words[1], .sequence = words[3], .status = words[2] & 0xff,
                   .owner = words[2] >> 48 };
  r.created_at = (int64_t)words[4];
  r.updated_at = (int64_t)words[5];
  r.started_at = (int64_t)words[6];
  r.finished_at = (int64_t)words[7];
  memcpy(&r.progress, &words[8], 8);
  for (int i = 0; i < RAW_BLOBS; i++) {
    if (!(words[2] >> (8 + i) & 1)) continue;
    r.blob[i] = (raw_blob){ at[0] >> 36, at[0] & ((UINT64_C(1) << 36) - 1), at[1] };
    at += 2;
  }
  r.id = (jt_text){ (const char *)at, words[2] >> 16 & 0xffff };
  at += words_of(r.id.length);
  r.step = (jt_text){ (const char *)at, words[2] >> 32 & 0xffff };
  return r;
}

uint32_t raw_units(const raw_record *record) {
  uint64_t words[RAW_WORDS];
  return (uint32_t)((raw_encode(record, words) * 8 + 63) / 64);
}
