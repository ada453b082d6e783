/*
** image.h - the input of file_fuzz: the bytes of a store file, and after them a script,
** what is done while it is open. Knows the layout, not what the fuzzer does with it.
**
**   the file's bytes | the script's | two bytes: the script's length, little-endian
**
** A script is read in steps of STEP_BYTES: what to do, and three bytes that say more.
*/
#ifndef IMAGE_H
#define IMAGE_H

#include <stddef.h>
#include <stdint.h>

enum {
  STEP_BYTES = 4,
  SCRIPT_MAX = 256,
  IMAGE_MAX = 64 * 1024           /* of the file's bytes */
};

typedef struct image {
  size_t size;                    /* of the file */
  const unsigned char *script;
  size_t script_length;
} image;

/* Where the parts of an input are. */
static inline image image_of(const unsigned char *input, size_t length) {
  if (length < 2) return (image){ length, input + length, 0 };
  size_t script = input[length - 2] | (size_t)input[length - 1] << 8;
  if (script > length - 2) script = length - 2;
  if (script > SCRIPT_MAX) script = SCRIPT_MAX;
  size_t size = length - 2 - script;
  return (image){ size, input + size, script };
}

#endif
