/*
** words.c - the hash, and long texts.
**
** What a long text takes is waiting for memory. So the lines a page ahead are asked for:
** what the processor fetches by itself ends with each page. And a text is hashed while it
** is written, when there is nothing else to do.
*/
#include "words.h"

#include <stdbool.h>

#include "hot.h"

#if JT_WORDS_WIDE && !defined JT_WORDS_PORTABLE   /* that is: for a test */
#define WIDE
#endif

__extension__ typedef unsigned __int128 wide;

/* Odd numbers without a pattern; the last is pi's first digits. */
#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xd1b54a32d192ed03)
#define K2 UINT64_C(0x8cb92ba72f3d8dd7)
#define K3 UINT64_C(0xaef17502108ef2d9)
#define K4 UINT64_C(0x243f6a8885a308d3)

enum {
  LINE = 64,
  LINE_WORDS = LINE / sizeof(jt_word),
  PAGE = 4096,
  PAGE_LINES = PAGE / LINE,
  STREAMED = 256 << 10            /* from so many bytes on, past the caches */
};

/* --------------------------------------------------------------------- the hash */

/*
** Two words at a time are multiplied into one of four lanes, each in its turn: a
** multiplication waits for the fourth before it, not for the last, and the seven of a
** record take little longer than two. A lane begins with a number of its own and is no
** sum, so the hash tells where in the text something stands.
**
** That is a multiplication for every 16 bytes, which takes longer than copying them. So
** each whole page of a text goes in as a line, of eight sums. To each, every line of the
** page adds one word: the product of its halves, of which SSE2 makes two by one
** instruction, after a key has been laid over it. No two words of a sum have the same
** key, so their order matters. (From NH of UMAC, RFC 4418, 5.2.2; of its proof nothing
** is left, as these keys are no secret.)
*/
typedef struct lanes {
  uint64_t next, second, third, fourth;
} lanes;

/* All bits of the product, in half of them. */
static inline uint64_t fold(uint64_t a, uint64_t b) {
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word_at(const char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, 8);
  return word;
}

/* 1 to 7 bytes: each is in the word, some twice. */
static inline uint64_t short_word(const char *bytes, size_t count) {
  uint32_t first, last;
  if (count >= 4) {
    memcpy(&first, bytes, 4);
    memcpy(&last, bytes + count - 4, 4);
    return (uint64_t)last << 32 | first;
  }
  return (uint64_t)(unsigned char)bytes[0] << 16 |
         (uint64_t)(unsigned char)bytes[count / 2] << 8 | (unsigned char)bytes[count - 1];
}

static inline lanes hash_pair(lanes h, uint64_t a, uint64_t b) {
  return (lanes){ h.second, h.third, h.fourth, fold(h.next ^ a, K4 ^ b) };
}

/* Four pairs: each lane once. Written out, gcc keeps it in registers. */
static inline lanes hash_line(lanes h, const char *at) {
  h.next = fold(h.next ^ word_at(at), K4 ^ word_at(at + 8));
  h.second = fold(h.second ^ word_at(at + 16), K4 ^ word_at(at + 24));
  h.third = fold(h.third ^ word_at(at + 32), K4 ^ word_at(at + 40));
  h.fourth = fold(h.fourth ^ word_at(at + 48), K4 ^ word_at(at + 56));
  return h;
}

/*
** The line i of a page has the eight from the 2i-th on. Made like SplitMix64's numbers,
** from where no half of any is four ASCII characters: where a half of a word is that of
** its key, the other half is not told.
*/
#define BEGIN UINT64_C(69515007)
#define MIX(z, shift, k) (((z) ^ (z) >> (shift)) * UINT64_C(k))
#define KEY(i) MIX(MIX((BEGIN + (i)) * K0, 30, 0xbf58476d1ce4e5b9), \
                   27, 0x94d049bb133111eb)
#define KEYS(i) KEY(i), KEY(i + 1), KEY(i + 2), KEY(i + 3), \
                KEY(i + 4), KEY(i + 5), KEY(i + 6), KEY(i + 7)

_Alignas(LINE)
static const uint64_t page_key[2 * PAGE_LINES + 6] = {
  KEYS(1), KEYS(9), KEYS(17), KEYS(25), KEYS(33), KEYS(41), KEYS(49), KEYS(57),
  KEYS(65), KEYS(73), KEYS(81), KEYS(89), KEYS(97), KEYS(105), KEYS(113), KEYS(121),
  KEY(129), KEY(130), KEY(131), KEY(132), KEY(133), KEY(134),
};

/* Eight sums, of which each line of a page adds a word to each. */
typedef uint64_t word_pair __attribute__((vector_size(16)));
typedef struct sums {
  word_pair first, second, third, fourth;
} sums;

static inline word_pair pair_at(const void *bytes) {
  word_pair pair;
  memcpy(&pair, bytes, sizeof pair);
  return pair;
}

/* Of each word's halves. */
static inline word_pair product_of_halves(word_pair words) {
#ifndef WIDE
  uint64_t first = words[0], second = words[1];
  return (word_pair){ (first & UINT32_MAX) * (first >> 32),
                      (second & UINT32_MAX) * (second >> 32) };
#else
  __m128i low = (__m128i)words, high = _mm_srli_epi64(low, 32);
  return (word_pair)_mm_mul_epu32(low, high);
#endif
}

static inline sums sum_line(sums s, const char *at, const uint64_t *key) {
  s.first += product_of_halves(pair_at(at) ^ pair_at(key));
  s.second += product_of_halves(pair_at(at + 16) ^ pair_at(key + 2));
  s.third += product_of_halves(pair_at(at + 32) ^ pair_at(key + 4));
  s.fourth += product_of_halves(pair_at(at + 48) ^ pair_at(key + 6));
  return s;
}

static inline lanes hash_sums(lanes h, sums s) {
  char line[LINE];
  memcpy(line, &s, LINE);
  return hash_line(h, line);
}

/* Ids, and but for the longest steps records, have none. */
JT_ASIDE
static lanes hash_pages(lanes h, const char *at, size_t pages) {
  for (; pages > 0; pages--) {
    sums s = { 0 };
    for (int i = 0; i < PAGE_LINES; i++, at += LINE)
      s = sum_line(s, at, page_key + 2 * i);
    h = hash_sums(h, s);
  }
  return h;
}

static inline lanes hash_pairs(lanes h, const char *at, size_t bytes) {
  for (; bytes >= LINE; bytes -= LINE, at += LINE) h = hash_line(h, at);
  for (; bytes >= 16; bytes -= 16, at += 16)
    h = hash_pair(h, word_at(at), word_at(at + 8));
  return h;
}

/* The last 'bytes' of a text of 'length': whole pairs, and what is left. That is taken
   by whole words, which may begin before it: copying it would take a call. */
static inline uint64_t hash_end(lanes h, const char *at, size_t bytes, size_t length) {
  size_t left = bytes % 16;
  h = hash_pairs(h, at, bytes);
  at += bytes - left;
  if (left > 0)
    h = hash_pair(h, left > 8 ? word_at(at) : 0,
                  length >= 8 ? word_at(at + left - 8) : short_word(at, left));
  return fold((h.next + h.second + h.third + h.fourth) ^ K0, K4 ^ length);
}

static const lanes hash_begin = { K0, K1, K2, K3 };

JT_HOT
uint64_t jt_hash(const void *bytes, size_t length) {
  const char *at = bytes;
  lanes h = hash_begin;
  size_t pages = length / PAGE;
  if (pages > 0) h = hash_pages(h, at, pages);
  return hash_end(h, at + pages * PAGE, length % PAGE, length);
}

/* ------------------------------------------------------------- pieces of a text */

#ifndef WIDE

static inline void line_write(jt_word *to, const char *from) {
  jt_words_write(to, from, LINE);
}

static inline void line_stream(jt_word *to, const char *from) {
  jt_words_write(to, from, LINE);
}

static inline void stream_fence(void) {
}

static inline void piece_read(char *to, const jt_word *from, size_t bytes) {
  jt_words_read(to, from, bytes);
}

#else

static inline void line_write(jt_word *to, const char *from) {
  jt_keep_order();
  memcpy((void *)to, from, LINE);
  jt_keep_order();
}

/* Sixteen bytes aligned. Does not fetch the line that it overwrites. */
static inline void line_stream(jt_word *to, const char *from) {
  __m128i *part = (__m128i *)(void *)to;
  jt_keep_order();
  for (size_t i = 0; i < LINE / sizeof *part; i++) {
    __m128i bytes;
    memcpy(&bytes, from + i * sizeof bytes, sizeof bytes);
    _mm_stream_si128(part + i, bytes);
  }
  jt_keep_order();
}

/*
** Before the first non-temporal store and after the last: no store of before is seen
** after them, none of after before them. That makes them relaxed stores for the release
** fence and the commit (publish.c). Who is killed in between leaves none behind either:
** the kernel marks the lock by a locked instruction, which waits for them.
*/
static inline void stream_fence(void) {
  _mm_sfence();
  jt_keep_order();
}

/* The length is hidden, else gcc copies a page by a string instruction of its own, which
   not every processor is fast at. */
static inline void piece_read(char *to, const jt_word *from, size_t bytes) {
  __asm__ volatile("" : "+r"(bytes) : : "memory");
  memcpy(to, (const void *)from, bytes);
  jt_keep_order();
}

#endif

/* ------------------------------------------------------------------- whole texts */

/* Of a text that goes on for 'left' bytes from 'at': the lines a page ahead. */
static inline void ask_ahead(const jt_word *at, size_t left) {
  for (size_t i = PAGE; i < left && i < 2 * PAGE; i += LINE)
    __builtin_prefetch(at + i / sizeof *at);
}

/* By pages: pieces for which memcpy is at its best, on which the lines asked for before
   have come. */
void jt_words_read_text(void *to, const jt_word *from, size_t bytes) {
  char *at = to;
  for (; bytes > PAGE; bytes -= PAGE, at += PAGE, from += PAGE / sizeof *from) {
    ask_ahead(from, bytes);
    piece_read(at, from, PAGE);
  }
  piece_read(at, from, bytes);
}

/* A page of a text that goes on for 'left' bytes, and the hash of it. */
static inline lanes write_page(lanes h, jt_word *to, const char *from, size_t left) {
  sums s = { 0 };
  size_t ahead = left >= 2 * PAGE ? PAGE : 0;
  for (int i = 0; i < PAGE_LINES; i++, to += LINE_WORDS, from += LINE) {
    __builtin_prefetch(to + ahead / sizeof *to, 1);
    s = sum_line(s, from, page_key + 2 * i);
    line_write(to, from);
  }
  return hash_sums(h, s);
}

/*
** Likewise, past the caches: a long text would only drive out what is there, and half of
** the time went into fetching the lines that it overwrites. One line of the next page is
** asked for: that looks up where the page is.
*/
static inline lanes stream_page(lanes h, jt_word *to, const char *from, size_t left) {
  sums s = { 0 };
  if (left >= 2 * PAGE) jt_word_prefetch_to_write(to + PAGE / sizeof *to);
  for (int i = 0; i < PAGE_LINES; i++, to += LINE_WORDS, from += LINE) {
    s = sum_line(s, from, page_key + 2 * i);
    line_stream(to, from);
  }
  return hash_sums(h, s);
}

/* What is left of it, of less than a page; returns the hash of the whole text. */
static inline uint64_t write_end(lanes h, jt_word *to, const char *from, size_t left,
                                 size_t length) {
  for (; left >= LINE; left -= LINE, to += LINE_WORDS, from += LINE) {
    h = hash_line(h, from);
    line_write(to, from);
  }
  jt_words_write(to, from, left);
  return hash_end(h, from, left, length);
}

uint64_t jt_words_write_text(jt_word *to, const void *from, size_t bytes) {
  const char *at = from;
  size_t left = bytes;
  lanes h = hash_begin;
  bool streamed = bytes >= STREAMED && (uintptr_t)to % LINE == 0;
  if (streamed) stream_fence();
  for (; left >= PAGE; left -= PAGE, at += PAGE, to += PAGE / sizeof *to)
    h = streamed ? stream_page(h, to, at, left) : write_page(h, to, at, left);
  if (streamed) stream_fence();
  return write_end(h, to, at, left, bytes);
}
