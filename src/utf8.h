/*
** utf8.h - tells UTF-8 from other bytes, and makes any bytes presentable. It
** knows neither Lua nor JSON.
**
** Well-formed is what the Unicode standard's table 3-7 lists: no overlong
** form, no surrogate, nothing above U+10FFFF.
*/
#ifndef JT_UTF8_H
#define JT_UTF8_H

#include <stddef.h>

/* How many bytes at the start of the text are well-formed: 'length' if all
   are, else the offset of the first byte that is not. */
size_t jt_utf8_check(const char *bytes, size_t length);

/*
** Writes the character at the start of the text, which is not empty, to *out and moves
** that on; U+FFFD in place of what is not well-formed, one for each maximal subpart of a
** sequence, as browsers do. Returns how many bytes of the text that was.
*/
size_t jt_utf8_put(const char *bytes, size_t left, char **out);

/*
** Writes at most 'limit' bytes of the text, and a NUL, fit for a line of a log
** or of an error message: control characters and what is not UTF-8 become
** '?', a text that is too long ends in "...". 'out' has room for limit + 1
** bytes; limit is at least 3. Returns the length written.
*/
size_t jt_utf8_excerpt(const char *bytes, size_t length, char *out,
                       size_t limit);

#endif
