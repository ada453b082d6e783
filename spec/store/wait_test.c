/*
** wait_test.c - jt_wait: what wakes it, when it gives up, and that no wake-up is
** lost for longer than a slice.
*/
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "runs.h"
#include "store/notify.h"

#define NOBODY 65534u

/* Seconds that anything may take on a machine that is busy with other things. A
   slice is shorter; wake_ups_do_not_take_a_slice tells the two apart. */
#define PROMPT 1.0
#define SLICE ((double)JT_SLICE / 1e6)

/* A waiter in a child, and what it found. */
typedef struct waiter {
  jt_store *store;
  job_id id;
  bool has_after;
  uint64_t after;
  int64_t timeout;
  bool as_nobody, until_signal;   /* until_signal: interrupted after on_signal */
  const char *path;               /* to open for reading, NULL: 'store' */
  _Atomic uint32_t started, done;
  jt_code code;
  double ended;
} waiter;

static waiter *make_waiter(jt_store *store, const job_id *id) {
  waiter *w = check_shared(sizeof *w);
  w->store = store;
  w->id = *id;
  w->timeout = JT_FOREVER;
  return w;
}

static void become_nobody(void) {
  CHECK_INT(setgroups(0, NULL), 0);
  CHECK_INT(setgid(NOBODY), 0);
  CHECK_INT(setuid(NOBODY), 0);
}

/* jt_wait says "interrupted" at least once a slice; this one goes on. */
static jt_code wait_for(jt_store *store, const job_id *id, const uint64_t *after,
                        int64_t timeout) {
  double end = check_now() + (double)timeout / 1e6;
  for (;;) {
    jt_code code = jt_wait(store, id->text, id->length, after, timeout);
    if (code != JT_INTERRUPTED) return code;
    if (timeout < 0) continue;
    timeout = (int64_t)((end - check_now()) * 1e6);
    if (timeout < 0) timeout = 0;
  }
}

static volatile sig_atomic_t signalled;

static void on_signal(int number) {
  (void)number;
  signalled = 1;
}

static void wait_in_child(void *context) {
  waiter *w = context;
  if (w->as_nobody) become_nobody();
  jt_store *store = w->path != NULL ? file_open(w->path, true) : w->store;
  if (w->as_nobody) CHECK(store->notice == NULL);
  atomic_store(&w->started, 1);
  const uint64_t *after = w->has_after ? &w->after : NULL;
  if (!w->until_signal) w->code = wait_for(store, &w->id, after, w->timeout);
  else do w->code = jt_wait(store, w->id.text, w->id.length, after, w->timeout);
    while (w->code == JT_INTERRUPTED && !signalled);
  w->ended = check_now();
  atomic_store(&w->done, 1);
  if (w->path != NULL) jt_store_close(store);
}

static pid_t start_waiting(waiter *w) {
  pid_t child = check_fork(wait_in_child, w);
  CHECK_AWAIT(&w->started, 1);
  check_await_sleeping(child);
  return child;
}

/* Waits for its end; how long after 'since' it was. */
static double check_woken(waiter *w, pid_t child, jt_code expected, double since) {
  CHECK_JOIN(child);
  CHECK_CODE(w->code, expected);
  return w->ended - since;
}

static jt_store *new_store(void) {
  return file_store("store", 256 * 1024, 100);
}

/* ------------------------------------------------------------------ what wakes */

static void finishing_wakes(void) {
  jt_store *store = new_store();
  for (int status = JT_COMPLETED; status <= JT_FAILED; status++) {
    job_id id = create(store, "job", (uint32_t)status);
    waiter *w = make_waiter(store, &id);
    pid_t child = start_waiting(w);
    CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
    CHECK_CODE(set_result(store, &id, 10, 'r'), JT_OK);
    check_await_sleeping(child);
    CHECK_INT(atomic_load(&w->done), 0);
    double start = check_now();
    CHECK_CODE(set_status(store, &id, (jt_status)status), JT_OK);
    CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
    /* Finished already: at once. */
    CHECK_CODE(jt_wait(store, id.text, id.length, NULL, 0), JT_OK);
    CHECK_CODE(jt_wait(store, id.text, id.length, NULL, JT_FOREVER), JT_OK);
  }
  jt_store_close(store);
}

static void a_newer_version_wakes(void) {
  jt_store *store = new_store();
  job_id id = create(store, "job", 1), other = create(store, "other", 1);
  jt_job *job;
  CHECK_CODE(get(store, &id, &job), JT_OK);
  waiter *w = make_waiter(store, &id);
  w->has_after = true;
  w->after = job->version;
  pid_t child = start_waiting(w);
  CHECK_CODE(set_result(store, &other, 10, 'o'), JT_OK);   /* not this one */
  check_await_sleeping(child);
  CHECK_INT(atomic_load(&w->done), 0);
  double start = check_now();
  CHECK_CODE(set_result(store, &id, 10, 'r'), JT_OK);
  CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
  CHECK_CODE(jt_wait(store, id.text, id.length, &job->version, 0), JT_OK);
  uint64_t before = 0, now = jt_store_version(store);
  CHECK_CODE(jt_wait(store, id.text, id.length, &before, 0), JT_OK);
  CHECK_CODE(jt_wait(store, id.text, id.length, &now, 0), JT_TIMEOUT);
  free(job);
  jt_store_close(store);
}

static jt_code erase_it(jt_store *store, const job_id *id) {
  return erase(store, id);
}

static jt_code clear_all(jt_store *store, const job_id *id) {
  uint64_t removed;
  (void)id;
  return jt_clear(store, &removed);
}

static void removing_wakes(void) {
  jt_store *store = new_store();
  for (uint32_t way = 0; way < 2; way++)
    for (int after = 0; after < 2; after++) {
      job_id id = create(store, "job", way);
      waiter *w = make_waiter(store, &id);
      w->has_after = after != 0;
      w->after = jt_store_version(store);
      pid_t child = start_waiting(w);
      double start = check_now();
      CHECK_CODE(way == 0 ? erase_it(store, &id) : clear_all(store, &id), JT_OK);
      CHECK(check_woken(w, child, JT_NOT_FOUND, start) < PROMPT);
    }
  job_id none = id_of("none", 1);
  CHECK_CODE(jt_wait(store, none.text, none.length, NULL, JT_FOREVER), JT_NOT_FOUND);
  CHECK_CODE(jt_wait(store, "", 0, NULL, JT_FOREVER), JT_NOT_FOUND);
  jt_store_close(store);
}

/* Evicted by a creation, and by an update that finds no room in the end. */
static void eviction_wakes(void) {
  jt_store *store = file_store("few", 64 * 1024, 2);
  job_id old = create_finished(store, "old", 1);
  create(store, "pinned", 1);
  waiter *w = make_waiter(store, &old);
  w->has_after = true;
  w->after = jt_store_version(store);
  pid_t child = start_waiting(w);
  double start = check_now();
  create(store, "new", 1);
  CHECK(check_woken(w, child, JT_NOT_FOUND, start) < PROMPT);
  jt_store_close(store);
}

/* Its end is nobody's update: seen within a slice. */
static void expiry_ends_it(void) {
  jt_store *store = new_store();
  job_id id = create_finished(store, "job", 1);
  CHECK_CODE(jt_store_set_retention(store, 400000), JT_OK);
  waiter *w = make_waiter(store, &id);
  w->has_after = true;
  w->after = jt_store_version(store);
  double start = check_now();
  pid_t child = start_waiting(w);
  CHECK(check_woken(w, child, JT_NOT_FOUND, start) < 0.4 + SLICE + PROMPT);
  jt_store_close(store);
}

/* --------------------------------------------------------------------- in time */

static void timeouts_are_kept(void) {
  static const int64_t timeouts[] = { 0, 1, 1000, 20000, 250000, 251000, 600000 };
  jt_store *store = new_store(), *reader = file_open(check_path("store"), true);
  jt_store polling = region_view(reader, true);
  polling.notice = NULL;
  jt_store *views[] = { store, reader, &polling };
  job_id id = create(store, "job", 1);
  for (size_t i = 0; i < 3 * sizeof timeouts / sizeof timeouts[0]; i++) {
    int64_t timeout = timeouts[i / 3];
    double start = check_now();
    CHECK_CODE(wait_for(views[i % 3], &id, NULL, timeout), JT_TIMEOUT);
    double took = check_now() - start;
    CHECK(took >= (double)timeout / 1e6 - 0.001);
    CHECK(took < (double)timeout / 1e6 + PROMPT);
  }
  jt_store_close(reader);
  jt_store_close(store);
}

/* Longer than many slices, and then woken. */
static void for_ever_is_long(void) {
  jt_store *store = new_store();
  job_id id = create(store, "job", 1);
  const int64_t timeouts[] = { JT_FOREVER, INT64_MIN, INT64_MAX };
  for (uint32_t i = 0; i < 3; i++) {
    waiter *w = make_waiter(store, &id);
    w->has_after = true;
    w->after = jt_store_version(store);
    w->timeout = timeouts[i];
    pid_t child = start_waiting(w);
    check_pause(2.5 * SLICE);
    CHECK_INT(atomic_load(&w->done), 0);
    double start = check_now();
    CHECK_CODE(set_result(store, &id, 5, 'x'), JT_OK);
    CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
  }
  jt_store_close(store);
}

/* ---------------------------------------------------------------------- signals */

static void wait_with_handler(void *context) {
  struct sigaction action = { .sa_handler = on_signal };
  action.sa_flags = ((waiter *)context)->after != 0 ? SA_RESTART : 0;
  CHECK_INT(sigaction(SIGUSR1, &action, NULL), 0);
  wait_in_child(context);
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return a < b ? -1 : a > b;
}

/* How long after a signal the call returned; the median of some. */
static double time_interrupting(jt_store *store, const job_id *id, const char *path,
                                bool restart) {
  enum { TRIES = 7 };
  double took[TRIES];
  for (int i = 0; i < TRIES; i++) {
    waiter *w = make_waiter(store, id);
    w->until_signal = true;
    w->after = restart;           /* has_after is false: it means SA_RESTART */
    w->path = path;
    pid_t child = check_fork(wait_with_handler, w);
    CHECK_AWAIT(&w->started, 1);
    check_await_sleeping(child);
    double start = check_now();
    CHECK_INT(kill(child, SIGUSR1), 0);
    took[i] = check_woken(w, child, JT_INTERRUPTED, start);
  }
  qsort(took, TRIES, sizeof took[0], ascending);
  return took[TRIES / 2];
}

static void a_signal_interrupts(void) {
  jt_store *store = new_store();
  job_id id = create(store, "job", 1);
  const char *path = check_path("store");
  CHECK(time_interrupting(store, &id, NULL, false) < SLICE / 3);
  CHECK(time_interrupting(store, &id, NULL, true) < SLICE / 3);
  CHECK(time_interrupting(store, &id, path, false) < SLICE / 3);
  jt_store_close(store);
}

/* A signal handler may have run while the call did not sleep. */
static void the_caller_gets_a_chance_each_slice(void) {
  jt_store *store = new_store(), *reader = file_open(check_path("store"), true);
  jt_store polling = region_view(reader, true);
  polling.notice = NULL;
  jt_store *views[] = { store, reader, &polling };
  job_id id = create(store, "job", 1);
  for (int i = 0; i < 3; i++) {
    double start = check_now();
    jt_code code = jt_wait(views[i], id.text, id.length, NULL, JT_FOREVER);
    CHECK_CODE(code, JT_INTERRUPTED);
    CHECK(check_now() - start > SLICE * 0.9 && check_now() - start < SLICE + PROMPT);
  }
  jt_store_close(reader);
  jt_store_close(store);
}

/* Stopping is no interruption, nor is a signal that is ignored. */
static void stopping_does_not_interrupt(void) {
  jt_store *store = new_store();
  job_id id = create(store, "job", 1);
  waiter *w = make_waiter(store, &id);
  pid_t child = start_waiting(w);
  int status;
  for (int i = 0; i < 5; i++) {
    kill(child, SIGWINCH);
    kill(child, SIGSTOP);
    CHECK_INT(waitpid(child, &status, WUNTRACED), child);
    kill(child, SIGCONT);
    check_await_sleeping(child);
  }
  CHECK_INT(atomic_load(&w->done), 0);
  double start = check_now();
  CHECK_CODE(set_status(store, &id, JT_FAILED), JT_OK);
  CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
  jt_store_close(store);
}

/* ----------------------------------------------------------------------- deaths */

static void dead_waiters_leave_no_trace(void) {
  jt_store *store = new_store();
  job_id id = create(store, "job", 1);
  for (int i = 0; i < 20; i++) {
    check_kill(start_waiting(make_waiter(store, &id)));
    CHECK_CODE(set_result(store, &id, 5, 'x'), JT_OK);
  }
  waiter *w = make_waiter(store, &id);
  pid_t child = start_waiting(w);
  double start = check_now();
  CHECK_CODE(set_status(store, &id, JT_FAILED), JT_OK);
  CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
  jt_store_close(store);
}

/* Without anybody waiting, the word does not change: no system call is made. */
static void nobody_is_woken_for_nothing(void) {
  jt_store *store = new_store();
  job_id id = create(store, "job", 1);
  uint32_t before = atomic_load(&store->notice->word);
  for (int i = 0; i < 100; i++) CHECK_CODE(set_result(store, &id, 5, 'x'), JT_OK);
  CHECK_INT(atomic_load(&store->notice->word), before);
  CHECK_INT(before & 1, 0);
  CHECK_CODE(jt_wait(store, id.text, id.length, NULL, 0), JT_TIMEOUT);
  CHECK_CODE(set_result(store, &id, 5, 'x'), JT_OK);       /* one, and no more */
  before = atomic_load(&store->notice->word);
  CHECK_CODE(set_result(store, &id, 5, 'x'), JT_OK);
  CHECK_INT(atomic_load(&store->notice->word), before);
  jt_store_close(store);
}

/* A writer that was killed between its commit and its wake: its notice went to
   a page that nobody looks at. */
static void a_writer_dead_before_waking_costs_a_slice(void) {
  jt_store *store = new_store();
  jt_notice *elsewhere = check_shared(JT_PAGE);
  for (uint32_t i = 0; i < 3; i++) {
    job_id id = create(store, "job", i);
    waiter *w = make_waiter(store, &id);
    pid_t child = start_waiting(w);
    jt_store mute = *store;
    mute.notice = elsewhere;
    double start = check_now();
    CHECK_CODE(set_status(&mute, &id, JT_COMPLETED), JT_OK);
    CHECK(check_woken(w, child, JT_OK, start) < SLICE + PROMPT);
  }
  jt_store_close(store);
}

/* --------------------------------------------------------------- other waiters */

static void who_may_only_read_is_woken(void) {
  jt_store *store = new_store();
  for (uint32_t i = 0; i < 2; i++) {
    job_id id = create(store, "job", i);
    waiter *w = make_waiter(store, &id);
    w->path = check_path("store");
    pid_t child = start_waiting(w);
    double start = check_now();
    CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
    CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
  }
  jt_store_close(store);
}

/* It may not write the notice page, and looks again and again. */
static void who_may_not_write_polls(void) {
  if (getuid() != 0) check_skip("only root can become somebody else");
  jt_store *store = new_store();
  CHECK_INT(chmod(check_folder(), 0755), 0);
  CHECK_INT(chmod(check_path("store"), 0644), 0);
  job_id id = create(store, "job", 1);
  waiter *w = make_waiter(store, &id);
  w->path = check_path("store");
  w->as_nobody = true;
  pid_t child = start_waiting(w);
  CHECK_INT(atomic_load(&store->notice->word) & 1, 0);
  double start = check_now();
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
  jt_store_close(store);
}

static void finish_in_child(void *context) {
  waiter *w = context;
  CHECK_CODE(set_status(w->store, &w->id, JT_COMPLETED), JT_OK);
}

/* On the store in memory: one child waits, another finishes the job. */
static void children_wait_on_the_store_in_memory(void) {
  jt_error error;
  jt_store *store = jt_store_memory(&error);
  for (uint32_t i = 0; i < 3; i++) {
    job_id id = create(store, "job", i);
    waiter *w = make_waiter(store, &id);
    pid_t child = start_waiting(w);
    double start = check_now();
    pid_t writer = check_fork(finish_in_child, w);
    CHECK(check_woken(w, child, JT_OK, start) < PROMPT);
    CHECK_JOIN(writer);
  }
}

/* ------------------------------------------------------------------- many of it */

static void everybody_is_woken(void) {
  enum { WAITERS = 30 };
  jt_store *store = new_store();
  waiter *waiters[WAITERS];
  pid_t children[WAITERS];
  for (uint32_t i = 0; i < WAITERS; i++) {
    job_id id = i % 3 == 0 ? id_of("job", 0) : create(store, "job", i);
    if (i == 0) create(store, "job", 0);
    waiters[i] = make_waiter(store, &id);
    children[i] = start_waiting(waiters[i]);
  }
  double start = check_now();
  for (uint32_t i = 0; i < WAITERS; i++)
    CHECK_CODE(set_status(store, &waiters[i]->id, JT_COMPLETED), JT_OK);
  double longest = 0;
  for (int i = 0; i < WAITERS; i++) {
    double took = check_woken(waiters[i], children[i], JT_OK, start);
    if (took > longest) longest = took;
  }
  CHECK(longest < PROMPT);
  jt_store_close(store);
}

static jt_code finish_it(jt_store *store, const job_id *id) {
  return set_status(store, id, JT_FAILED);
}

static jt_code change_it(jt_store *store, const job_id *id) {
  return set_result(store, id, 3, 'x');
}

/* The median of some: a waiter who has just gone to sleep and is not woken looks
   again only after a whole slice. */
static double time_waking(jt_store *store, const char *path, bool with_after,
                          jt_code (*way)(jt_store *, const job_id *), jt_code expected) {
  enum { TRIES = 7 };
  double took[TRIES];
  for (int i = 0; i < TRIES; i++) {
    static uint32_t number;
    job_id id = create(store, "timed", number++);
    waiter *w = make_waiter(store, &id);
    w->path = path;
    w->has_after = with_after;
    w->after = jt_store_version(store);
    pid_t child = start_waiting(w);
    double start = check_now();
    CHECK_CODE(way(store, &id), JT_OK);
    took[i] = check_woken(w, child, expected, start);
  }
  qsort(took, TRIES, sizeof took[0], ascending);
  return took[TRIES / 2];
}

static void wake_ups_do_not_take_a_slice(void) {
  jt_store *store = new_store();
  jt_error error;
  const char *path = check_path("store");
  CHECK(time_waking(store, NULL, false, finish_it, JT_OK) < SLICE / 3);
  CHECK(time_waking(store, NULL, true, finish_it, JT_OK) < SLICE / 3);
  CHECK(time_waking(store, NULL, true, change_it, JT_OK) < SLICE / 3);
  CHECK(time_waking(store, NULL, false, erase_it, JT_NOT_FOUND) < SLICE / 3);
  CHECK(time_waking(store, NULL, true, clear_all, JT_NOT_FOUND) < SLICE / 3);
  CHECK(time_waking(store, path, false, finish_it, JT_OK) < SLICE / 3);
  CHECK(time_waking(store, path, true, change_it, JT_OK) < SLICE / 3);
  CHECK(time_waking(jt_store_memory(&error), NULL, true, change_it, JT_OK) < SLICE / 3);
  jt_store_close(store);
}

typedef struct game {
  jt_store *store;
  job_id mine, theirs;
  uint64_t rounds, start, slow;   /* start: the version before the first stroke */
  bool begins;
} game;

/* Updates its own job and waits for the other's update, again and again. The
   versions tell who is ahead: each update is newer than the one it answers. */
static void play(void *context) {
  game *g = context;
  const jt_change stroke = { .fields = JT_SET_PROGRESS, .progress = 0.5 };
  uint64_t seen = g->start;
  jt_job *job;
  for (uint64_t i = 0; i < g->rounds && check_failures() == 0; i++) {
    if (i > 0 || g->begins) CHECK_CODE(update(g->store, &g->mine, &stroke), JT_OK);
    if (!CHECK_CODE(get(g->store, &g->mine, &job), JT_OK)) return;
    if (job->version > seen && (i > 0 || g->begins)) seen = job->version;
    free(job);
    double start = check_now();
    jt_code code = wait_for(g->store, &g->theirs, &seen, 60 * INT64_C(1000000));
    if (!CHECK_CODE(code, JT_OK)) return;
    if (check_now() - start > SLICE * 0.8) g->slow++;
    if (!CHECK_CODE(get(g->store, &g->theirs, &job), JT_OK)) return;
    seen = job->version;
    free(job);
  }
  CHECK_CODE(update(g->store, &g->mine, &stroke), JT_OK);
}

static void no_wake_up_is_lost(void) {
  jt_store *store = new_store();
  game *games = check_shared(2 * sizeof *games);
  job_id ping = create(store, "ping", 1), pong = create(store, "pong", 1);
  uint64_t rounds = check_times(RUNS_PING_PONG), start = jt_store_version(store);
  games[0] = (game){ store, ping, pong, rounds, start, 0, true };
  games[1] = (game){ store, pong, ping, rounds, start, 0, false };
  double began = check_now();
  pid_t first = check_fork(play, &games[0]), second = check_fork(play, &games[1]);
  CHECK_JOIN(first);
  CHECK_JOIN(second);
  double took = check_now() - began;
  check_say("%llu strokes, %.1f us each; %llu waits were as long as a slice",
            (unsigned long long)(jt_store_version(store) - start),
            1e6 * took / (double)rounds / 2,
            (unsigned long long)(games[0].slow + games[1].slow));
  CHECK(games[0].slow + games[1].slow <= 3);
  CHECK_AUDIT(store);
  jt_store_close(store);
}

static const check_case cases[] = {
  CASE(finishing_wakes), CASE(a_newer_version_wakes), CASE(removing_wakes),
  CASE(eviction_wakes), CASE(expiry_ends_it), CASE(timeouts_are_kept),
  CASE(for_ever_is_long), CASE(a_signal_interrupts),
  CASE(the_caller_gets_a_chance_each_slice), CASE(stopping_does_not_interrupt),
  CASE(dead_waiters_leave_no_trace), CASE(nobody_is_woken_for_nothing),
  CASE(a_writer_dead_before_waking_costs_a_slice), CASE(who_may_only_read_is_woken),
  CASE(who_may_not_write_polls), CASE(children_wait_on_the_store_in_memory),
  CASE(everybody_is_woken), CASE(wake_ups_do_not_take_a_slice),
  CASE(no_wake_up_is_lost),
};
CHECK_MAIN(cases)
