/*
** timestamp_test.c - times as text, beside what the C library makes of them: each day
** of the years 0 to 9999, and what lies outside.
*/
#include <pthread.h>
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
  jt_timestamp_write(jt_timestamp_last_here(), micros, text);
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

/* After another one: of the same second, the same day, one beside it, or far away. */
static void after_another(void) {
  static const struct {
    int64_t time;
    const char *text;
  } times[] = {
    { -62167219200000000, "0000-01-01T00:00:00.000000Z" },
    { -62167219200000001, "0000-01-01T00:00:00.000000Z" },
    { -86400000001, "1969-12-30T23:59:59.999999Z" },
    { -86400000000, "1969-12-31T00:00:00.000000Z" },
    { -1, "1969-12-31T23:59:59.999999Z" },
    { 0, "1970-01-01T00:00:00.000000Z" },
    { 1, "1970-01-01T00:00:00.000001Z" },
    { 999999, "1970-01-01T00:00:00.999999Z" },
    { 1000000, "1970-01-01T00:00:01.000000Z" },
    { 86399000001, "1970-01-01T23:59:59.000001Z" },
    { 86400000000, "1970-01-02T00:00:00.000000Z" },
    { 253402300799999999, "9999-12-31T23:59:59.999999Z" },
    { INT64_MIN, "0000-01-01T00:00:00.000000Z" },
    { INT64_MAX, "9999-12-31T23:59:59.999999Z" },
  };
  const int count = sizeof times / sizeof times[0];
  bool right = true;
  for (int i = 0; i < count * count && right; i++)
    right = is_written(times[i / count].time, times[i / count].text) &&
            is_written(times[i % count].time, times[i % count].text);
  test_result(right, "each after each", "another text than alone");
}

typedef struct first {
  int64_t time;
  const char *text;
  bool right;
} first;

static void *write_first(void *context) {
  first *of = context;
  of->right = is_written(of->time, of->text);
  return NULL;
}

/* What a thread has written last is there before it has written anything, too. */
static void first_of_a_thread(void) {
  first firsts[] = { { INT64_MIN, "0000-01-01T00:00:00.000000Z", false },
                     { 0, "1970-01-01T00:00:00.000000Z", false },
                     { 86399999999, "1970-01-01T23:59:59.999999Z", false },
                     { -1, "1969-12-31T23:59:59.999999Z", false } };
  bool right = true;
  for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
    pthread_t thread;
    right = right && pthread_create(&thread, NULL, write_first, &firsts[i]) == 0 &&
            pthread_join(thread, NULL) == 0 && firsts[i].right;
  }
  test_result(right, "the first of a thread", "see above");
}

int main(void) {
  each_day();
  after_another();
  first_of_a_thread();
  return test_close();
}
