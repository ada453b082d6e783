/*
** draw_bench.c - what an id costs to draw: one UUID from libuuid, and one number
** of the three that our store takes from it. store_bench.c draws none.
**
**   draw_bench ROUNDS
*/
#include <stdlib.h>
#include <uuid/uuid.h>

#include "bench.h"
#include "store/store.h"

enum { BATCH = 3000 };

static uint64_t draw_uuids(void) {
  uuid_t uuid;
  uint64_t start = bench_cpu_time();
  for (int i = 0; i < BATCH; i++) uuid_generate_random(uuid);
  return bench_cpu_time() - start;
}

static uint64_t draw_numbers(void) {
  volatile uint32_t number;
  uint64_t start = bench_cpu_time();
  for (int i = 0; i < BATCH; i++) number = jt_draw_number();
  (void)number;
  return bench_cpu_time() - start;
}

int main(int count, char **arguments) {
  if (count != 2) bench_die("usage: draw_bench ROUNDS");
  for (long rounds = strtol(arguments[1], NULL, 10); rounds > 0; rounds--) {
    bench_sample((double)draw_numbers() / BATCH, "draw/number/ours");
    bench_sample((double)draw_uuids() / BATCH, "draw/number/uuid");
  }
  return 0;
}
