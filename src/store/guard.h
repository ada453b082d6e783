/*
** guard.h - mappings of files that somebody may truncate. Knows no store.
**
** Who touches a page that the file no longer has gets SIGBUS, which ends a process. Where
** a mapping is guarded, a handler puts zeros in the place of that page and of all behind
** it, remembers that, and lets the process go on: who looks afterwards finds an empty
** store at worst, and asks jt_guard_lost before it believes that.
**
** The handler is the process's, from the first guarded mapping on. A SIGBUS of any other
** address, or one that was sent, goes to the handler that was there before.
*/
#ifndef JT_GUARD_H
#define JT_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jt_guard {
  _Atomic uintptr_t begin;        /* 0: guards nothing, and may be used again */
  size_t size;                    /* these two never change */
  int access;                     /* PROT_... */
  _Atomic bool lost;
  struct jt_guard *next;
} jt_guard;

/* Guards the mapping until jt_guard_end. NULL: out of memory. */
jt_guard *jt_guard_begin(void *at, size_t size, int access);

/* Before it is unmapped. NULL is fine. */
void jt_guard_end(jt_guard *guard);

/* Whether the file has lost bytes that somebody here looked at. NULL: no. */
static inline bool jt_guard_lost(const jt_guard *guard) {
  return guard != NULL && atomic_load_explicit(&guard->lost, memory_order_relaxed);
}

#endif
