/*
** bench.h - what the measuring programs share: clocks, job ids, the numbers of a
** run, and how they hand their samples to report.lua. Knows no store.
*/
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------- reporting */

/*
** Prints one sample of a series, for report.lua. Series that are compared print
** theirs by turns: sample number i of one was taken right beside number i of the
** other.
*/
void bench_sample(double value, const char *series, ...)
  __attribute__((format(printf, 2, 3)));

/* Prints something worth knowing about the run, once for each name. */
void bench_fact(const char *name, const char *text, ...)
  __attribute__((format(printf, 2, 3)));

/* Says on stderr what is being done; or why it cannot go on, and exits. */
void bench_progress(const char *text, ...) __attribute__((format(printf, 1, 2)));
void bench_die(const char *text, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ------------------------------------------------------------------- clocks */

/* Nanoseconds. The first counts while this process computes: what others do on
   the same CPU is no cost of ours. The second never stops. */
uint64_t bench_cpu_time(void);
uint64_t bench_wall_time(void);

/* --------------------------------------------------------------------- jobs */

#define BENCH_TYPE "chapter"
#define BENCH_TYPE_LENGTH (sizeof BENCH_TYPE - 1)
#define BENCH_ID_LENGTH (BENCH_TYPE_LENGTH + 1 + 8)

/* Job number 'index' of a run. All numbers are different, and as scattered as
   drawn ones. */
typedef struct bench_id {
  uint32_t number;
  char text[BENCH_ID_LENGTH + 1];  /* "chapter_xxxxxxxx" */
} bench_id;

bench_id bench_make_id(uint32_t index);

/* One of a handful of short steps. */
const char *bench_step(uint32_t which);

/* A sequence of numbers that look random, the same in every run. */
typedef struct bench_random {
  uint64_t state;
} bench_random;

uint32_t bench_below(bench_random *random, uint32_t limit);

#endif
