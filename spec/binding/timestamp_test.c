/*
** timestamp_test.c - times as text, beside what the C library makes of them: each day
** of the years 0 to 9999, and what lies outside.
*/
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "harness.h"
#include "timestamp.h"

#define FIRST_DAY (-719528)      /* 0000-01-01, from 1970-01-01 on */
#define DAYS 3652425             /* of ten thousand years */

/* By gmtime_r; 'out' has room for any year. */
static void expect(int64_t seconds, int micros, char out[64]) {
  const time_t time = (time_t)seconds;
  struct tm parts;
  gmtime_r(&time, &parts);
  snprintf(out, 64, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year + 1900,
           parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
           micros);
}

static bool is_written(int64_t micros, const char *expected) {
  char text[JT_TIMESTAMP_LENGTH];
  jt_timestamp_write(micros, text);
  if (memcmp(text, expected, sizeof text) == 0) return true;
  printf("    %.*s, not %s\n", JT_TIMESTAMP_LENGTH, text, expected);
  return false;
}

/* Another second and microsecond of each day. */
static void each_day(void) {
  bool right = true;
  for (int64_t i = 0; i < DAYS && right; i++) {
    int64_t seconds = (FIRST_DAY + i) * 86400 + i * 7919 % 86400;
    int micros = (int)(i * 314159 % 1000000);
    char expected[64];
    expect(seconds, micros, expected);
    right = is_written(seconds * 1000000 + micros, expected);
  }
  test_result(right, "each day of ten thousand years", "another text than gmtime_r's");
}

/* Beside the time before it, of the same day or of another, in both directions. */
static void beside_another(void) {
  static const int64_t others[] = { INT64_MIN, -86400000001, -86400000000, -1, 0,
                                    86399999999, 86400000000, INT64_MAX };
  const int count = sizeof others / sizeof others[0];
  bool right = true;
  for (int i = 0; i < count * count; i++) {
    char other[JT_TIMESTAMP_LENGTH], text[JT_TIMESTAMP_LENGTH];
    char alone[JT_TIMESTAMP_LENGTH];
    int64_t time = others[i / count], before = others[i % count];
    jt_timestamp_write(before, other);
    jt_timestamp_write(time, alone);
    jt_timestamp_write_beside(time, text, before, other);
    right = right && memcmp(text, alone, sizeof text) == 0;
  }
  test_result(right, "beside another time", "another text than alone");
}

static void edges(void) {
  bool right = is_written(INT64_MIN, "0000-01-01T00:00:00.000000Z") &&
               is_written(INT64_MAX, "9999-12-31T23:59:59.999999Z") &&
               is_written(0, "1970-01-01T00:00:00.000000Z") &&
               is_written(-1, "1969-12-31T23:59:59.999999Z");
  test_result(right, "the edges", "see above");
}

int main(void) {
  each_day();
  beside_another();
  edges();
  return test_close();
}
