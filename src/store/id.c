/*
** id.c - the ids of jobs: "<task type>_<8 hex digits of a random UUID>".
*/
#include "store.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

bool jt_type_valid(const char *type, size_t length) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789._~-";
  if (length < 1 || length > JT_TYPE_MAX) return false;
  for (size_t i = 0; i < length; i++)
    if (memchr(allowed, type[i], sizeof allowed - 1) == NULL) return false;
  return true;
}

/*
** libuuid asks the kernel for each UUID (about 2 microseconds), and one UUID
** holds three 32-bit numbers apart from its version and variant bits (RFC
** 9562, 5.4: the high halves of bytes 6 and 8). What is left of the last one
** is kept per thread, and thrown away in a forked child: it would draw the
** same numbers as its parent.
*/
#define NUMBERS 3

uint32_t jt_draw_number(void) {
  static _Thread_local struct {
    pid_t owner;
    unsigned left;
    uint32_t number[NUMBERS];
  } drawn;
  pid_t self = getpid();
  if (drawn.left == 0 || drawn.owner != self) {
    uuid_t uuid;
    uuid_generate_random(uuid);
    memcpy(&drawn.number[0], uuid, 4);
    memcpy(&drawn.number[1], uuid + 9, 4);
    memcpy((char *)&drawn.number[2], uuid + 13, 3);
    memcpy((char *)&drawn.number[2] + 3, uuid + 4, 1);
    drawn.left = NUMBERS;
    drawn.owner = self;
  }
  return drawn.number[--drawn.left];
}

static const char digits[] = "0123456789abcdef";

bool jt_id_valid(const char *id, size_t length) {
  if (length < JT_ID_MIN || id[length - 9] != '_' || !jt_type_valid(id, length - 9))
    return false;
  for (size_t i = length - 8; i < length; i++)
    if (memchr(digits, id[i], sizeof digits - 1) == NULL) return false;
  return true;
}

size_t jt_id_format(const char *type, size_t length, uint32_t number,
                    char id[JT_ID_MAX + 1]) {
  char *at = id;
  memcpy(at, type, length);
  at += length;
  *at++ = '_';
  for (int shift = 28; shift >= 0; shift -= 4)
    *at++ = digits[number >> shift & 15];
  *at = '\0';
  return (size_t)(at - id);
}
