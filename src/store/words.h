/*
** words.h - how bytes cross the border of the region, and their hash. Knows
** nothing of what the bytes mean.
**
** Payload (records and blobs) is written while nobody refers to it and read
** without a lock while it may be reused, so both sides touch it only by
** relaxed atomic 64-bit words: a torn copy is then a stale value to be thrown
** away, never undefined behaviour. Order comes from the cells (cells.h). On x86-64
** records and long texts go by larger accesses, see jt_keep_order.
*/
#ifndef JT_WORDS_H
#define JT_WORDS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined __has_feature
#define JT_HAS(feature) __has_feature(feature)
#else
#define JT_HAS(feature) 0
#endif

/* Not where a sanitizer is to see each access, as C says it. */
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && \
    !defined __SANITIZE_THREAD__ && !JT_HAS(address_sanitizer) && \
    !JT_HAS(thread_sanitizer)
#define JT_WORDS_WIDE 1
#include <emmintrin.h>
#else
#define JT_WORDS_WIDE 0
#endif

typedef _Atomic uint64_t jt_word;

_Static_assert(sizeof(jt_word) == 8 && ATOMIC_LLONG_LOCK_FREE == 2,
               "the store needs lock-free 64-bit atomics");

/* A number that shows damage: in the upper half stands its complement. */
static inline uint64_t jt_twice(uint32_t value) {
  return (uint64_t)~value << 32 | value;
}

/* Bytes rounded up to whole words. */
static inline size_t jt_padded(size_t bytes) {
  return (bytes + 7) & ~(size_t)7;
}

static inline uint64_t jt_word_load(const jt_word *word) {
  return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void jt_word_store(jt_word *word, uint64_t value) {
  atomic_store_explicit(word, value, memory_order_relaxed);
}

/*
** Asks for a line that will be written soon, to be taken from the CPU that has it: until
** it is here, the next locked instruction waits. By its name where there is one: what gcc
** makes of __builtin_prefetch for any x86-64 only asks for a copy, which is not enough.
** (A processor too old for it does nothing.)
*/
__attribute__((always_inline))
static inline void jt_word_prefetch_to_write(jt_word *word) {
#ifdef __x86_64__
  __asm__ volatile("prefetchw %0" : : "m"(*word));
#else
  __builtin_prefetch(word, 1);
#endif
}

/* Into the region; the last word is padded with zeros. */
static inline void jt_words_write(jt_word *to, const void *from, size_t bytes) {
  const char *byte = from;
  size_t whole = bytes / 8, rest = bytes % 8;
  for (size_t i = 0; i < whole; i++) {
    uint64_t word;   /* of its own: one that outlives the loop is kept on the stack */
    memcpy(&word, byte + 8 * i, 8);
    jt_word_store(to + i, word);
  }
  if (rest != 0) {
    uint64_t word = 0;
    memcpy(&word, byte + 8 * whole, rest);
    jt_word_store(to + whole, word);
  }
}

/* Out of the region: exactly 'bytes' bytes are written to 'to'. */
static inline void jt_words_read(void *to, const jt_word *from, size_t bytes) {
  char *byte = to;
  size_t whole = bytes / 8, rest = bytes % 8;
  for (size_t i = 0; i < whole; i++) {
    uint64_t word = jt_word_load(from + i);
    memcpy(byte + 8 * i, &word, 8);
  }
  if (rest != 0) {
    uint64_t word = jt_word_load(from + whole);
    memcpy(byte + 8 * whole, &word, rest);
  }
}

#if JT_WORDS_WIDE
/*
** Around accesses of sixteen bytes, and the C library's memcpy: no compiler makes those
** of atomic words. They may stand for relaxed words here, because
**   - nobody believes a word of a copy before the second look at the cell (read.c): what
**     is torn within a word is thrown away with what is torn between two;
**   - x86 keeps loads in order, and plain stores, of any size. All that acquire, release
**     and their fences mean there is that the compiler keeps the order too, and it moves
**     no access to memory across an asm that says "memory".
** What memcpy may do besides (Intel's manual, volume 3, memory ordering; AMD's is no
** weaker):
**   - string instructions: their loads are loads like others. Their stores may be seen
**     out of order among themselves, but not after any later store, nor before an
**     earlier one. Texts are only read by them: they store where nobody else looks.
**   - non-temporal stores, for copies of megabytes, which glibc ends with an sfence: not
**     for pieces of a page, and again only to the copy.
** Our own non-temporal stores are in the region, so they have fences of their own.
*/
static inline void jt_keep_order(void) {
  __asm__ volatile("" : : : "memory");
}
#endif

#define JT_LINE_WORDS 8u          /* of a cache line */

/* jt_words_read for the eight words of a line. */
static inline void jt_words_read_line(uint64_t to[JT_LINE_WORDS], const jt_word *from) {
#if JT_WORDS_WIDE
  jt_keep_order();
  for (size_t i = 0; i < JT_LINE_WORDS; i += 2) {
    __m128i pair = _mm_load_si128((const __m128i *)(const void *)(from + i));
    __asm__ volatile("" : "+x"(pair));   /* loaded here, and once */
    _mm_storeu_si128((__m128i *)(void *)(to + i), pair);
  }
  jt_keep_order();
#else
  jt_words_read(to, from, JT_LINE_WORDS * sizeof *to);
#endif
}

/*
** A 64-bit hash for two uses: placing ids in the index, and noticing pages
** that a power cut left half written. Not for adversaries: ids are drawn by
** us, and who may write the file can write a matching checksum too.
*/
uint64_t jt_hash(const void *bytes, size_t length);

/*
** jt_words_write and jt_words_read for long texts: the same, only faster. Of what it
** writes, the first returns the hash too, in one pass over the text.
*/
uint64_t jt_words_write_text(jt_word *to, const void *from, size_t bytes);
void jt_words_read_text(void *to, const jt_word *from, size_t bytes);

#endif
