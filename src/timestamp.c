/*
** timestamp.c - see timestamp.h. The calendar is computed, not asked from the
** C library: gmtime and strftime take locks and locales, and ten times as long.
*/
#include "timestamp.h"

#include <string.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define FIRST (-719528 * DAY)            /* 0000-01-01 */
#define DATE_LENGTH 10                   /* of "2026-11-23" */
#define LAST (2932897 * DAY - 1)         /* the last microsecond of 9999 */

/* 00 to 99, as pairs of digits: half as many divisions as one by one. */
#define TEN(d) d "0" d "1" d "2" d "3" d "4" d "5" d "6" d "7" d "8" d "9"
static const char pairs[] = TEN("0") TEN("1") TEN("2") TEN("3") TEN("4")
                            TEN("5") TEN("6") TEN("7") TEN("8") TEN("9");

static char *put_pair(char *out, uint32_t value) {
  memcpy(out, pairs + 2 * value, 2);
  return out + 2;
}

/*
** Days since 1970-01-01 to year, month and day. Counted from a first of March,
** a leap day is the last of its year, and months have 31, 30, 31, 30, 31 days
** again and again: 153 days each five. 400 years have 146097 days.
*/
static char *put_date(char *out, int64_t days) {
  uint32_t day = (uint32_t)(days + 719468 + 146097);   /* since -400-03-01 */
  uint32_t era = day / 146097;
  day -= era * 146097;
  uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  uint32_t month = (5 * day + 2) / 153;                 /* 0: March */
  day -= (153 * month + 2) / 5;
  year += 400 * era + (month >= 10) - 400;
  out = put_pair(out, year / 100);
  out = put_pair(out, year % 100);
  *out++ = '-';
  out = put_pair(out, month < 10 ? month + 3 : month - 9);
  *out++ = '-';
  return put_pair(out, day + 1);
}

static char *put_time_of_day(char *out, uint32_t seconds) {
  out = put_pair(out, seconds / 3600);
  *out++ = ':';
  out = put_pair(out, seconds / 60 % 60);
  *out++ = ':';
  return put_pair(out, seconds % 60);
}

static char *put_millionths(char *out, uint32_t value) {
  out = put_pair(out, value / 10000);
  out = put_pair(out, value / 100 % 100);
  return put_pair(out, value % 100);
}

static int64_t day_of(int64_t time) {
  return (time >= 0 ? time : time - (DAY - 1)) / DAY;
}

static int64_t bounded(int64_t time) {
  return time < FIRST ? FIRST : time > LAST ? LAST : time;
}

/* All that follows the date; 'rest' are the microseconds of the day. */
static void put_rest(char *out, int64_t rest) {
  *out++ = 'T';
  out = put_time_of_day(out, (uint32_t)(rest / SECOND));
  *out++ = '.';
  out = put_millionths(out, (uint32_t)(rest % SECOND));
  *out = 'Z';
}

void jt_timestamp_write(int64_t time, char out[JT_TIMESTAMP_LENGTH]) {
  time = bounded(time);
  int64_t days = day_of(time);
  put_rest(put_date(out, days), time - days * DAY);
}

void jt_timestamp_write_beside(int64_t time, char out[JT_TIMESTAMP_LENGTH],
                               int64_t other, const char *text) {
  time = bounded(time);
  int64_t days = day_of(time);
  if (day_of(bounded(other)) == days) {
    memcpy(out, text, DATE_LENGTH);
    out += DATE_LENGTH;
  } else {
    out = put_date(out, days);
  }
  put_rest(out, time - days * DAY);
}
