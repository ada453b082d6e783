/*
** words_test.c - src/store/words.c: texts of all lengths, from and to all addresses, by
** the accesses of this machine and by those of any other.
*/
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

enum { WAYS = 2, PAGE = 4096, PAGES = 5, LONGEST = 3 * PAGE, UNTOUCHED = 0x5a };

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
    { 0, UINT64_C(0x7ad385bfb6d75f9c) },
    { 1, UINT64_C(0x2c8b84761ce1e2b7) },
    { 15, UINT64_C(0x8c309cdade70e727) },
    { 16, UINT64_C(0x7620c47fc751aad1) },
    { 17, UINT64_C(0x4349a364f303431a) },
    { 63, UINT64_C(0x805559db4a4cc142) },
    { 64, UINT64_C(0x3a3837afe9a53bcf) },
    { 65, UINT64_C(0x0f77c5c02ed42419) },
    { 200, UINT64_C(0x31d73c187221d400) },
    { 1000, UINT64_C(0x2e225b98c4f5db72) },
  };
  char text[1000];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * i + 7 * i);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    CHECK_INT(jt_hash(text, known[i].length), known[i].hash);
    CHECK_INT(portable_hash(text, known[i].length), known[i].hash);
  }
}

static void the_hash_notices_every_bit(void) {
  static char text[1000];
  fill_random(text, sizeof text);
  uint64_t hash = jt_hash(text, sizeof text);
  for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
    text[bit / 8] ^= (char)(1 << bit % 8);
    CHECK(jt_hash(text, sizeof text) != hash);
    text[bit / 8] ^= (char)(1 << bit % 8);
  }
}

static const check_case cases[] = {
  CASE(writes_the_text_and_no_more),
  CASE(reads_the_text_and_no_more),
  CASE(reads_to_any_address),
  CASE(the_hash_is_that_of_all_builds),
  CASE(the_hash_notices_every_bit),
};

CHECK_MAIN(cases)
