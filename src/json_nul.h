/*
** json_nul.h - lets jansson load keys that hold NUL, which it refuses: its
** object keys are C strings. It knows no Lua.
**
** Every escaped NUL of the text becomes a stand-in: a private-use character
** that the text does not hold. Whoever walks the loaded value puts the NULs
** back.
*/
#ifndef JT_JSON_NUL_H
#define JT_JSON_NUL_H

#include <stdbool.h>
#include <stddef.h>

#define JT_STAND_IN_LENGTH 3   /* bytes of a private-use character in UTF-8 */

/* Replaces each \u0000 of the JSON text, in place, and writes the stand-in's
   UTF-8 form. False: the text holds all 6,400 private-use characters. */
bool jt_json_hide_nul(char *text, size_t length,
                      char stand_in[JT_STAND_IN_LENGTH]);

#endif
