/*
** raw.h - records written and read by the tests' own hand, after the picture in
** src/store/record.h, for regions that are built and not made by calls. Knows
** nothing of record.c.
*/
#ifndef RAW_H
#define RAW_H

#include "region.h"

typedef struct raw_blob {
  uint64_t unit, length, checksum;  /* unit 0: absent */
} raw_blob;

enum { RAW_BLOBS = 4 };

typedef struct raw_record {
  uint64_t version, sequence, status, owner;
  int64_t created_at, updated_at, started_at, finished_at;
  double progress;
  raw_blob blob[RAW_BLOBS];
  jt_text id, step;               /* of one that was read: in the region */
} raw_record;

enum { RAW_WORDS = 9 + 2 * RAW_BLOBS + (JT_ID_MAX + 7) / 8 + (JT_STEP_MAX + 7) / 8 };

/* Fills the words, the checksum too; returns how many. */
size_t raw_encode(const raw_record *record, uint64_t words[RAW_WORDS]);

/* Makes the checksum right again, after words were replaced. */
void raw_seal(uint64_t *words, size_t count);

/* Into the heap, at that unit. */
void raw_write(const jt_store *store, uint32_t unit, const uint64_t *words, size_t count);

/* Both, and a cell that says it is there: the job is, with the version that it says. */
void raw_publish(jt_store *store, uint32_t unit, const raw_record *record);

/* Reads a sound record. */
raw_record raw_read(const jt_store *store, uint32_t unit);

/* The units that such a record takes, without its blobs. */
uint32_t raw_units(const raw_record *record);

#endif
