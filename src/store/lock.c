/*
** lock.c - taking and giving the writers' lock.
**
** When a process dies, the kernel marks each robust mutex that it held. The
** next one to lock it is told so (EOWNERDEAD), rebuilds what follows from the
** cells, and only then marks the mutex consistent. If it dies in the middle of
** that, the next one is told again and starts from the beginning.
*/
#include "lock.h"

#include <errno.h>
#include <time.h>

#include "recover.h"

static int lock_in_time(pthread_mutex_t *lock) {
  struct timespec limit;
  int failed = pthread_mutex_trylock(lock);
  if (failed != EBUSY) return failed;
  clock_gettime(CLOCK_MONOTONIC, &limit);
  limit.tv_sec += JT_LOCK_SECONDS;
  return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &limit);
}

/* 'outcome': of the attempt to lock. */
static jt_code enter(jt_store *store, int outcome) {
  switch (outcome) {
    case 0:
      return JT_OK;
    case EOWNERDEAD:
      jt_recover(store, JT_TRUST);
      pthread_mutex_consistent(&store->header->lock);
      return JT_OK;
    case EBUSY:
    case ETIMEDOUT:
      return JT_BUSY;
    default:
      return JT_CORRUPT;
  }
}

jt_code jt_lock(jt_store *store) {
  if (store->readonly) return JT_READONLY;
  return enter(store, lock_in_time(&store->header->lock));
}

jt_code jt_lock_now(jt_store *store) {
  if (store->readonly) return JT_READONLY;
  return enter(store, pthread_mutex_trylock(&store->header->lock));
}

void jt_unlock(jt_store *store) {
  pthread_mutex_unlock(&store->header->lock);
}
