/*
** digits.h - decimal digits, eight at a time: in one word, without a branch and without
** a table. It knows nothing of what they count.
*/
#ifndef JT_DIGITS_H
#define JT_DIGITS_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/*
** The eight digits of a value below 10^8, each in a byte, the first in the lowest. Split
** into halves, these into quarters, and these into digits, side by side in the word;
** multiplied by 2^20 / 100 and 2^10 / 10, rounded up, as numbers so small may be.
*/
static inline uint64_t jt_digits(uint32_t value) {
  uint64_t upper = value / 10000;
  uint64_t fours = upper | (value - 10000 * upper) << 32;
  uint64_t hundreds = fours * 10486 >> 20 & UINT64_C(0x0000007F0000007F);
  uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
  uint64_t tens = twos * 103 >> 10 & UINT64_C(0x000F000F000F000F);
  return tens | (twos - 10 * tens) << 8;
}

/* How many of these digits are zeros before the others, or behind them; not all are. */
static inline unsigned jt_digits_leading(uint64_t digits) {
  return (unsigned)__builtin_ctzll(digits) / 8;
}

static inline unsigned jt_digits_trailing(uint64_t digits) {
  return (unsigned)__builtin_clzll(digits) / 8;
}

/* Writes eight bytes: to each of 'text', which has "0" where a digit goes, its digit is
   added. What is no digit's place must get the digit 0. */
static inline void jt_digits_write(uint64_t digits, const char text[9], char *out) {
  uint64_t word;
  memcpy(&word, text, 8);
  word += htole64(digits);
  memcpy(out, &word, 8);
}

#endif
