/*
** memory_bench.c - how much memory of the region is resident, for each job: after
** creating them, and after ten updates of each on average, in no order. Prints
** samples for report.lua: bytes.
**
**   memory_bench JOBS
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crowd.h"

enum { UPDATES = 10 };   /* of each job */

/* Shared memory that this process has touched, in bytes. It has no other than
   the region. */
static double resident(void) {
  char line[256];
  long kilobytes = -1;
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) bench_die("cannot read /proc/self/status");
  while (fgets(line, sizeof line, status) != NULL)
    if (strncmp(line, "RssShmem:", 9) == 0) kilobytes = strtol(line + 9, NULL, 10);
  fclose(status);
  if (kilobytes < 0) bench_die("/proc/self/status has no RssShmem");
  return (double)kilobytes * 1024;
}

/* Every job is there, and was updated as often as it must have been. */
static void verify(jt_store *store, uint32_t jobs, uint64_t changes) {
  jt_stats stats;
  jt_store_stats(store, &stats);
  if (stats.jobs != jobs || stats.version != changes)
    bench_die("%llu jobs after %llu changes", (unsigned long long)stats.jobs,
              (unsigned long long)stats.version);
}

int main(int count, char **arguments) {
  if (count != 2) bench_die("usage: memory_bench JOBS");
  uint32_t jobs = (uint32_t)strtoul(arguments[1], NULL, 10);
  double before = resident();
  jt_store *store = crowd_make(jobs);
  bench_sample((resident() - before) / jobs, "memory/created/%u/ours", jobs);
  verify(store, jobs, jobs);
  crowd_update(store, jobs, (uint64_t)UPDATES * jobs);
  bench_sample((resident() - before) / jobs, "memory/updated/%u/ours", jobs);
  verify(store, jobs, (uint64_t)(UPDATES + 1) * jobs);
  return 0;
}
