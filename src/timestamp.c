/*
** timestamp.c - see timestamp.h. The calendar is computed, not asked from the
** C library: gmtime and strftime take locks and locales, and ten times as long.
*/
#include "timestamp.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define FIRST (-719528 * DAY)            /* 0000-01-01 */
#define LAST (2932897 * DAY - 1)         /* the last microsecond of 9999 */

static char *put_digits(char *out, int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; i--, value /= 10)
    out[i] = (char)('0' + value % 10);
  return out + digits;
}

/*
** Days since 1970-01-01 to year, month and day. Counted from a first of March,
** a leap day is the last of its year, and months have 31, 30, 31, 30, 31 days
** again and again: 153 days each five. 400 years have 146097 days.
*/
static char *put_date(char *out, int64_t days) {
  int64_t day = days + 719468;                /* since 0000-03-01 */
  int64_t era = (day >= 0 ? day : day - 146096) / 146097;
  day -= era * 146097;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  int64_t month = (5 * day + 2) / 153;        /* 0: March */
  day -= (153 * month + 2) / 5;
  year += 400 * era + (month >= 10);
  out = put_digits(out, year, 4);
  *out++ = '-';
  out = put_digits(out, month < 10 ? month + 3 : month - 9, 2);
  *out++ = '-';
  return put_digits(out, day + 1, 2);
}

void jt_timestamp_write(int64_t time, char out[JT_TIMESTAMP_LENGTH]) {
  if (time < FIRST) time = FIRST;
  if (time > LAST) time = LAST;
  int64_t days = (time >= 0 ? time : time - (DAY - 1)) / DAY;
  int64_t rest = time - days * DAY;
  out = put_date(out, days);
  *out++ = 'T';
  out = put_digits(out, rest / (3600 * SECOND), 2);
  *out++ = ':';
  out = put_digits(out, rest / (60 * SECOND) % 60, 2);
  *out++ = ':';
  out = put_digits(out, rest / SECOND % 60, 2);
  *out++ = '.';
  out = put_digits(out, rest % SECOND, 6);
  *out = 'Z';
}
