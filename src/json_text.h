/*
** json_text.h - strings and numbers as JSON text. It knows no Lua, and nothing
** of jobs.
**
** Each function writes to 'out' without a NUL and returns the bytes written; what it
** leaves behind them, within its room, is of no use. 0 means out of memory, which only
** jt_json_real can meet, for numbers that it leaves to jansson.
*/
#ifndef JT_JSON_TEXT_H
#define JT_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define JT_JSON_INTEGER_MAX 20   /* bytes of a 64-bit integer */
#define JT_JSON_REAL_MAX 32      /* bytes of a double */

/* Room that jt_json_string needs for this text, exact for a plain one: ASCII
   with nothing to escape. */
size_t jt_json_string_bound(const char *bytes, size_t length);

/* The text in quotes. What is not UTF-8 becomes U+FFFD. */
size_t jt_json_string(const char *bytes, size_t length, char *out);

size_t jt_json_integer(int64_t value, char *out);
size_t jt_json_unsigned(uint64_t value, char *out);

/* A finite double in the fewest digits that read back the same, always with a
   point or an exponent, so that it comes back as a float: 3.0, 0.1, -0.0. */
size_t jt_json_real(double value, char *out);

#endif
