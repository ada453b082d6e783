/*
** json_text.c - see json_text.h. What most texts and numbers are is written
** here; the rest is left to jansson, which is right about escapes
** and about locales whose decimal point is a comma.
*/
#include "json_text.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* ---------------------------------------------------------------- strings */

/* The most bytes that this byte takes in a JSON string; plain bytes take one.
   A stray byte above 7F becomes U+FFFD, which is three. */
static unsigned width(unsigned char byte) {
  if (byte < 0x20) return 6;                    /* \u0000 */
  if (byte == '"' || byte == '\\') return 2;
  return byte < 0x80 ? 1 : 3;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/*
** Whether all eight bytes are plain: none has its highest bit set, nor would
** have it after 20 were taken from it. Nor is one a quote or a backslash, whose
** difference to it is 0 and loses its highest bit when 1 is taken. A borrow runs
** into the next byte only from a byte that is not plain itself.
*/
static bool all_plain(const char *bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  uint64_t quote = (word ^ EACH('"')) - EACH(1);
  uint64_t backslash = (word ^ EACH('\\')) - EACH(1);
  return ((word | (word - EACH(0x20)) | quote | backslash) & EACH(0x80)) == 0;
}

/* How long the plain start of the text is. */
static size_t plain_length(const char *bytes, size_t length) {
  size_t i = 0;
  while (length - i >= sizeof(uint64_t) && all_plain(bytes + i))
    i += sizeof(uint64_t);
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

static size_t dump(json_t *json, size_t flags, char *out, size_t room) {
  size_t length = json == NULL ? 0
                : json_dumpb(json, out, room, flags | JSON_ENCODE_ANY);
  return length <= room ? length : 0;
}

static size_t write_valid(const char *bytes, size_t length, char *out,
                          size_t room) {
  json_t *json = json_stringn_nocheck(bytes, length);
  size_t written = dump(json, 0, out, room);
  json_decref(json);
  return written;
}

static size_t write_repaired(const char *bytes, size_t length, char *out,
                             size_t room) {
  char *valid = malloc(JT_UTF8_REPAIRED(length));
  size_t written = valid == NULL ? 0
    : write_valid(valid, jt_utf8_repair(bytes, length, valid), out, room);
  free(valid);
  return written;
}

size_t jt_json_string(const char *bytes, size_t length, char *out) {
  if (plain_length(bytes, length) == length) {
    memcpy(out + 1, bytes, length);
    out[0] = out[length + 1] = '"';
    return length + 2;
  }
  size_t room = jt_json_string_bound(bytes, length);
  if (jt_utf8_check(bytes, length) == length)
    return write_valid(bytes, length, out, room);
  return write_repaired(bytes, length, out, room);
}

/* ---------------------------------------------------------------- numbers */

size_t jt_json_unsigned(uint64_t value, char *out) {
  char digits[JT_JSON_INTEGER_MAX];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  memcpy(out, digits + at, sizeof digits - at);
  return sizeof digits - at;
}

size_t jt_json_integer(int64_t value, char *out) {
  if (value >= 0) return jt_json_unsigned((uint64_t)value, out);
  out[0] = '-';
  return 1 + jt_json_unsigned(UINT64_C(0) - (uint64_t)value, out + 1);
}

/* 'value' as millionths, if it is a number of them that a double holds; or -1.
   Both dividing by 10^6 and reading a decimal round correctly, so a quotient
   that is 'value' means that the decimal reads back as 'value'. */
static int64_t as_millionths(double value) {
  if (!(value < 1e9)) return -1;
  int64_t millionths = (int64_t)(value * 1e6 + 0.5);
  return (double)millionths / 1e6 == value ? millionths : -1;
}

static size_t write_millionths(int64_t millionths, char *out) {
  size_t at = jt_json_unsigned((uint64_t)millionths / 1000000, out);
  int64_t rest = millionths % 1000000;
  out[at++] = '.';
  do {
    rest *= 10;
    out[at++] = (char)('0' + rest / 1000000);
    rest %= 1000000;
  } while (rest != 0);
  return at;
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

static bool reads_back(const char *text, size_t length, double value) {
  json_t *json = json_loadb(text, length, JSON_DECODE_ANY, NULL);
  bool same = json != NULL && json_number_value(json) == value;
  json_decref(json);
  return same;
}

/* 17 digits always read back. */
static size_t write_digits(double value, char *out) {
  json_t *json = json_real(value);
  size_t length = 0;
  for (size_t digits = 15; digits <= 17; digits++) {
    length = dump(json, JSON_REAL_PRECISION(digits), out, JT_JSON_REAL_MAX);
    if (length == 0 || reads_back(out, length, value)) break;
  }
  json_decref(json);
  return length;
}

size_t jt_json_real(double value, char *out) {
  double size = fabs(value);
  int64_t millionths = as_millionths(size);
  size_t sign = signbit(value) ? 1 : 0;
  if (sign != 0) out[0] = '-';
  size_t length = millionths >= 0 ? write_millionths(millionths, out + sign)
                                  : write_fraction(size, out + sign);
  return length > 0 ? sign + length : write_digits(value, out);
}
