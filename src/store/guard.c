/*
** guard.c - the handler; see guard.h.
**
** It may run at any instruction of any thread. So the list of guards only grows, and one
** that is used again is of the same size and access: whichever of its mappings the
** handler takes it for, it finds a range that was, or is, a guarded one.
*/
#include "guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic(jt_guard *) guards;
static struct sigaction before;   /* set before any guard is in the list */
static uintptr_t page;

/* ------------------------------------------------------------------- the handler */

static jt_guard *guard_of(uintptr_t address) {
  jt_guard *guard = atomic_load_explicit(&guards, memory_order_acquire);
  for (; guard != NULL; guard = guard->next) {
    uintptr_t begin = atomic_load_explicit(&guard->begin, memory_order_acquire);
    if (begin != 0 && address >= begin && address - begin < guard->size) return guard;
  }
  return NULL;
}

/* False: no memory for it. */
static bool put_zeros(jt_guard *guard, uintptr_t address) {
  uintptr_t from = address & ~(page - 1);
  uintptr_t end = atomic_load_explicit(&guard->begin, memory_order_relaxed) + guard->size;
  void *at = (void *)from;
  atomic_store_explicit(&guard->lost, true, memory_order_relaxed);
  /* By number: mmap is not among the functions that a handler may call. */
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  long got = syscall(SYS_mmap, at, end - from, guard->access, flags, -1, 0);
  return got == (long)from;
}

static void pass_on(int number, siginfo_t *info, void *context) {
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(number, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(number);
  } else {
    sigaction(number, &before, NULL);
    raise(number);                /* comes when this handler has returned */
  }
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
  int number_of_error = errno;
  uintptr_t address = (uintptr_t)info->si_addr;
  jt_guard *guard = info->si_code == BUS_ADRERR ? guard_of(address) : NULL;
  if (guard == NULL || !put_zeros(guard, address)) pass_on(number, info, context);
  errno = number_of_error;
}

static void install(void) {
  struct sigaction ours = { .sa_sigaction = on_bus_error,
                            .sa_flags = SA_SIGINFO | SA_ONSTACK };
  sigemptyset(&ours.sa_mask);
  page = (uintptr_t)sysconf(_SC_PAGESIZE);
  sigaction(SIGBUS, NULL, &before);
  sigaction(SIGBUS, &ours, NULL);
}

/* ---------------------------------------------------------------------- guarding */

/* One of that size that guards nothing any more, or NULL. */
static jt_guard *used_before(uintptr_t begin, size_t size, int access) {
  jt_guard *guard = atomic_load_explicit(&guards, memory_order_acquire);
  for (; guard != NULL; guard = guard->next) {
    uintptr_t nothing = 0;
    if (guard->size != size || guard->access != access) continue;
    if (atomic_compare_exchange_strong(&guard->begin, &nothing, begin)) return guard;
  }
  return NULL;
}

/* A page of its own, which stays: malloc would call it a leak. */
static jt_guard *make(uintptr_t begin, size_t size, int access) {
  jt_guard *guard = mmap(NULL, sizeof *guard, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (guard == MAP_FAILED) return NULL;
  *guard = (jt_guard){ .begin = begin, .size = size, .access = access };
  guard->next = atomic_load_explicit(&guards, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&guards, &guard->next, guard,
                                                memory_order_release,
                                                memory_order_relaxed))
    continue;
  return guard;
}

jt_guard *jt_guard_begin(void *at, size_t size, int access) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
  jt_guard *guard = used_before((uintptr_t)at, size, access);
  return guard != NULL ? guard : make((uintptr_t)at, size, access);
}

void jt_guard_end(jt_guard *guard) {
  if (guard == NULL) return;
  atomic_store_explicit(&guard->lost, false, memory_order_relaxed);
  atomic_store_explicit(&guard->begin, 0, memory_order_release);
}
