/*
** record.h - a job as words in the heap, and a private copy of them, in which it is
** read and changed. Knows neither cells nor lock.
**
** A record is a run of words, written once and never changed:
**
**   0  checksum    of all the words after it; 0 in a store that nobody verifies
**   1  version     the store's counter when this record was published
**   2  shape       status:8 | blobs:8 | id:16 | step:16 | owner:16
**   3  sequence    the store's counter when the job was created
**   4  created_at  5  updated_at  6  started_at  7  finished_at
**   8  progress    the bits of a double
**   9  a pair of words for each blob that 'blobs' has a bit for, in the order
**      result, error, meta, cancel:  unit:28 | length:36,  checksum of its bytes
**   -  the id, padded with zeros to whole words
**   -  the step, likewise
**
** owner: of an unfinished job the number of a slot (owner.h), from 1; 0: nobody.
**
** A job without blobs and with short texts takes two units, 128 bytes: the
** first cache line tells all that listing, eviction and recovery ask for.
*/
#ifndef JT_RECORD_H
#define JT_RECORD_H

#include "layout.h"

enum {   /* indices of words */
  JT_RECORD_CHECKSUM, JT_RECORD_VERSION, JT_RECORD_SHAPE, JT_RECORD_SEQUENCE,
  JT_RECORD_CREATED_AT, JT_RECORD_UPDATED_AT, JT_RECORD_STARTED_AT,
  JT_RECORD_FINISHED_AT, JT_RECORD_PROGRESS,
  JT_RECORD_FIXED                 /* words before the blobs */
};

enum {
  JT_BLOBS = 4,
  JT_RECORD_PLAIN_WORDS = 16,     /* of JT_RECORD_LEAST_UNITS */
  JT_RECORD_WORDS = JT_RECORD_FIXED + 2 * JT_BLOBS +
                    (JT_ID_MAX + 7) / 8 + (JT_STEP_MAX + 7) / 8
};

#define JT_LENGTH_BITS 36
#define JT_RECORD_LEAST_UNITS 2u  /* no record takes less */

/*
** Below it a Lua number holds a version exactly; and 10000-01-01 has no ISO 8601
** form of four digits. A larger one is damage. Recovery refuses what comes
** within half of the one and a century of the other, so that the store can go on
** counting from what it has let in.
*/
#define JT_VERSION_LIMIT (UINT64_C(1) << 53)
#define JT_TIME_LIMIT UINT64_C(253402300800000000)  /* so a negative time is late */
#define JT_VERSION_SAFE (JT_VERSION_LIMIT / 2)
#define JT_TIME_SAFE ((int64_t)JT_TIME_LIMIT - INT64_C(100) * 31557600 * 1000000)

typedef struct jt_blob {
  uint32_t unit;                  /* 0: absent, in what jt_words_blobs fills */
  uint64_t length;
  uint64_t checksum;
} jt_blob;

/* What a job holds, and what decides whether it may go. */
typedef struct jt_glance {
  uint64_t version;
  int64_t finished_at;
  jt_status status;
  uint32_t owner;
  uint32_t units;                 /* of its record */
  uint32_t blobs;                 /* a bit for each that is there; others are unset */
  jt_blob blob[JT_BLOBS];         /* result, error, meta, cancel */
} jt_glance;

/* A private copy of a record's words. */
typedef struct jt_record_words {
  _Alignas(16) uint64_t word[(JT_RECORD_WORDS + JT_LINE_WORDS - 1) /
                             JT_LINE_WORDS * JT_LINE_WORDS];
} jt_record_words;

/*
** What word 2, the shape, says. It is read each time it is asked: to keep the answers
** would take a get as long as all else that it does with them.
*/

static inline uint32_t jt_shape_status(uint64_t shape) {
  return shape & 0xff;
}

static inline uint32_t jt_shape_blobs(uint64_t shape) {
  return shape >> 8 & 0xff;
}

static inline uint32_t jt_shape_id_length(uint64_t shape) {
  return shape >> 16 & 0xffff;
}

static inline uint32_t jt_shape_step_length(uint64_t shape) {
  return shape >> 32 & 0xffff;
}

static inline uint32_t jt_shape_owner(uint64_t shape) {
  return (uint32_t)(shape >> 48);
}

/*
** Where its texts begin and it ends, in words, if there can be a record of that shape.
** That most have no blobs is a branch of its own: a processor guesses it, and goes on
** before the shape has come. The number of blobs is from a table of hexadecimal digits:
** compilers call a function for the general case.
*/
static inline uint32_t jt_shape_id_at(uint64_t shape) {
  if (__builtin_expect(jt_shape_blobs(shape) == 0, true)) return JT_RECORD_FIXED;
  uint32_t blobs = (uint32_t)(UINT64_C(0x4332322132212110) >> (shape >> 6 & 0x3c)) & 7;
  return JT_RECORD_FIXED + 2 * blobs;
}

static inline uint32_t jt_shape_step_at(uint64_t shape) {
  return jt_shape_id_at(shape) + (jt_shape_id_length(shape) + 7) / 8;
}

static inline uint32_t jt_shape_words(uint64_t shape) {
  return jt_shape_step_at(shape) + (jt_shape_step_length(shape) + 7) / 8;
}

/*
** Whether it is that of most records: possible, without blobs, and in the units that each
** record has. The bits that it must not have mean a status that there is not, a blob, an
** owner from 256 on; of the lengths it is enough that the id has one and that both fit.
**
** It is asked first, because it takes few instructions. What they cost is not the time
** they take but that they wait, for the record to come from memory. While it waits, a
** processor goes on to the next get and asks for that one's cell, as long as it has room
** for all that waits. With the thirty instructions of the whole question, and as many for
** copying out each thing by itself, it had not: a get among a million jobs took 330 ns,
** as long as two reads of memory one after the other. Now it takes 200.
*/
static inline bool jt_shape_is_plain(uint64_t shape) {
  uint32_t id = jt_shape_id_length(shape), step = jt_shape_step_length(shape);
  return (shape & UINT64_C(0xff0000000000fffc)) == 0 && id >= JT_ID_MIN &&
         (id + 7) / 8 + (step + 7) / 8 <= JT_RECORD_PLAIN_WORDS - JT_RECORD_FIXED;
}

_Static_assert(JT_STATUSES == 4 && JT_OWNERS >= 255 &&
               (JT_RECORD_PLAIN_WORDS - JT_RECORD_FIXED) * 8 <= JT_ID_MAX &&
               (JT_RECORD_PLAIN_WORDS - JT_RECORD_FIXED) * 8 <= JT_STEP_MAX,
               "a plain shape is possible");

/*
** The version is stored last and copied first: who copies a record's version copies
** that record's words with it, or later ones. So a reader who slept until the cell's
** bits came round again (read.c) can tell by the version whether its copy is whole.
*/

/* Release: pairs with jt_record_version_first. Into a run that nobody refers to yet. */
static inline void jt_record_write(jt_word *to, const uint64_t *words, size_t count) {
  enum { AFTER = JT_RECORD_VERSION + 1 };
  jt_word_store(to, words[0]);
#pragma GCC unroll 4
  for (size_t i = AFTER; i < count; i++) jt_word_store(to + i, words[i]);
  atomic_store_explicit(to + JT_RECORD_VERSION, words[JT_RECORD_VERSION],
                        memory_order_release);
}

/* Acquire: pairs with jt_record_write. */
static inline uint64_t jt_record_version_first(const jt_word *from) {
  return atomic_load_explicit(from + JT_RECORD_VERSION, memory_order_acquire);
}

/* The checksum of a record of so many words. */
uint64_t jt_record_checksum(const uint64_t *words, size_t count);

/*
** Copies the record at 'unit' out of the region, with what is behind it in its last
** unit: the caller finds out whether it was whole. False: what is there cannot be a
** record, or not one inside the heap; either it changed meanwhile or the store is
** damaged.
*/
bool jt_record_copy(const jt_store *store, uint32_t unit, jt_record_words *out);

/*
** Whether the private copy is a record: every value in its range, every run
** inside the heap. Nothing is followed.
*/
bool jt_record_valid(const jt_store *store, const jt_record_words *words);

/* ---------------------------------------------------- reading a valid copy */

static inline uint64_t jt_words_version(const jt_record_words *words) {
  return words->word[JT_RECORD_VERSION];
}

static inline uint64_t jt_words_sequence(const jt_record_words *words) {
  return words->word[JT_RECORD_SEQUENCE];
}

/* The time in the word of that index. */
static inline int64_t jt_words_time(const jt_record_words *words, uint32_t index) {
  return (int64_t)words->word[index];
}

static inline uint64_t jt_words_shape(const jt_record_words *words) {
  return words->word[JT_RECORD_SHAPE];
}

static inline jt_status jt_words_status(const jt_record_words *words) {
  return (jt_status)jt_shape_status(jt_words_shape(words));
}

static inline uint32_t jt_words_owner(const jt_record_words *words) {
  return jt_shape_owner(jt_words_shape(words));
}

static inline jt_text jt_words_id(const jt_record_words *words) {
  uint64_t shape = jt_words_shape(words);
  return (jt_text){ (const char *)(words->word + jt_shape_id_at(shape)),
                    jt_shape_id_length(shape) };
}

static inline jt_text jt_words_step(const jt_record_words *words) {
  uint64_t shape = jt_words_shape(words);
  return (jt_text){ (const char *)(words->word + jt_shape_step_at(shape)),
                    jt_shape_step_length(shape) };
}

/* Absent ones: unit 0. */
void jt_words_blobs(const jt_record_words *words, jt_blob blob[JT_BLOBS]);

void jt_words_glance(const jt_record_words *words, jt_glance *glance);

/* ------------------------------------------------------------- changing it */

/* A new job's, pending, of no version yet. */
void jt_words_begin(jt_record_words *words, jt_text id, jt_text step, int64_t time);

static inline void jt_words_set_time(jt_record_words *words, uint32_t index,
                                     int64_t time) {
  words->word[index] = (uint64_t)time;
}

static inline void jt_words_set_progress(jt_record_words *words, double progress) {
  memcpy(&words->word[JT_RECORD_PROGRESS], &progress, sizeof progress);
}

static inline void jt_words_set_status(jt_record_words *words, jt_status status) {
  uint64_t *shape = &words->word[JT_RECORD_SHAPE];
  *shape = (*shape & ~UINT64_C(0xff)) | (uint64_t)status;
}

static inline void jt_words_set_owner(jt_record_words *words, uint32_t owner) {
  uint64_t *shape = &words->word[JT_RECORD_SHAPE];
  *shape = (*shape & ~(UINT64_C(0xffff) << 48)) | (uint64_t)owner << 48;
}

/* 'step' does not lie in 'words'. */
void jt_words_set_step(jt_record_words *words, jt_text step);

/* These and no others: a bit of 'blobs' for each of 'blob' that is to be there. */
void jt_words_set_blobs(jt_record_words *words, uint32_t blobs,
                        const jt_blob blob[JT_BLOBS]);

/* The units that it takes with these blobs. */
uint32_t jt_words_units(const jt_record_words *words, uint32_t blobs);

/* ------------------------------------------------------------ in the region */

/*
** Asks the memory for the first lines of a record that will be read. Two are
** most records whole; one is all that jt_record_glance looks at. Always inline:
** gcc 12 takes a function that only prefetches for one without effect, and
** drops the call.
*/
__attribute__((always_inline))
static inline void jt_record_prefetch(const jt_store *store, uint32_t unit,
                                      uint32_t lines) {
  if (!jt_run_inside(&store->geometry, unit, lines)) return;
  __builtin_prefetch(jt_unit_words(store, unit));
  if (lines > 1) __builtin_prefetch(jt_unit_words(store, unit + 1));
}

/* From the first cache line, and the blobs' places. Under the lock. False: not a record
   inside the heap. */
bool jt_record_glance(const jt_store *store, uint32_t unit, jt_glance *glance);

/* Whether the record's own checksum holds. */
bool jt_record_intact(const jt_record_words *words);

/* The hash of its id. False: no record is there. Under the lock. */
bool jt_record_hash(const jt_store *store, uint32_t unit, uint64_t *hash);

/* Whether the record at 'unit' is of that id. Under the lock. */
bool jt_record_is(const jt_store *store, uint32_t unit, jt_text id);

/* The units of its record and its blobs together. */
uint64_t jt_glance_units(const jt_glance *glance);

/* All that a job whose record is at 'unit' occupies. Returns how many runs: the record
   first, then its blobs. */
typedef struct jt_run {
  uint32_t unit, units;
} jt_run;

enum { JT_RUNS = 1 + JT_BLOBS };

int jt_glance_runs(const jt_glance *glance, uint32_t unit, jt_run runs[JT_RUNS]);

#endif
