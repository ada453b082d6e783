/*
** step_test.c - a writer killed at every instruction. The call runs in a child
** that is traced step by step; each time the region has changed, a clone of it is
** what a kill at this point would leave, once the kernel's rule for robust
** mutexes is applied to its lock. From every one of these the readers, and then
** the next writer, must find each job as it was before the call or as it is
** after it.
*/
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
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

/* -------------------------------------------------------------- the stepping */

typedef struct tracee {
  void (*run)(void *context);
  void *context;
  pid_t process;
  int status;
  uint64_t steps;
} tracee;

static void run_traced(const tracee *t) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
  raise(SIGSTOP);
  t->run(t->context);
  _exit(check_failures() > 0);
}

static bool stops(tracee *t) {
  return waitpid(t->process, &t->status, 0) == t->process && WIFSTOPPED(t->status);
}

static void begin_tracing(tracee *t) {
  fflush(stdout);
  t->process = fork();
  if (t->process == 0) run_traced(t);
  if (!stops(t) || ptrace(PTRACE_SETOPTIONS, t->process, NULL, PTRACE_O_EXITKILL) != 0)
    check_skip("nobody may be traced here");
}

/* One instruction. False: it has ended. */
static bool step(tracee *t) {
  if (!CHECK_INT(ptrace(PTRACE_SINGLESTEP, t->process, NULL, NULL), 0)) return false;
  t->steps++;
  return stops(t);
}

static void end_tracing(const tracee *t, const char *name, unsigned failures) {
  if (check_failures() > failures)
    check_say("in %s: killed after %llu steps", name, (unsigned long long)t->steps);
  else if (!CHECK_INT(t->status, 0))
    check_say("in %s", name);
  if (WIFSTOPPED(t->status)) check_kill(t->process);
}

/* -------------------------------------------------------- a call, on a region */

static void call(void *context) {
  const scene *s = context;
  s->trial->call(s);
}

/* Steps through the call, to its end; returns how many states it looked at. As long as
   it lives nobody is dead who was not before. */
static unsigned step_through(scene *s) {
  jt_store *clone = region_clone(s->store), *last = region_clone(s->store);
  uint32_t dead_before = jt_owners_dead(s->store);
  unsigned states = 0, failures = check_failures();
  tracee t = { .run = call, .context = s };
  begin_tracing(&t);
  while (check_failures() == failures && step(&t)) {
    if (memcmp(last->base, s->store->base, s->store->geometry.size) == 0) continue;
    region_copy(last, s->store);
    CHECK(jt_owners_dead(s->store) <= dead_before);
    check_kill_here(s, clone, t.process);
    states++;
  }
  end_tracing(&t, s->trial->name, failures);
  scene_check_returned(s, s->store, t.process);
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

/* -------------------------------------------------- while another one waits */

enum { AFTER_RELEASE = 48 };      /* instructions: the C library's way to its wake-up */

static bool holds_lock(const jt_store *store, pid_t process) {
  uint32_t word;
  memcpy(&word, &store->header->lock, sizeof word);
  return (word & FUTEX_TID_MASK) == (uint32_t)process;
}

typedef struct waiting {
  const scene *scene;
  _Atomic uint64_t killed_at;     /* microseconds; 0: the holder lives */
  pid_t process;
} waiting;

static uint64_t now(void) {
  return (uint64_t)(check_now() * 1e6);
}

/* To be traced takes the holder a while: longer perhaps than one is ready to wait. But
   not to be let in though it was killed before that is what must not happen. */
static void wait_for_the_lock(void *context) {
  const waiting *w = context;
  job_id none = id_of("none", 1);
  jt_code code;
  do {
    uint64_t patience_ends = now() + JT_LOCK_SECONDS * UINT64_C(1000000);
    code = erase(w->scene->store, &none);
    uint64_t killed_at = atomic_load(&w->killed_at);
    if (killed_at != 0 && killed_at < patience_ends) break;
  } while (code == JT_BUSY);
  CHECK_CODE(code, JT_NOT_FOUND);
}

/* With the lock in its hands. */
static void step_until_one_waits(waiting *w, tracee *t) {
  while (!holds_lock(w->scene->store, t->process) && step(t)) continue;
  w->process = check_fork(wait_for_the_lock, w);
  check_await_sleeping(w->process);
}

/* A moment is a change of the region or, after the lock was given back, an instruction.
   False: there are not so many. */
static bool step_to_moment(const scene *s, tracee *t, jt_store *last, unsigned moment) {
  unsigned released = 0;
  for (unsigned seen = 0; seen < moment;) {
    if (!step(t)) return false;
    released += released > 0 || !holds_lock(s->store, t->process);
    bool changed = memcmp(last->base, s->store->base, s->store->geometry.size) != 0;
    if (changed) region_copy(last, s->store);
    seen += changed || released > 0;
  }
  return released <= AFTER_RELEASE;
}

/* A real kill. Whoever waits gets the lock, before its patience ends. */
static bool killed_at_moment(scene *s, waiting *w, unsigned moment) {
  jt_store *last = region_clone(s->store);
  tracee t = { .run = call, .context = s };
  atomic_store(&w->killed_at, 0);
  begin_tracing(&t);
  step_until_one_waits(w, &t);
  region_copy(last, s->store);
  bool there = step_to_moment(s, &t, last, moment);
  if (WIFSTOPPED(t.status)) check_kill(t.process);
  atomic_store(&w->killed_at, now());
  CHECK_JOIN(w->process);
  scene_check_recovery(s, s->store, t.process);
  region_free(last);
  return there;
}

static void killed_while_another_waits(void) {
  unsigned moment = 0;
  scene s = scene_make(trial_of("an update of the progress"));
  waiting *w = check_shared(sizeof *w);
  jt_store *start = region_clone(s.store);
  w->scene = &s;
  while (killed_at_moment(&s, w, moment) && check_failures() == 0) {
    moment++;
    region_copy(s.store, start);
  }
  if (check_failures() > 0) check_say("killed at moment %u", moment);
  check_prove(PROVE_KILLED, "SIGKILL while another waits for the lock", moment);
  CHECK(moment > AFTER_RELEASE + 10);
  region_free(start);
  scene_free(&s);
}

/* ------------------------------------------------------------ making a file */

enum { FILE_JOBS = 4, FILE_UNITS = 32 };

static void make_file(void *context) {
  (void)context;
  jt_store_close(file_store("store", region_size(FILE_JOBS, FILE_UNITS), FILE_JOBS));
}

static size_t size_of(int file) {
  struct stat status;
  return fstat(file, &status) == 0 ? (size_t)status.st_size : 0;
}

static void write_ruin(const unsigned char *bytes, size_t size) {
  int file = open(check_path("ruin"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK_INT(write(file, bytes, size), size);
  close(file);
}

/* A reader is served, or told to wait; a writer makes or finds a store. */
static void check_ruin(void) {
  const jt_options reading = { .readonly = true };
  jt_store *store;
  jt_error error;
  jt_code code = jt_store_open(check_path("ruin"), &reading, &store, &error);
  if (code == JT_OK) jt_store_close(store);
  else CHECK_CODE(code, JT_NOT_READY);
  store = file_store("ruin", region_size(FILE_JOBS, FILE_UNITS), FILE_JOBS);
  create(store, "job", 1);
  CHECK_AUDIT(store);
  jt_store_close(store);
}

static void killed_making_a_file(void) {
  size_t most = region_size(FILE_JOBS, FILE_UNITS), last_size = 0;
  unsigned char *last = check_memory(most), *now;
  int file = open(check_path("store"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  unsigned states = 0;
  tracee t = { .run = make_file };
  now = mmap(NULL, most, PROT_READ, MAP_SHARED, file, 0);
  CHECK(now != MAP_FAILED);
  begin_tracing(&t);
  while (check_failures() == 0 && step(&t)) {
    size_t size = size_of(file);
    if (size == last_size && memcmp(last, now, size) == 0) continue;
    memcpy(last, now, size);
    last_size = size;
    write_ruin(last, size);
    check_ruin();
    states++;
  }
  end_tracing(&t, "the making of a file", 0);
  check_prove(PROVE_KILLED, "killed at every instruction that makes a file", states);
  CHECK(states > JT_OWNERS);
  close(file);
  free(last);
}

static const check_case cases[] = { { "killed_at_every_instruction",
                                      killed_at_every_instruction, 120 },
                                    CASE(killed_while_another_waits),
                                    CASE(killed_making_a_file) };
CHECK_MAIN(cases)
