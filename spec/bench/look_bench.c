/*
** look_bench.c - looking at every job of a large store: counting them by type, and
** naming the newest. Prints samples for report.lua: milliseconds of CPU time.
**
**   look_bench ROUNDS JOBS
*/
#include <stdlib.h>

#include "crowd.h"

enum { NEWEST = 50 };

/* What was counted, and named: all of them. */
static void time_summary(jt_store *store, uint32_t jobs) {
  static jt_summary summary;
  uint64_t start = bench_cpu_time(), counted = 0;
  if (jt_summarize(store, &summary) != JT_OK) bench_die("no summary");
  double milliseconds = (double)(bench_cpu_time() - start) / 1e6;
  for (int i = 0; i < JT_STATUSES; i++) counted += summary.types[0].by_status[i];
  if (summary.count != 1 || counted != jobs) bench_die("the summary is wrong");
  bench_sample(milliseconds, "look/summary/%u/ours", jobs);
}

static void time_list(jt_store *store, uint32_t jobs) {
  const jt_filter all = { .status = -1 };
  jt_key keys[NEWEST];
  size_t count = 0;
  uint64_t start = bench_cpu_time();
  if (jt_list(store, &all, keys, NEWEST, &count) != JT_OK) bench_die("no list");
  double milliseconds = (double)(bench_cpu_time() - start) / 1e6;
  if (count != NEWEST) bench_die("the list is wrong");
  bench_sample(milliseconds, "look/list/%u/ours", jobs);
}

int main(int count, char **arguments) {
  if (count != 3) bench_die("usage: look_bench ROUNDS JOBS");
  uint32_t jobs = (uint32_t)strtoul(arguments[2], NULL, 10);
  jt_store *store = crowd_make(jobs);
  crowd_update(store, jobs, jobs);
  bench_progress("looking at them");
  for (long rounds = strtol(arguments[1], NULL, 10); rounds > 0; rounds--) {
    time_summary(store, jobs);
    time_list(store, jobs);
  }
  return 0;
}
