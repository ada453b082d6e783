/*
** timestamp.c - see timestamp.h. The calendar is computed, not asked from the
** C library: gmtime and strftime take locks and locales, and ten times as long.
*/
#include "timestamp.h"

#include <stdbool.h>
#include <string.h>

#include "digits.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define FIRST (-719528 * DAY)            /* 0000-01-01 */
#define LAST (2932897 * DAY - 1)         /* the last microsecond of 9999 */

#define DATE_LENGTH 10                   /* of "2026-11-23" */

/* Three numbers below 100, with what 'text' has between them: "00:00:00". */
static void put_three(char *out, uint32_t a, uint32_t b, uint32_t c, const char text[9]) {
  jt_digits_write(jt_digits(1000000 * a + 1000 * b + c), text, out);
}

/*
** Days since 0000-01-01 to year, month and day. Counted from a first of March,
** a leap day is the last of its year, and months have 31, 30, 31, 30, 31 days
** again and again: 153 days each five. 400 years have 146097 days.
*/
static void put_date(char *out, uint32_t days) {
  uint32_t day = days - 60 + 146097;     /* since -400-03-01 */
  uint32_t era = day / 146097;
  day -= era * 146097;
  uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  uint32_t month = (5 * day + 2) / 153;                 /* 0: March */
  day -= (153 * month + 2) / 5;
  year += 400 * era + (month >= 10) - 400;
  out[0] = (char)('0' + year / 1000);
  out[1] = (char)('0' + year / 100 % 10);
  put_three(out + 2, year % 100, month < 10 ? month + 3 : month - 9, day + 1, "00-00-00");
}

static void put_time_of_day(char *out, uint32_t second) {
  uint32_t minute = second / 60;
  out[0] = 'T';
  put_three(out + 1, minute / 60, minute % 60, second % 60, "00:00:00");
}

/* The first of eight digits is 0 and is where the point goes. */
static void put_fraction(char *out, uint32_t microseconds) {
  jt_digits_write(jt_digits(10 * microseconds), ".000000Z", out);
}

/* Inlined, it would be asked for at each use: to gcc an address is cheap. */
__attribute__((noinline))
jt_timestamp_last *jt_timestamp_last_here(void) {
  static _Thread_local jt_timestamp_last last = { 0, 0, "1970-01-01T00:00:00" };
  return &last;
}

/* From 'start' on, which is no more than 'length' before it. */
static bool is_within(int64_t time, int64_t start, int64_t length) {
  return (uint64_t)time - (uint64_t)start < (uint64_t)length;
}

static void move_to_day(jt_timestamp_last *last, int64_t time) {
  uint32_t days = (uint32_t)((time - FIRST) / DAY);
  put_date(last->text, days);
  last->day = FIRST + days * DAY;
}

static void move_to_second(jt_timestamp_last *last, int64_t time) {
  if (!is_within(time, last->day, DAY)) move_to_day(last, time);
  uint32_t seconds = (uint32_t)((time - last->day) / SECOND);
  put_time_of_day(last->text + DATE_LENGTH, seconds);
  last->second = last->day + seconds * SECOND;
}

void jt_timestamp_write(jt_timestamp_last *last, int64_t time,
                        char out[JT_TIMESTAMP_LENGTH]) {
  if (!is_within(time, last->second, SECOND)) {
    time = time < FIRST ? FIRST : time > LAST ? LAST : time;
    move_to_second(last, time);
  }
  memcpy(out, last->text, JT_TIMESTAMP_SECOND);
  put_fraction(out + JT_TIMESTAMP_SECOND, (uint32_t)(time - last->second));
}
