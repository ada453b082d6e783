/*
** tsan.c - under ThreadSanitizer only: a pthread_mutex_clocklock that it can see.
** clang 14's knows the other ways to take a mutex and not this one, so it would
** take what the lock protects for a race. (A test program's own function comes
** before the C library's.)
*/
#if defined __has_feature
#if __has_feature(thread_sanitizer)

#include <errno.h>
#include <pthread.h>
#include <time.h>

static int is_over(clockid_t clock, const struct timespec *limit) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec > limit->tv_sec ||
         (now.tv_sec == limit->tv_sec && now.tv_nsec >= limit->tv_nsec);
}

int pthread_mutex_clocklock(pthread_mutex_t *lock, clockid_t clock,
                            const struct timespec *limit) {
  const struct timespec pause = { 0, 20000 };
  for (;;) {
    int failed = pthread_mutex_trylock(lock);
    if (failed != EBUSY) return failed;
    if (is_over(clock, limit)) return ETIMEDOUT;
    nanosleep(&pause, NULL);
  }
}

#endif
#endif

typedef int tsan_nothing;         /* ISO C wants something in every file */
