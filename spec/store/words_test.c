/*
** words_test.c - src/store/words.c: texts of all lengths, from and to all addresses, by
** the accesses of this machine and by those of any other.
*/
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "store/words.h"

typedef uint64_t hash_text(const void *bytes, size_t length);
typedef uint64_t write_text(jt_word *to, const void *from, size_t bytes);
typedef void read_text(void *to, const jt_word *from, size_t bytes);

/* The same file again, as on a machine that it knows nothing of. */
hash_text portable_hash;
write_text portable_write_text;
read_text portable_read_text;
#define JT_WORDS_PORTABLE
#define jt_hash portable_hash
#define jt_words_write_text portable_write_text
#define jt_words_read_text portable_read_text
#include "store/words.c"
#undef jt_hash
#undef jt_words_write_text
#undef jt_words_read_text

static write_text *const writes[] = { jt_words_write_text, portable_write_text };
static read_text *const reads[] = { jt_words_read_text, portable_read_text };

enum { WAYS = 2, PAGES = 5, LONGEST = 3 * PAGE, UNTOUCHED = 0x5a };

/* So many pages; who touches the byte after them does not come back. */
static char *make_pages(void) {
  char *pages = mmap(NULL, (PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  CHECK_INT(mprotect(pages + PAGES * PAGE, PAGE, PROT_NONE), 0);
  return pages;
}

static void fill_random(char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) bytes[i] = (char)check_below(256);
}

static bool all_are(const char *bytes, size_t count, char value) {
  for (size_t i = 0; i < count; i++)
    if (bytes[i] != value) return false;
  return true;
}

/* All short lengths, then such as end around lines. */
static size_t next_length(size_t length) {
  if (length < 300) return length + 1;
  return length % 64 == 1 ? length + 54 : length % 64 == 55 ? length + 9 : length + 1;
}

/* A run of words that ends where the pages do. */
static char *last_words(char *pages, size_t length) {
  return pages + PAGES * PAGE - jt_padded(length);
}

/* ------------------------------------------------------------------- writing */

static void check_write(write_text *write, char *region, const char *text,
                        size_t length) {
  char *to = last_words(region, length);
  memset(region, UNTOUCHED, PAGES * PAGE);
  CHECK(write((jt_word *)(void *)to, text, length) == jt_hash(text, length));
  CHECK(memcmp(to, text, length) == 0);
  CHECK(all_are(to + length, jt_padded(length) - length, 0));
  CHECK(all_are(region, (size_t)(to - region), UNTOUCHED));
}

static void writes_the_text_and_no_more(void) {
  char *region = make_pages(), *source = make_pages(), *end = source + PAGES * PAGE;
  fill_random(source, PAGES * PAGE);
  for (size_t length = 0; length < LONGEST; length = next_length(length)) {
    for (int way = 0; way < WAYS; way++)
      check_write(writes[way], region, end - length, length);
  }
}

/* Texts that are written past the caches, and the last that is not. */
static void writes_long_texts_too(void) {
  size_t room = 2 * STREAMED;
  char *source = check_memory(room), *region = check_memory(room + 2 * LINE);
  jt_word *to = (jt_word *)(void *)(region + LINE - (uintptr_t)region % LINE);
  fill_random(source, room);
  for (size_t length = STREAMED - 1; length <= STREAMED + 2 * LINE + 1; length++) {
    for (int way = 0; way < WAYS; way++) {
      memset(region, UNTOUCHED, room + 2 * LINE);
      CHECK(writes[way](to, source, length) == jt_hash(source, length));
      CHECK(memcmp((char *)to, source, length) == 0);
      CHECK_INT(((char *)to)[jt_padded(length)], UNTOUCHED);
    }
  }
  for (int i = 0; i < 2; i++) {   /* from and to where nothing is aligned */
    uint64_t hash = jt_hash(source + 1, STREAMED);
    CHECK(jt_words_write_text(to + i, source + 1, STREAMED) == hash);
    CHECK(memcmp((char *)(to + i), source + 1, STREAMED) == 0);
  }
  free(source), free(region);
}

/* A long text in the region, and two words that say how far writer and reader are. */
typedef struct passing {
  jt_word text[STREAMED / sizeof(jt_word)];
  _Alignas(LINE) jt_word written;
  _Alignas(LINE) jt_word seen;
} passing;

/* Without a fence one round in a thousand was seen to fail. On one CPU each round takes
   time slices: there a second has to do. */
enum { ROUNDS = 10000, LAST_LINES = 16 };
#define LONGEST_TIME 1.0          /* seconds */
#define ENOUGH UINT64_MAX

/* How many of the last lines are not of that round. */
static int stale_lines(const passing *p, uint64_t round) {
  const jt_word *at = (&p->text)[1] - 1;
  int stale = 0;
  for (int i = 0; i < LAST_LINES; i++, at -= LINE_WORDS)
    stale += jt_word_load(at) != round;
  return stale;
}

/* Looks at the lines also while it waits: what has to be taken out of another's cache
   takes longest to be there. */
static void see_each_round(void *context) {
  passing *p = context;
  uint64_t stale = 0;
  for (uint64_t round = 1, written; ; round++) {
    for (uint32_t looks = 1; ; looks++) {
      written = atomic_load_explicit(&p->written, memory_order_acquire);
      if (written >= round) break;
      stale_lines(p, 0);
      if (looks % 4096 == 0) sched_yield();
    }
    if (written == ENOUGH) break;
    stale += stale_lines(p, round) != 0;
    atomic_store_explicit(&p->seen, round, memory_order_release);
  }
  CHECK_INT(stale, 0);
}

/* For who sees what is stored after it, as a reader does who sees the cell. */
static void a_long_text_is_there_before_what_comes_after(void) {
  enum { WORDS = STREAMED / sizeof(jt_word) };
  passing *p = check_shared(sizeof *p);
  uint64_t *source = check_memory(STREAMED);
  pid_t reader = check_fork(see_each_round, p);
  double end = check_now() + LONGEST_TIME;
  for (uint64_t round = 1; round <= ROUNDS && check_now() < end; round++) {
    for (size_t i = WORDS - LAST_LINES * LINE_WORDS; i < WORDS; i++) source[i] = round;
    writes[round % WAYS](p->text, source, STREAMED);
    atomic_store_explicit(&p->written, round, memory_order_release);
    for (uint32_t looks = 1;
         atomic_load_explicit(&p->seen, memory_order_acquire) != round; looks++)
      if (looks % 4096 == 0) sched_yield();
  }
  atomic_store_explicit(&p->written, ENOUGH, memory_order_release);
  CHECK_JOIN(reader);
  free(source);
}

/* ------------------------------------------------------------------- reading */

static void check_read(read_text *read, char *region, char *to, size_t length) {
  const char *from = last_words(region, length);
  memset(to - 64, UNTOUCHED, length + 128);
  read(to, (const jt_word *)(const void *)from, length);
  CHECK(memcmp(to, from, length) == 0);
  CHECK(all_are(to - 64, 64, UNTOUCHED) && all_are(to + length, 64, UNTOUCHED));
}

static void reads_the_text_and_no_more(void) {
  char *region = make_pages(), *copy = make_pages() + 64;
  fill_random(region, PAGES * PAGE);
  for (size_t length = 0; length < LONGEST; length = next_length(length)) {
    for (int way = 0; way < WAYS; way++)
      check_read(reads[way], region, copy + length % 71, length);
  }
}

static void reads_to_any_address(void) {
  char *region = make_pages(), *copy = make_pages() + 64;
  fill_random(region, PAGES * PAGE);
  for (size_t offset = 0; offset < 64; offset++) {
    for (size_t length = 0; length < 200; length++) {
      for (int way = 0; way < WAYS; way++)
        check_read(reads[way], region, copy + offset, length);
    }
  }
}

/* ------------------------------------------------------------------- the hash */

/* Files hold hashes: other values need another JT_LAYOUT_VERSION. */
static void the_hash_is_that_of_all_builds(void) {
  static const struct { size_t length; uint64_t hash; } known[] = {
    { 0, UINT64_C(0xc5e041677517161b) },
    { 1, UINT64_C(0xc85a9a66fe17ca3f) },
    { 7, UINT64_C(0xb8ba58fe7b05d281) },
    { 8, UINT64_C(0x785bf14b3748420b) },
    { 15, UINT64_C(0xdacd96fbaafda617) },
    { 16, UINT64_C(0xaf8120a13ab85eea) },
    { 17, UINT64_C(0xb6ed1807e0c0d7b9) },
    { 24, UINT64_C(0x3fb88652d1d2bc80) },
    { 63, UINT64_C(0xc7e275b604abb8fe) },
    { 64, UINT64_C(0x29a93d2b317c640c) },
    { 65, UINT64_C(0x4a4a3356c04bd093) },
    { 104, UINT64_C(0x7d617d9494c8e3a9) },
    { 200, UINT64_C(0xbeded429b664632f) },
    { 1000, UINT64_C(0xe21e79679a558db2) },
    { 4095, UINT64_C(0x481412ca695592bb) },
    { 4096, UINT64_C(0x0345b6a8366a13a1) },
    { 4097, UINT64_C(0x7eee6713f4656a57) },
    { 12288, UINT64_C(0xb1a725a24bd8516c) },
  };
  static char text[3 * PAGE];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * i + 7 * i);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    CHECK_INT(jt_hash(text, known[i].length), known[i].hash);
    CHECK_INT(portable_hash(text, known[i].length), known[i].hash);
  }
}

static void check_bits(char *text, size_t length) {
  uint64_t hash = jt_hash(text, length);
  for (size_t bit = 0; bit < 8 * length; bit++) {
    text[bit / 8] ^= (char)(1 << bit % 8);
    CHECK(jt_hash(text, length) != hash);
    text[bit / 8] ^= (char)(1 << bit % 8);
  }
}

/* Of all short lengths, so every way in which a text can end; and of whole pages. */
static void the_hash_notices_every_bit(void) {
  static char text[2 * PAGE + 1];
  fill_random(text, sizeof text);
  for (size_t length = 1; length < 200; length++) check_bits(text, length);
  check_bits(text, PAGE - 1), check_bits(text, PAGE), check_bits(text, sizeof text);
  memset(text, 0, sizeof text);
  check_bits(text, sizeof text);
}

static void the_hash_notices_the_length(void) {
  enum { FEW = 300 };
  static const char zeros[PAGES * PAGE];
  for (size_t length = 0; length < FEW; length++)
    for (size_t other = 0; other < length; other++)
      CHECK(jt_hash(zeros, length) != jt_hash(zeros, other));
  for (size_t pages = 1; pages <= PAGES; pages++)
    CHECK(jt_hash(zeros, pages * PAGE) != jt_hash(zeros, (pages - 1) * PAGE));
}

static void swap(uint64_t *a, uint64_t *b) {
  uint64_t word = *a;
  *a = *b;
  *b = word;
}

/* Any two words in each other's place, and any two pairs of words. */
static void check_swaps(uint64_t *word, size_t words) {
  uint64_t hash = jt_hash(word, 8 * words);
  for (size_t i = 0; i < words; i++) {
    for (size_t j = 0; j < i; j++) {
      if (word[i] == word[j]) continue;
      swap(&word[i], &word[j]);
      CHECK(jt_hash(word, 8 * words) != hash);
      if (i % 2 == 0 && j % 2 == 0) {
        swap(&word[i + 1], &word[j + 1]);
        CHECK(jt_hash(word, 8 * words) != hash);
        swap(&word[i + 1], &word[j + 1]);
      }
      swap(&word[i], &word[j]);
    }
  }
}

/* Also in texts of small numbers, of which many are the same. */
static void check_moves(uint64_t *word, size_t words) {
  fill_random((char *)word, 8 * words);
  check_swaps(word, words);
  for (uint64_t i = 0; i < words; i++) word[i] = i;
  check_swaps(word, words);
  for (uint64_t i = 0; i < words; i++) word[i] = i % 2 == 0 ? 7 : i / 2;
  check_swaps(word, words);
  for (uint64_t i = 0; i < words; i++) word[i] = i % 2 == 0 ? i / 2 : 0;
  check_swaps(word, words);
}

static void the_hash_notices_what_has_moved(void) {
  enum { FEW = 64, MANY = PAGE / 8 + FEW };
  static uint64_t word[MANY];
  check_moves(word, FEW);
  check_moves(word, MANY);
}

static void swap_bytes(char *a, char *b, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char byte = a[i];
    a[i] = b[i];
    b[i] = byte;
  }
}

/* Of all pieces of that size, any two in each other's place. */
static void check_pieces(char *text, size_t bytes, size_t size) {
  uint64_t hash = jt_hash(text, bytes);
  for (size_t i = 0; i < bytes; i += size) {
    for (size_t j = 0; j < i; j += size) {
      if (memcmp(text + i, text + j, size) == 0) continue;
      swap_bytes(text + i, text + j, size);
      CHECK(jt_hash(text, bytes) != hash);
      swap_bytes(text + i, text + j, size);
    }
  }
}

/* As when a file's sectors or pages are written to the wrong places. */
static void the_hash_notices_where_lines_and_pages_are(void) {
  enum { BYTES = PAGES * PAGE };
  static char text[BYTES];
  fill_random(text, BYTES);
  check_pieces(text, BYTES, LINE), check_pieces(text, BYTES, PAGE);
  for (int i = 0; i < BYTES; i++) text[i] = (char)('a' + i / LINE % 3);
  check_pieces(text, BYTES, LINE), check_pieces(text, BYTES, PAGE);
}

/* As after a power cut. */
static void the_hash_notices_a_sector_of_zeros(void) {
  enum { BYTES = 64 << 10, SECTOR = 512 };
  char *text = check_memory(BYTES), *torn = check_memory(BYTES);
  fill_random(text, BYTES);
  uint64_t hash = jt_hash(text, BYTES);
  for (size_t at = 0; at < BYTES; at += SECTOR) {
    memcpy(torn, text, BYTES);
    memset(torn + at, 0, SECTOR);
    CHECK(jt_hash(torn, BYTES) != hash);
  }
  free(text), free(torn);
}

/* How unevenly: of balls thrown at random it is about 'buckets', give or take six times
   the root of twice as many. */
static double chi_square(const uint32_t *count, size_t buckets, double each) {
  double sum = 0;
  for (size_t i = 0; i < buckets; i++)
    sum += (count[i] - each) * (count[i] - each) / each;
  return sum;
}

/* What a cell's place and its tag are made of (cells.h). */
static void the_hash_spreads_ids(void) {
  enum { IDS = 1 << 20, BUCKETS = 1 << 12 };
  static uint32_t low[BUCKETS], middle[BUCKETS], high[BUCKETS];
  char id[32];
  for (uint32_t i = 0; i < IDS; i++) {
    size_t length = (size_t)snprintf(id, sizeof id, "chapter_%08x", i);
    uint64_t hash = jt_hash(id, length);
    low[hash % BUCKETS]++, middle[(hash >> 10) % BUCKETS]++, high[hash >> 52]++;
  }
  const uint32_t *counts[] = { low, middle, high };
  for (int i = 0; i < 3; i++) {
    double chi = chi_square(counts[i], BUCKETS, IDS / BUCKETS);
    CHECK(chi > BUCKETS - 6 * 91 && chi < BUCKETS + 6 * 91);
  }
}

static const check_case cases[] = {
  CASE(writes_the_text_and_no_more),
  CASE(writes_long_texts_too),
  CASE(a_long_text_is_there_before_what_comes_after),
  CASE(reads_the_text_and_no_more),
  CASE(reads_to_any_address),
  CASE(the_hash_is_that_of_all_builds),
  CASE(the_hash_notices_every_bit),
  CASE(the_hash_notices_the_length),
  CASE(the_hash_notices_what_has_moved),
  CASE(the_hash_notices_where_lines_and_pages_are),
  CASE(the_hash_notices_a_sector_of_zeros),
  CASE(the_hash_spreads_ids),
};

CHECK_MAIN(cases)
