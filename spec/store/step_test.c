/*
** step_test.c - a writer killed at every instruction. The call runs in a child
** that is traced step by step; each time the region has changed, a clone of it is
** what a kill at this point would leave, once the kernel's rule for robust
** mutexes is applied to its lock. From every one of these the readers, and then
** the next writer, must find each job as it was before the call or as it is
** after it.
*/
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "store/bury.h"
#include "store/cells.h"
#include "store/heap.h"
#include "store/owner.h"

enum { JOBS = 6 };

/* What a call does to which jobs. */
typedef struct scene {
  jt_store *store;
  job_id ids[JOBS];
  jt_job *before[JOBS], *after[JOBS];   /* NULL: there is no such job */
  int claimed;                    /* by the call: dies with it; -1: none */
} scene;

typedef struct trial {
  const char *name;
  void (*prepare)(const scene *s);
  void (*call)(const scene *s);
  int claims;                     /* which of the jobs; 0: none (never the first) */
} trial;

/* ------------------------------------------------------------ the comparison */

/* Read-only: to look at an orphan is not to write it off. */
static void see(const jt_store *store, const job_id ids[JOBS], jt_job *jobs[JOBS]) {
  jt_store view = region_view(store, true);
  for (int i = 0; i < JOBS; i++) {
    jt_code code = get(&view, &ids[i], &jobs[i]);
    if (code != JT_NOT_FOUND) CHECK_CODE(code, JT_OK);
  }
}

/* As the job was, or was to be, but for its owner's death. */
static bool same_but_dead(const jt_job *now, const jt_job *then, pid_t dead) {
  if (now == NULL || then == NULL || now->status != JT_FAILED) return false;
  jt_text step = jt_job_part(now, JT_STEP);
  return text_same(jt_job_part(now, JT_ERROR), epitaph_of(dead, step.bytes)) &&
         text_same(step, jt_job_part(then, JT_STEP)) &&
         text_same(jt_job_part(now, JT_RESULT), jt_job_part(then, JT_RESULT)) &&
         text_same(jt_job_part(now, JT_CANCEL), jt_job_part(then, JT_CANCEL)) &&
         now->finished_at != 0;
}

/* Every job is the old one or the new one; the times are of another run. Or it is
   one that the dead had claimed. */
static void check_jobs(const scene *s, jt_store *store, pid_t dead) {
  jt_job *now[JOBS];
  see(store, s->ids, now);
  for (int i = 0; i < JOBS; i++) {
    if (!job_same_state(now[i], s->before[i]) &&
        !job_same_state(now[i], s->after[i]) &&
        !(i == s->claimed && (same_but_dead(now[i], s->before[i], dead) ||
                              same_but_dead(now[i], s->after[i], dead))))
      CHECK_NOT_HERE("a job is neither as it was nor as it was to be");
    free(now[i]);
  }
}

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
  job_id none = id_of("none", 1);
  uint64_t version;
  uint32_t left;
  region_copy(clone, s->store);
  bury(&clone->header->lock, dead);
  for (uint32_t i = 0; i < JT_OWNERS; i++) bury(&clone->slots[i].life, dead);
  check_jobs(s, clone, dead);
  CHECK_CODE(erase(clone, &none), JT_NOT_FOUND);
  CHECK_INT(jt_word_load(&clone->header->damaged), 0);
  CHECK_AUDIT(clone);
  check_jobs(s, clone, dead);
  jt_store_pulse(clone, &version, &left);
  CHECK_INT(left, 0);
  CHECK_AUDIT(clone);
  check_jobs(s, clone, dead);
}

static void call_traced(const scene *s, const trial *t) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
  raise(SIGSTOP);
  t->call(s);
  _exit(check_failures() > 0);
}

/* False: this machine lets nobody trace. */
static bool begin_tracing(const scene *s, const trial *t, pid_t *child) {
  int status;
  fflush(stdout);
  *child = fork();
  if (*child == 0) call_traced(s, t);
  if (waitpid(*child, &status, 0) != *child || !WIFSTOPPED(status)) return false;
  return ptrace(PTRACE_SETOPTIONS, *child, NULL, PTRACE_O_EXITKILL) == 0;
}

/* Steps through the call; returns how many states it looked at. As long as it lives
   nobody is dead who was not before. */
static unsigned step_through(const scene *s, const trial *t, pid_t *dead) {
  jt_store *clone = region_clone(s->store), *last = region_clone(s->store);
  uint32_t dead_before = jt_owners_dead(s->store);
  uint64_t steps = 0;
  unsigned states = 0, failures = check_failures();
  int status = 0;
  pid_t child;
  if (!begin_tracing(s, t, &child)) check_skip("nobody may be traced here");
  *dead = child;
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
    check_say("in %s: killed after %llu steps", t->name, (unsigned long long)steps);
  else if (!CHECK_INT(status, 0))
    check_say("in %s", t->name);
  if (WIFSTOPPED(status)) check_kill(child);
  region_free(clone);
  region_free(last);
  return states;
}

/* ------------------------------------------------------------------- trials */

static job_id create_at_home(jt_store *store, uint32_t home, uint32_t *number) {
  for (;; (*number)++) {
    job_id id = id_of("near", *number);
    if (jt_cell_home(&store->geometry, jt_hash(id.text, id.length)) == home)
      return create(store, "near", (*number)++);
  }
}

/* 0 pending, 1 running with blobs, 2 completed, 3 failed: 0 to 2 in one cluster.
   4 and 5 are ids of jobs to come. */
static scene make_scene(void) {
  scene s = { .store = region_make(4, 64) };
  uint32_t number = 0, home = s.store->geometry.cells - 1;
  for (int i = 0; i < 3; i++) s.ids[i] = create_at_home(s.store, home, &number);
  s.ids[3] = create(s.store, "far", 3);
  s.ids[4] = id_of("new", 4);
  s.ids[5] = id_of("new", 5);
  CHECK_CODE(set_status(s.store, &s.ids[1], JT_RUNNING), JT_OK);
  CHECK_CODE(set_result(s.store, &s.ids[1], 200, 'r'), JT_OK);
  CHECK_CODE(set_status(s.store, &s.ids[2], JT_COMPLETED), JT_OK);
  CHECK_CODE(set_status(s.store, &s.ids[3], JT_FAILED), JT_OK);
  return s;
}

static void nothing(const scene *s) {
  (void)s;
}

static void erase_third(const scene *s) {
  CHECK_CODE(erase(s->store, &s->ids[2]), JT_OK);
}

static void erase_first_two(const scene *s) {
  CHECK_CODE(erase(s->store, &s->ids[0]), JT_OK);
  CHECK_CODE(erase(s->store, &s->ids[1]), JT_OK);
}

static void create_new(const scene *s) {
  CHECK_CODE(jt_create_numbered(s->store, "new", 3, 4), JT_OK);
}

static void change_everything(const scene *s) {
  jt_change change = { .fields = 63, .status = JT_FAILED, .progress = 0.75 };
  change.step = text_of("an end of it");
  change.result = text_of("{\"pages\":12,\"figures\":[1,2,3],\"title\":\"The first\"}");
  change.error = text_of("no more paper");
  CHECK_CODE(update(s->store, &s->ids[1], &change), JT_OK);
}

static void change_progress(const scene *s) {
  jt_change change = { .fields = JT_SET_PROGRESS, .progress = 0.25 };
  CHECK_CODE(update(s->store, &s->ids[1], &change), JT_OK);
}

static const char long_text[64 * 60];

/* Both finished jobs have to go for it. */
static void attach_long_result(const scene *s) {
  jt_change change = { .fields = JT_SET_RESULT | JT_SET_STATUS, .status = JT_RUNNING };
  change.result = (jt_text){ long_text, 64 * 42 };
  CHECK_CODE(update(s->store, &s->ids[0], &change), JT_OK);
}

static void fill_up(const scene *s) {
  CHECK_CODE(set_result(s->store, &s->ids[2], 64 * 15, 'c'), JT_OK);
  CHECK_CODE(set_result(s->store, &s->ids[3], 64 * 14, 'f'), JT_OK);
}

static void attach_too_much(const scene *s) {
  jt_change change = { .fields = JT_SET_RESULT };
  change.result = (jt_text){ long_text, 64 * 60 };
  CHECK_CODE(update(s->store, &s->ids[0], &change), JT_FULL);
}

static void clear(const scene *s) {
  uint64_t removed;
  CHECK_CODE(jt_clear(s->store, &removed), JT_OK);
}

/* All finished jobs have expired. */
static void let_expire(const scene *s) {
  CHECK_CODE(jt_store_set_retention(s->store, 1), JT_OK);
}

static void die_in_an_update(const scene *s) {
  pid_t child = fork();
  if (child != 0) {
    CHECK_INT(check_join(child, 10), 0);
    return;
  }
  if (pthread_mutex_lock(&s->store->header->lock) != 0) _exit(1);
  jt_heap_take(s->store, 7);
  _exit(0);
}

static void erase_nobody(const scene *s) {
  job_id none = id_of("none", 2);
  CHECK_CODE(erase(s->store, &none), JT_NOT_FOUND);
}

static void claim_second(const scene *s) {
  CHECK_CODE(claim_job(s->store, &s->ids[1]), JT_OK);
}

static void claim_and_finish_second(const scene *s) {
  claim_second(s);
  CHECK_CODE(set_status(s->store, &s->ids[1], JT_COMPLETED), JT_OK);
}

static void claim_and_erase_second(const scene *s) {
  claim_second(s);
  CHECK_CODE(erase(s->store, &s->ids[1]), JT_OK);
}

static void claim_and_finish_and_part(const scene *s) {
  claim_and_finish_second(s);
  CHECK(jt_owners_part(s->store));
  CHECK_INT(jt_owner_self(s->store), 0);
}

static void cancel_first(const scene *s) {
  CHECK_CODE(cancel_job(s->store, &s->ids[0], "no more paper"), JT_OK);
}

static void cancel_second(const scene *s) {
  CHECK_CODE(cancel_job(s->store, &s->ids[1], "no more paper"), JT_OK);
}

/* The two unfinished jobs have an owner, or one each, and these die. */
static void leave_orphans(const scene *s, int owners) {
  for (int i = 0; i < owners; i++) {
    mortal *m = mortal_make(s->store, DEATH_KILL);
    m->jobs[m->count++] = s->ids[i];
    if (owners == 1) m->jobs[m->count++] = s->ids[1];
    mortal_begin(m);
    mortal_end(m);
  }
}

static void leave_one_dead(const scene *s) {
  leave_orphans(s, 1);
}

static void leave_two_dead(const scene *s) {
  leave_orphans(s, 2);
}

static void fill_up_and_leave_one_dead(const scene *s) {
  CHECK_CODE(set_result(s->store, &s->ids[2], 64 * 24, 'c'), JT_OK);
  CHECK_CODE(set_result(s->store, &s->ids[3], 64 * 24, 'f'), JT_OK);
  leave_orphans(s, 1);
}

/* Write off, and nothing else. */
static void look(const scene *s) {
  uint64_t version;
  uint32_t dead;
  jt_store_pulse(s->store, &version, &dead);
  CHECK_INT(dead, 0);
}

static void look_and_evict(const scene *s) {
  look(s);
  CHECK(jt_word_load(&s->store->header->evictions) > 0);
}

/* Both must be written off for it, and then go. */
static void need_the_room_of_the_dead(const scene *s) {
  CHECK_CODE(set_result(s->store, &s->ids[2], 64 * 44, 'c'), JT_OK);
}

static const trial trials[] = {
  { "a creation", erase_third, create_new, 0 },
  { "a creation that evicts", nothing, create_new, 0 },
  { "a creation that sweeps out the expired", let_expire, create_new, 0 },
  { "an update of everything", nothing, change_everything, 0 },
  { "an update of the progress", nothing, change_progress, 0 },
  { "an update that evicts", fill_up, attach_long_result, 0 },
  { "an update that finds no room", fill_up, attach_too_much, 0 },
  { "a deletion", nothing, erase_third, 0 },
  { "a deletion that empties cells", erase_first_two, erase_third, 0 },
  { "clearing", nothing, clear, 0 },
  { "a recovery", die_in_an_update, erase_nobody, 0 },
  { "a recovery and an update", die_in_an_update, change_everything, 0 },
  { "a claim", nothing, claim_second, 1 },
  { "a claim and an end", nothing, claim_and_finish_second, 1 },
  { "a claim and a deletion", nothing, claim_and_erase_second, 1 },
  { "a claim, an end and parting", nothing, claim_and_finish_and_part, 1 },
  { "a cancellation", nothing, cancel_second, 0 },
  { "a cancellation at once", nothing, cancel_first, 0 },
  { "writing off", leave_one_dead, look, 0 },
  { "writing two off", leave_two_dead, look, 0 },
  { "writing off that evicts", fill_up_and_leave_one_dead, look_and_evict, 0 },
  { "writing off to make room", leave_two_dead, need_the_room_of_the_dead, 0 },
};

/* The same call on a clone tells what it is to do. */
static void foresee(scene *s, const trial *t) {
  scene elsewhere = *s;
  elsewhere.store = region_clone(s->store);
  see(s->store, s->ids, s->before);
  t->call(&elsewhere);
  see(elsewhere.store, s->ids, s->after);
  region_free(elsewhere.store);
}

static void killed_at_every_instruction(void) {
  unsigned states = 0;
  for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
    scene s = make_scene();
    trials[i].prepare(&s);
    s.claimed = trials[i].claims > 0 ? trials[i].claims : -1;
    foresee(&s, &trials[i]);
    pid_t child = 0;
    unsigned seen = step_through(&s, &trials[i], &child);
    CHECK(seen > 3);
    states += seen;
    check_jobs(&s, s.store, child);
    for (int k = 0; k < JOBS; k++) {
      free(s.before[k]);
      free(s.after[k]);
    }
    region_free(s.store);
  }
  check_say("%u states", states);
  CHECK(states > 800);
}

static const check_case cases[] = { { "killed_at_every_instruction",
                                      killed_at_every_instruction, 120 } };
CHECK_MAIN(cases)
