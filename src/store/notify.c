/*
** notify.c - the futex word; its protocol is in notify.h.
*/
#include "notify.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAITING 1u
#define ONE_CHANGE 2u
#define POLL 20000                /* microseconds, where no word can be written */

int64_t jt_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint32_t jt_notify_prepare(jt_store *store) {
  if (store->notice == NULL) return 0;
  uint32_t before = atomic_fetch_or_explicit(&store->notice->word, WAITING,
                                             memory_order_seq_cst);
  /* Pairs with the fence in jt_notify_wake. */
  atomic_thread_fence(memory_order_seq_cst);
  return before | WAITING;
}

static struct timespec duration(int64_t microseconds) {
  struct timespec time = { .tv_sec = microseconds / 1000000,
                           .tv_nsec = microseconds % 1000000 * 1000 };
  return time;
}

jt_code jt_notify_sleep(jt_store *store, uint32_t ticket, int64_t limit) {
  int64_t longest = store->notice != NULL ? JT_SLICE : POLL;
  struct timespec time = duration(limit < longest ? limit : longest);
  long failed;
  if (store->notice != NULL)
    failed = syscall(SYS_futex, &store->notice->word, FUTEX_WAIT, ticket, &time, NULL, 0);
  else
    failed = nanosleep(&time, NULL);
  return failed != 0 && errno == EINTR ? JT_INTERRUPTED : JT_OK;
}

/*
** A full fence. On x86 the unlock has been one: to learn whether somebody waits for the
** lock it has to exchange the lock's word, and "loads and stores are not reordered with
** locked instructions" (Intel SDM, volume 3, memory ordering; AMD's says the same). A
** second one would be a twentieth of an update.
*/
static void fence_after_unlock(void) {
#ifdef __x86_64__
  atomic_signal_fence(memory_order_seq_cst);
#else
  atomic_thread_fence(memory_order_seq_cst);
#endif
}

void jt_notify_wake(jt_store *store) {
  _Atomic uint32_t *word = &store->notice->word;
  /* The commit before, the look at 'waiting' after: pairs with the fence in
     jt_notify_prepare. */
  fence_after_unlock();
  uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);
  if (!(seen & WAITING)) return;
  /* If the exchange fails, another writer or waiter was here: look again. */
  while (!atomic_compare_exchange_weak_explicit(word, &seen,
                                                (seen + ONE_CHANGE) & ~WAITING,
                                                memory_order_seq_cst,
                                                memory_order_relaxed))
    if (!(seen & WAITING)) return;
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
