/*
** json_nul.c - see json_nul.h. Two passes: which private-use characters occur,
** as bytes or as escapes, and then the replacing of one escape by another,
** which is as long.
*/
#include "json_nul.h"

#include <stdint.h>
#include <string.h>

#define FIRST 0xE000u   /* the private use area of the basic plane */
#define LAST 0xF8FFu
#define ESCAPE 6        /* bytes of \uXXXX */

typedef struct marks {
  bool used[LAST - FIRST + 1];
} marks;

static void mark(marks *seen, unsigned code) {
  if (code >= FIRST && code <= LAST) seen->used[code - FIRST] = true;
}

/* The value of four hexadecimal digits, or above FFFF. */
static unsigned read_hex(const char *digits) {
  static const char hex[] = "0123456789abcdef0123456789ABCDEF";
  unsigned code = 0;
  for (int i = 0; i < 4; i++) {
    const char *at = digits[i] == '\0' ? NULL : strchr(hex, digits[i]);
    if (at == NULL) return 0x10000;
    code = 16 * code + (unsigned)(at - hex) % 16;
  }
  return code;
}

/* The length of the escape at 'at', a backslash, and the code of a \uXXXX. */
static size_t read_escape(const char *at, size_t left, unsigned *code) {
  *code = 0x10000;
  if (left < ESCAPE || at[1] != 'u') return 2;
  *code = read_hex(at + 2);
  return ESCAPE;
}

/* The code of the three-byte sequence at 'at', if it is one that starts with
   EE or EF, as private-use characters do; or 0. */
static unsigned read_three(const char *at, size_t left) {
  const unsigned char *byte = (const unsigned char *)at;
  if (left < 3 || (byte[0] & 0xFEu) != 0xEE) return 0;
  return (byte[0] & 0x0Fu) << 12 | (byte[1] & 0x3Fu) << 6 | (byte[2] & 0x3Fu);
}

static void mark_all(const char *text, size_t length, marks *seen) {
  for (size_t at = 0; at < length; ) {
    unsigned code;
    if (text[at] == '\\') at += read_escape(text + at, length - at, &code);
    else code = read_three(text + at, length - at), at++;
    mark(seen, code);
  }
}

static void replace_all(char *text, size_t length, unsigned stand_in) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t at = 0; at < length; ) {
    unsigned code = 1;
    char *escape = text + at;
    at += *escape == '\\' ? read_escape(escape, length - at, &code) : 1;
    if (code != 0) continue;
    for (int i = 0; i < 4; i++)
      escape[2 + i] = hex[stand_in >> (12 - 4 * i) & 0xF];
  }
}

bool jt_json_hide_nul(char *text, size_t length,
                      char stand_in[JT_STAND_IN_LENGTH]) {
  marks seen = { .used = { false } };
  unsigned code = FIRST;
  mark_all(text, length, &seen);
  while (code <= LAST && seen.used[code - FIRST]) code++;
  if (code > LAST) return false;
  replace_all(text, length, code);
  stand_in[0] = (char)(0xE0 | code >> 12);
  stand_in[1] = (char)(0x80 | (code >> 6 & 0x3F));
  stand_in[2] = (char)(0x80 | (code & 0x3F));
  return true;
}
