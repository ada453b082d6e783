/*
** words.c - the hash, and long texts. Multiply two words to 128 bits and fold the
** halves; four independent lanes keep the multiplier busy on long texts.
**
** A long text goes line by line, and what that takes is waiting for memory. So the
** lines a page ahead are asked for: what the processor fetches by itself ends with each
** page. And a text is hashed while it is written, when there is nothing else to do.
*/
#include "words.h"

__extension__ typedef unsigned __int128 wide;

#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xd1b54a32d192ed03)
#define K2 UINT64_C(0x8cb92ba72f3d8dd7)
#define K3 UINT64_C(0xaef17502108ef2d9)

enum { LINE = 64, LINE_WORDS = LINE / sizeof(jt_word), AHEAD = 4096 };

/* ------------------------------------------------------------------------ lines */

#if defined __has_feature
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif

/* A sanitizer sees what C does. JT_WORDS_PORTABLE: for a test of the other way. */
#if !defined __x86_64__ || defined JT_WORDS_PORTABLE || defined __SANITIZE_ADDRESS__ || \
    defined __SANITIZE_THREAD__ || HAS(address_sanitizer) || HAS(thread_sanitizer)

static inline void line_write(jt_word *to, const char *from) {
  jt_words_write(to, from, LINE);
}

static inline void line_read(char *to, const jt_word *from) {
  jt_words_read(to, from, LINE);
}

#else

/*
** Sixteen bytes at a time, at any address: no compiler makes that of atomic words. It
** may stand for relaxed words here, because
**   - nobody believes a word of a copy before the second look at the cell (read.c): what
**     is torn within a word is thrown away with what is torn between two;
**   - x86 keeps plain loads in order, and plain stores, of any size. All that acquire,
**     release and their fences mean there is that the compiler keeps the order too, and
**     it moves no access to memory across an asm that says "memory".
** What the processor may reorder (a non-temporal store, a string instruction) would need
** fences of its own.
*/
static inline void line_copy(void *to, const void *from) {
  __asm__ volatile("movdqu (%1), %%xmm0\n\t"
                   "movdqu 16(%1), %%xmm1\n\t"
                   "movdqu 32(%1), %%xmm2\n\t"
                   "movdqu 48(%1), %%xmm3\n\t"
                   "movdqu %%xmm0, (%0)\n\t"
                   "movdqu %%xmm1, 16(%0)\n\t"
                   "movdqu %%xmm2, 32(%0)\n\t"
                   "movdqu %%xmm3, 48(%0)"
                   : : "r"(to), "r"(from) : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

static inline void line_write(jt_word *to, const char *from) {
  line_copy(to, from);
}

static inline void line_read(char *to, const jt_word *from) {
  line_copy(to, from);
}

#endif

/* The line to ask for, of the 'left' bytes from 'at' on: none beyond them. */
static inline const jt_word *ahead(const jt_word *at, size_t left) {
  return at + (left > AHEAD ? AHEAD : 0) / sizeof *at;
}

/* Into the second cache: all of a page does not fit into the first beside the copy. The
   copy's lines begin where a store of sixteen bytes lies within one of the caches'. */
void jt_words_read_text(void *to, const jt_word *from, size_t bytes) {
  char *at = to;
  if ((uintptr_t)at % 16 == 8 && bytes >= 8) {
    jt_words_read(at, from++, 8);
    at += 8, bytes -= 8;
  }
  for (; bytes >= LINE; bytes -= LINE, at += LINE, from += LINE_WORDS) {
    __builtin_prefetch(ahead(from, bytes), 0, 2);
    line_read(at, from);
  }
  jt_words_read(at, from, bytes);
}

/* --------------------------------------------------------------------- the hash */

static inline uint64_t fold(uint64_t a, uint64_t b) {
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t word_at(const char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, 8);
  return word;
}

static inline uint64_t fold_pair(uint64_t lane, const char *bytes, uint64_t k) {
  return fold(lane ^ word_at(bytes), k ^ word_at(bytes + 8));
}

static inline uint64_t hash_rest(uint64_t lane, const char *at, size_t left) {
  for (; left >= 16; left -= 16, at += 16)
    lane = fold_pair(lane, at, K1);
  if (left > 0) {
    char tail[16] = { 0 };
    memcpy(tail, at, left);
    lane = fold_pair(lane, tail, K2);
  }
  return fold(lane ^ K3, K1);
}

/* 'to': where the text is written meanwhile; NULL: nowhere. */
__attribute__((always_inline))
static inline uint64_t hash_to(jt_word *to, const char *at, size_t left) {
  uint64_t lane = K0 ^ left;
  if (left >= LINE) {
    uint64_t a = lane, b = K1, c = K2, d = K3;
    for (; left >= LINE; left -= LINE, at += LINE) {
      if (to != NULL) {
        __builtin_prefetch(ahead(to, left), 1);
        line_write(to, at);
        to += LINE_WORDS;
      }
      a = fold_pair(a, at, K0);
      b = fold_pair(b, at + 16, K1);
      c = fold_pair(c, at + 32, K2);
      d = fold_pair(d, at + 48, K3);
    }
    lane = fold(a ^ K1, b ^ K2) ^ fold(c ^ K3, d ^ K0);
  }
  if (to != NULL) jt_words_write(to, at, left);
  return hash_rest(lane, at, left);
}

uint64_t jt_hash(const void *bytes, size_t length) {
  return hash_to(NULL, bytes, length);
}

uint64_t jt_words_write_text(jt_word *to, const void *from, size_t bytes) {
  return hash_to(to, from, bytes);
}
