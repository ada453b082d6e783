/*
** json_text.c - see json_text.h. What most numbers are is written here; the rest is
** left to jansson, which is right about locales whose decimal point is a comma.
*/
#include "json_text.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include "utf8.h"

/* ---------------------------------------------------------------- strings */

/* The most bytes that this byte takes in a JSON string; plain bytes take one.
   A stray byte above 7F becomes U+FFFD, which is three. */
static unsigned width(unsigned char byte) {
  if (byte < 0x20) return 6;                    /* \u0000 */
  if (byte == '"' || byte == '\\') return 2;
  return byte < 0x80 ? 1 : 3;
}

static inline uint64_t word_at(const char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

static inline uint32_t half_at(const char *bytes) {
  uint32_t half;
  memcpy(&half, bytes, sizeof half);
  return half;
}

enum { WIDE = 16 };       /* bytes that are looked at together */
typedef signed char bytes16 __attribute__((vector_size(WIDE)));
typedef uint64_t words2 __attribute__((vector_size(WIDE)));

/* Whether all bytes of the two words are plain; as signed ones, those above 7F are less
   than a blank too. */
static inline bool all_plain(uint64_t first, uint64_t second) {
  bytes16 all = (bytes16)(words2){ first, second };
  words2 odd = (words2)((all < ' ') | (all == '"') | (all == '\\'));
  return (odd[0] | odd[1]) == 0;
}

static inline bool plain_at(const char *bytes) {
  return all_plain(word_at(bytes), word_at(bytes + 8));
}

/* How long the plain start of the text is. */
static size_t plain_length(const char *bytes, size_t length) {
  size_t i = 0;
  while (length - i >= WIDE && plain_at(bytes + i)) i += WIDE;
  while (i < length && width((unsigned char)bytes[i]) == 1) i++;
  return i;
}

size_t jt_json_string_bound(const char *bytes, size_t length) {
  size_t plain = plain_length(bytes, length);
  size_t bound = plain + 2;
  for (size_t i = plain; i < length; i++)
    bound += width((unsigned char)bytes[i]);
  return bound;
}

/* A text of four to fifteen bytes, if it is plain: two pieces, which may overlap. */
static inline bool copy_short(const char *bytes, size_t length, char *out) {
  bool words = length >= 8;
  size_t last = length - (words ? 8 : 4);
  if (words) {
    uint64_t a = word_at(bytes), b = word_at(bytes + last);
    memcpy(out, &a, 8);
    memcpy(out + last, &b, 8);
    return all_plain(a, b);
  }
  uint32_t a = half_at(bytes), b = half_at(bytes + last);
  memcpy(out, &a, 4);
  memcpy(out + last, &b, 4);
  uint64_t both = (uint64_t)a << 32 | b;
  return all_plain(both, both);
}

/* Copies the text; false: some of it is not plain, and what was written is of no use. */
static inline bool copy_plain(const char *bytes, size_t length, char *out) {
  if (length < 4) {
    for (size_t i = 0; i < length; i++) out[i] = bytes[i];
    return plain_length(bytes, length) == length;
  }
  if (length < WIDE) return copy_short(bytes, length, out);
  for (size_t i = 0; ; i += WIDE) {
    if (i > length - WIDE) i = length - WIDE;     /* the last ones, some of them again */
    memcpy(out + i, bytes + i, WIDE);
    if (!plain_at(bytes + i)) return false;
    if (i == length - WIDE) return true;
  }
}

/* What stands for one of the ASCII bytes that are not plain. */
static char *put_escape(char *out, unsigned char byte) {
  static const char digits[] = "0123456789ABCDEF";
  static const char letters[] = "btn?fr";       /* of 08 to 0D; 0B has none */
  bool control = byte < 0x20;
  *out++ = '\\';
  if (!control) {
    *out++ = (char)byte;
  } else if (byte >= 0x08 && byte <= 0x0D && byte != 0x0B) {
    *out++ = letters[byte - 0x08];
  } else {
    memcpy(out, "u00", 3);
    out[3] = digits[byte >> 4];
    out[4] = digits[byte & 15];
    out += 5;
  }
  return out;
}

/* One character that is not plain, or what stands for it; returns how long it is. */
static size_t put_special(const char *bytes, size_t left, char **out) {
  if ((unsigned char)bytes[0] >= 0x80) return jt_utf8_put(bytes, left, out);
  *out = put_escape(*out, (unsigned char)bytes[0]);
  return 1;
}

/* Any text; returns where it ends. */
__attribute__((noinline))
static char *put_any(const char *bytes, size_t length, char *out) {
  for (size_t at = 0; ; ) {
    size_t plain = plain_length(bytes + at, length - at);
    memcpy(out, bytes + at, plain);
    out += plain;
    at += plain;
    if (at == length) return out;
    at += put_special(bytes + at, length - at, &out);
  }
}

size_t jt_json_string(const char *bytes, size_t length, char *out) {
  char *at = out + 1;
  at = copy_plain(bytes, length, at) ? at + length : put_any(bytes, length, at);
  out[0] = *at = '"';
  return (size_t)(at + 1 - out);
}

/* ---------------------------------------------------------------- numbers */

#define EIGHT 100000000u   /* numbers below it have eight digits at most */

static const char zeros[] = "00000000";

size_t jt_json_unsigned(uint64_t value, char *out) {
  if (value < 10) {
    *out = (char)('0' + value);
    return 1;
  }
  if (value >= EIGHT) {
    size_t before = jt_json_unsigned(value / EIGHT, out);
    jt_digits_write(jt_digits((uint32_t)(value % EIGHT)), zeros, out + before);
    return before + 8;
  }
  uint64_t digits = jt_digits((uint32_t)value);
  unsigned leading = jt_digits_leading(digits);
  jt_digits_write(digits >> 8 * leading, zeros, out);
  return 8 - leading;
}

size_t jt_json_integer(int64_t value, char *out) {
  if (value >= 0) return jt_json_unsigned((uint64_t)value, out);
  out[0] = '-';
  return 1 + jt_json_unsigned(UINT64_C(0) - (uint64_t)value, out + 1);
}

/*
** 'value' times 'power', a power of ten, if that is a whole number that as a decimal
** reads back as 'value'; 10^15 at most. Both dividing by a power of ten and reading a
** decimal round correctly, so a quotient that is 'value' means that the decimal reads
** back; and no other one of 15 digits does, nor of fewer.
*/
static inline bool as_whole(double value, double power, uint64_t *whole) {
  *whole = (uint64_t)(value * power + 0.5);
  return (double)*whole / power == value;
}

/* 'rest' are sixteen decimals; zeros at their end are left out, but for the first. */
static size_t write_decimal(uint64_t whole, uint64_t rest, char *out) {
  size_t at = jt_json_unsigned(whole, out);
  uint64_t digits = jt_digits((uint32_t)(rest / EIGHT));
  uint32_t behind = (uint32_t)(rest % EIGHT);
  out[at++] = '.';
  jt_digits_write(digits, zeros, out + at);
  if (behind != 0) {
    digits = jt_digits(behind);
    at += 8;
    jt_digits_write(digits, zeros, out + at);
  }
  return at + (digits != 0 ? 8 - jt_digits_trailing(digits) : 1);
}

/* As most are. Below 0.0001 many zeros would be longer than an exponent. */
static size_t write_short(double value, char *out) {
  uint64_t whole;
  if (value >= 0.0001 && value < 1)
    return as_whole(value, 1e15, &whole) ? write_decimal(0, whole * 10, out) : 0;
  if (value < 1e9 && as_whole(value, 1e6, &whole))
    return write_decimal(whole / 1000000, whole % 1000000 * UINT64_C(10000000000), out);
  return 0;
}

__extension__ typedef unsigned __int128 wide;

/*
** The fewest digits, 15 at least and 17 at most, that read back as 'value', which
** is in [0.0001, 1). By integers, so that comparisons are exact: value is
** mantissa / 2^shift, and a decimal digits / power reads back if it is nearer than
** half way to value's neighbours. (Of a power of two the one below is at half the
** distance; but those down to 2^-13 have no more than 15 digits, and are met exactly.)
** Products have 123 bits at most.
*/
static uint64_t fewest_digits(double value, unsigned *decimals) {
  uint64_t bits, digits;
  memcpy(&bits, &value, sizeof bits);
  uint64_t one = UINT64_C(1) << 52;
  uint64_t mantissa = (bits & (one - 1)) | one;
  unsigned shift = 1075 - (unsigned)(bits >> 52);
  wide power = UINT64_C(1000000000000000);
  *decimals = 15;
  for (double bound = 0.1; value < bound; bound /= 10, power *= 10) ++*decimals;
  for (int more = 0; ; more++, power *= 10, ++*decimals) {
    wide exact = mantissa * power;
    digits = (uint64_t)((exact + ((wide)1 << (shift - 1))) >> shift);
    wide found = (wide)digits << shift;
    wide error = found > exact ? found - exact : exact - found;
    if (more == 2 || 2 * error < power) return digits;
  }
}

/* As it is for a job's progress, mostly; 0: it is no such number. */
static size_t write_fraction(double value, char *out) {
  if (!(value >= 0.0001 && value < 1)) return 0;
  unsigned decimals;
  uint64_t digits = fewest_digits(value, &decimals);
  for (; digits % 10 == 0; digits /= 10) decimals--;
  for (unsigned i = decimals; i > 0; i--, digits /= 10)
    out[1 + i] = (char)('0' + digits % 10);
  out[0] = '0', out[1] = '.';
  return 2 + decimals;
}

static size_t dump(json_t *json, size_t flags, char *out, size_t room) {
  size_t length = json == NULL ? 0
                : json_dumpb(json, out, room, flags | JSON_ENCODE_ANY);
  return length <= room ? length : 0;
}

static bool reads_back(const char *text, size_t length, double value) {
  json_t *json = json_loadb(text, length, JSON_DECODE_ANY, NULL);
  bool same = json != NULL && json_number_value(json) == value;
  json_decref(json);
  return same;
}

/* 17 digits always read back. Of at most 15 there is one that does, or none, and zeros
   at its end are left out; but of a subnormal number there may be several. */
static size_t write_digits(double value, char *out) {
  json_t *json = json_real(value);
  size_t length = 0;
  for (size_t digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
    length = dump(json, JSON_REAL_PRECISION(digits), out, JT_JSON_REAL_MAX);
    if (length == 0 || reads_back(out, length, value)) break;
  }
  json_decref(json);
  return length;
}

size_t jt_json_real(double value, char *out) {
  double size = fabs(value);
  size_t sign = signbit(value) ? 1 : 0;
  if (sign != 0) out[0] = '-';
  size_t length = write_short(size, out + sign);
  if (length == 0) length = write_fraction(size, out + sign);
  return length > 0 ? sign + length : write_digits(value, out);
}
