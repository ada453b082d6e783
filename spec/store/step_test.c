/*
** step_test.c - a writer killed at every instruction. The call runs in a child
** that is traced step by step; each time the region has changed, a clone of it is
** what a kill at this point would leave, once the kernel's rule for robust
** mutexes is applied to its lock. From every one of these the readers, and then
** the next writer, must find each job as it was before the call or as it is
** after it.
*/
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenes.h"
#include "store/owner.h"

/* ------------------------------------------------------------------ the kill */

/* What the kernel does to a robust mutex whose holder dies. */
static void bury(pthread_mutex_t *lock, pid_t dead) {
  uint32_t word;
  memcpy(&word, lock, sizeof word);   /* glibc: the futex is first */
  if ((word & FUTEX_TID_MASK) != (uint32_t)dead) return;
  word = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
  memcpy(lock, &word, sizeof word);
}

static void check_kill_here(const scene *s, jt_store *clone, pid_t dead) {
  region_copy(clone, s->store);
  bury(&clone->header->lock, dead);
  for (uint32_t i = 0; i < JT_OWNERS; i++) bury(&clone->slots[i].life, dead);
  scene_check_recovery(s, clone, dead);
}

static void call_traced(const scene *s) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
  raise(SIGSTOP);
  s->trial->call(s);
  _exit(check_failures() > 0);
}

/* False: this machine lets nobody trace. */
static bool begin_tracing(const scene *s, pid_t *child) {
  int status;
  fflush(stdout);
  *child = fork();
  if (*child == 0) call_traced(s);
  if (waitpid(*child, &status, 0) != *child || !WIFSTOPPED(status)) return false;
  return ptrace(PTRACE_SETOPTIONS, *child, NULL, PTRACE_O_EXITKILL) == 0;
}

/* Steps through the call, to its end; returns how many states it looked at. As long as
   it lives nobody is dead who was not before. */
static unsigned step_through(const scene *s) {
  jt_store *clone = region_clone(s->store), *last = region_clone(s->store);
  uint32_t dead_before = jt_owners_dead(s->store);
  uint64_t steps = 0;
  unsigned states = 0, failures = check_failures();
  int status = 0;
  pid_t child;
  if (!begin_tracing(s, &child)) check_skip("nobody may be traced here");
  while (check_failures() == failures) {
    if (!CHECK_INT(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0)) break;
    if (!CHECK_INT(waitpid(child, &status, 0), child) || !WIFSTOPPED(status)) break;
    steps++;
    if (memcmp(last->base, s->store->base, s->store->geometry.size) == 0) continue;
    region_copy(last, s->store);
    CHECK(jt_owners_dead(s->store) <= dead_before);
    check_kill_here(s, clone, child);
    states++;
  }
  if (check_failures() > failures)
    check_say("in %s: killed after %llu steps", s->trial->name, (unsigned long long)steps);
  else if (!CHECK_INT(status, 0))
    check_say("in %s", s->trial->name);
  if (WIFSTOPPED(status)) check_kill(child);
  scene_check_returned(s, s->store, child);
  region_free(clone);
  region_free(last);
  return states;
}

static void killed_at_every_instruction(void) {
  unsigned states = 0;
  for (size_t i = 0; i < trial_count; i++) {
    scene s = scene_make(&trials[i]);
    unsigned seen = step_through(&s);
    CHECK(seen > 3);
    states += seen;
    scene_free(&s);
  }
  check_prove(PROVE_KILLED, "killed at every instruction, traced", states);
  CHECK(states > 800);
}

static const check_case cases[] = { { "killed_at_every_instruction",
                                      killed_at_every_instruction, 120 } };
CHECK_MAIN(cases)
