/*
** notify.h - sleeping until something changes. Knows no jobs.
**
** One futex word: changes:31 | waiting:1. Who wants to sleep sets 'waiting',
** looks at its job, and sleeps only while the word is as it was after that.
** Who has published looks at 'waiting' and, if it is set, counts a change,
** clears it, and wakes everybody; if not, an update makes no system call.
**
** Each side stores first and loads then, so a full fence in between lets at
** least one of them see the other. Still a writer can be killed between its
** commit and its wake: therefore nobody sleeps longer than JT_SLICE at a time
** without looking again.
*/
#ifndef JT_NOTIFY_H
#define JT_NOTIFY_H

#include "layout.h"

#define JT_SLICE 250000           /* microseconds */

/* Says that this process waits; the ticket is for jt_notify_sleep. Look at the
   job after this call. */
uint32_t jt_notify_prepare(jt_store *store);

/*
** Sleeps until a change that came after the ticket, at most 'limit'
** microseconds and at most a slice. JT_OK: look again. JT_INTERRUPTED: a
** signal handler ran.
*/
jt_code jt_notify_sleep(jt_store *store, uint32_t ticket, int64_t limit);

/* After every change, when the lock has been given back: wakes all who wait. */
void jt_notify_wake(jt_store *store);

/* Microseconds of a clock that never jumps. */
int64_t jt_monotonic(void);

#endif
