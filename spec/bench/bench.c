/*
** bench.c - see bench.h.
*/
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---------------------------------------------------------------- reporting */

#define SPELL(stream, format)                                                  \
  do {                                                                         \
    va_list arguments;                                                         \
    va_start(arguments, format);                                               \
    vfprintf(stream, format, arguments);                                       \
    va_end(arguments);                                                         \
  } while (0)

void bench_sample(double value, const char *series, ...) {
  fputs("sample\t", stdout);
  SPELL(stdout, series);
  printf("\t%.3f\n", value);
}

void bench_fact(const char *name, const char *text, ...) {
  printf("fact\t%s\t", name);
  SPELL(stdout, text);
  putchar('\n');
}

void bench_progress(const char *text, ...) {
  fputs("  ", stderr);
  SPELL(stderr, text);
  fputc('\n', stderr);
}

void bench_die(const char *text, ...) {
  SPELL(stderr, text);
  fputc('\n', stderr);
  exit(1);
}

/* ------------------------------------------------------------------- clocks */

static uint64_t read_clock(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_cpu_time(void) {
  return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_wall_time(void) {
  return read_clock(CLOCK_MONOTONIC);
}

/* --------------------------------------------------------------------- jobs */

/* A bijection of 32 bits (the end of MurmurHash3): scattered, and never twice
   the same. */
static uint32_t scatter(uint32_t x) {
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}

bench_id bench_make_id(uint32_t index) {
  bench_id id = { .number = scatter(index + 1), .text = BENCH_TYPE "_" };
  char *at = id.text + BENCH_TYPE_LENGTH + 1;
  for (int shift = 28; shift >= 0; shift -= 4)
    *at++ = "0123456789abcdef"[id.number >> shift & 15];
  return id;
}

const char *bench_step(uint32_t which) {
  static const char *const steps[] = {
    "Section 1 of 6: Threads", "Section 2 of 6: Memory order",
    "Section 3 of 6: Locks",   "Section 4 of 6: Futexes",
    "Section 5 of 6: Waking",  "Section 6 of 6: Recovery",
  };
  return steps[which % (sizeof steps / sizeof steps[0])];
}

/* splitmix64 */
uint32_t bench_below(bench_random *random, uint32_t limit) {
  uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  x ^= x >> 31;
  return (uint32_t)((x >> 32) * limit >> 32);
}
