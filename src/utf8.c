/*
** utf8.c - see utf8.h. One function, 'step', knows what is well-formed; the
** others walk a text with it.
*/
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/* What a lead byte asks for: how many bytes follow it, and between which
   bounds the first of them must lie. The others lie in 80..BF. */
typedef struct lead {
  unsigned following, low, high;
} lead;

static bool read_lead(unsigned byte, lead *is) {
  *is = (lead){ .following = 1, .low = 0x80, .high = 0xBF };
  if (byte < 0xC2 || byte > 0xF4) return false;
  if (byte >= 0xE0) is->following = byte >= 0xF0 ? 3 : 2;
  if (byte == 0xE0) is->low = 0xA0;       /* shorter: overlong */
  if (byte == 0xED) is->high = 0x9F;      /* above: surrogates */
  if (byte == 0xF0) is->low = 0x90;       /* shorter: overlong */
  if (byte == 0xF4) is->high = 0x8F;      /* above: past U+10FFFF */
  return true;
}

/*
** The length of the sequence at 'at', which has 'left' > 0 bytes, and whether
** it is well-formed. If not, the length is that of the maximal subpart: the
** longest start of a sequence that could have become a well-formed one, at
** least one byte.
*/
static size_t step(const unsigned char *at, size_t left, bool *well) {
  lead is;
  size_t n = 1;
  *well = true;
  if (at[0] < 0x80) return 1;
  *well = false;
  if (!read_lead(at[0], &is)) return 1;
  while (n <= is.following && n < left && at[n] >= is.low && at[n] <= is.high) {
    n++;
    is.low = 0x80, is.high = 0xBF;
  }
  *well = n == is.following + 1;
  return n;
}

size_t jt_utf8_check(const char *bytes, size_t length) {
  const unsigned char *text = (const unsigned char *)bytes;
  size_t at = 0;
  bool well = true;
  while (at < length) {
    size_t n = step(text + at, length - at, &well);
    if (!well) break;
    at += n;
  }
  return at;
}

size_t jt_utf8_put(const char *bytes, size_t left, char **out) {
  bool well;
  size_t n = step((const unsigned char *)bytes, left, &well);
  size_t wide = well ? n : 3;
  memcpy(*out, well ? bytes : "\xEF\xBF\xBD", wide);
  *out += wide;
  return n;
}

/* U+0000..001F, U+007F and U+0080..009F: what a terminal might obey. */
static bool is_control(const unsigned char *at, size_t n) {
  return (n == 1 && (at[0] < 0x20 || at[0] == 0x7F)) ||
         (n == 2 && at[0] == 0xC2 && at[1] < 0xA0);
}

size_t jt_utf8_excerpt(const char *bytes, size_t length, char *out,
                       size_t limit) {
  const unsigned char *text = (const unsigned char *)bytes;
  size_t at = 0, to = 0, fits = 0;  /* fits: where "..." may still go */
  while (at < length) {
    bool well;
    size_t n = step(text + at, length - at, &well);
    bool keep = well && !is_control(text + at, n);
    size_t wide = keep ? n : 1;
    if (to + wide > limit) {
      memcpy(out + fits, "...", 3);
      to = fits + 3;
      break;
    }
    memcpy(out + to, keep ? bytes + at : "?", wide);
    to += wide;
    at += n;
    if (to + 3 <= limit) fits = to;
  }
  out[to] = '\0';
  return to;
}
