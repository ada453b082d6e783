/*
** opening_test.c - many processes opening one file: at once, killed or stopped
** in the middle of it, from another pid namespace; who verifies when; and who is
** seen to be there.
*/
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "runs.h"

static const jt_options shape = { .size = 256 * 1024, .max_jobs = 100 };
static const jt_options reading = { .readonly = true };

static jt_code try_open(const jt_options *options, jt_store **store, jt_error *error) {
  error->message[0] = '\0';
  return jt_store_open(check_path("store"), options, store, error);
}

static jt_store *must_open(const jt_options *options) {
  jt_store *store;
  jt_error error;
  jt_code code = try_open(options, &store, &error);
  if (code == JT_OK) return store;
  check_say("%s", error.message);
  CHECK_CODE(code, JT_OK);
  exit(EXIT_FAILURE);
}

static void overwrite(const void *bytes, size_t size, uint64_t at) {
  int file = open(check_path("store"), O_WRONLY | O_CLOEXEC);
  CHECK_INT(pwrite(file, bytes, size, (off_t)at), size);
  close(file);
}

/* ------------------------------------------------------------------- a crowd */

enum { CROWD = 8 };

typedef struct crowd {
  _Atomic uint32_t ready, go;
  uint32_t number;
} crowd;

static void wait_for_start(crowd *c) {
  atomic_fetch_add(&c->ready, 1);
  while (atomic_load(&c->go) == 0) sched_yield();
}

static void open_and_create(void *context) {
  crowd *c = context;
  uint32_t number = c->number;
  wait_for_start(c);
  jt_store *store = must_open(&shape);
  create(store, "crowd", number);
  CHECK_INT(jt_word_load(&store->header->damaged), 0);
  jt_store_close(store);
}

/* Looks again until it is there: the file may be missing, or under way. */
static void open_and_read(void *context) {
  jt_store *store = NULL;
  jt_error error;
  double limit = check_now() + CHECK_SECONDS;
  wait_for_start(context);
  while (store == NULL && check_now() < limit) {
    jt_code code = try_open(&reading, &store, &error);
    if (code != JT_OK && code != JT_NOT_READY &&
        !(code == JT_IO && strstr(error.message, "No such file") != NULL)) {
      check_say("%s", error.message);
      CHECK_CODE(code, JT_NOT_READY);
      return;
    }
  }
  if (!CHECK(store != NULL)) return;
  CHECK_INT(store->geometry.size, shape.size);
  jt_store_close(store);
}

static void a_crowd_agrees_on_one_store(void) {
  crowd *c = check_shared(sizeof *c);
  for (uint64_t round = 0; round < check_times(RUNS_OPEN_CROWDS); round++) {
    pid_t children[2 * CROWD];
    unlink(check_path("store"));
    atomic_store(&c->ready, 0);
    atomic_store(&c->go, 0);
    for (uint32_t i = 0; i < CROWD; i++) {
      c->number = i;
      children[i] = check_fork(open_and_create, c);
      if (!CHECK_AWAIT(&c->ready, 2 * i + 1)) return;
      children[CROWD + i] = check_fork(open_and_read, c);
      if (!CHECK_AWAIT(&c->ready, 2 * i + 2)) return;
    }
    atomic_store(&c->go, 1);
    for (int i = 0; i < 2 * CROWD; i++) CHECK_JOIN(children[i]);
    jt_store *store = must_open(&shape);
    jt_stats stats;
    jt_store_stats(store, &stats);
    CHECK_INT(stats.jobs, CROWD);
    CHECK_AUDIT(store);
    jt_store_close(store);
    if (check_failures() > 0) return;
  }
}

/* ---------------------------------------------------- killed while opening */

static void open_only(void *context) {
  jt_store *store;
  jt_error error;
  jt_code code = try_open(context, &store, &error);
  if (code != JT_OK) check_say("%s", error.message);
  CHECK_CODE(code, JT_OK);
}

/* What somebody may see who comes by while another is at it. */
static void check_reader_meanwhile(void) {
  jt_store *store;
  jt_error error;
  jt_code code = try_open(&reading, &store, &error);
  if (code == JT_OK) jt_store_close(store);
  else if (code != JT_NOT_READY && strstr(error.message, "No such file") == NULL)
    CHECK_CODE(code, JT_NOT_READY);
}

/* Lets a child open the file and stops it after a random time, at most about
   'longest' seconds. */
static pid_t interrupt_opening(const jt_options *options, double longest) {
  pid_t child = check_fork(open_only, (void *)(uintptr_t)options);
  double until = check_now() + longest * (double)check_below(1000) / 1000;
  while (check_now() < until) continue;
  kill(child, SIGSTOP);
  check_reader_meanwhile();
  return child;
}

/* How long an opening takes, with the fork. */
static double measure_opening(const jt_options *options) {
  double start = check_now();
  CHECK_JOIN(check_fork(open_only, (void *)(uintptr_t)options));
  return check_now() - start;
}

static void killed_while_making(void) {
  const jt_options large = { .size = 4 << 20, .max_jobs = 20000 };
  double longest = measure_opening(&large) * 1.5;
  unsigned unfinished = 0;
  for (uint64_t i = 0; i < check_times(RUNS_OPEN_KILLS); i++) {
    if (i % 3 == 0) unlink(check_path("store"));
    else CHECK_INT(truncate(check_path("store"), 0), 0);
    check_kill(interrupt_opening(&large, longest));
    struct stat status;
    bool missing = stat(check_path("store"), &status) != 0;
    unfinished += missing || status.st_size != 4 << 20;
    jt_store *store = must_open(&large);
    create(store, "after", (uint32_t)i);
    CHECK_AUDIT(store);
    jt_store_close(store);
    if (check_failures() > 0) return;
  }
  check_say("%u of %llu were killed before the file had its size", unfinished,
            (unsigned long long)check_times(RUNS_OPEN_KILLS));
}

static void killed_while_verifying(void) {
  enum { JOBS = 3000 };
  const jt_options many = { .size = 4 << 20, .max_jobs = JOBS };
  jt_store *store = must_open(&many);
  for (uint32_t i = 0; i < JOBS; i++) {
    job_id id = create(store, "many", i);
    if (i % 3 == 0) CHECK_CODE(set_result(store, &id, 1000, 'm'), JT_OK);
  }
  jt_store_close(store);
  double longest = measure_opening(&many) * 1.2;
  for (uint64_t i = 0; i < check_times(RUNS_OPEN_KILLS); i++) {
    check_kill(interrupt_opening(&many, longest));
    store = must_open(&many);
    jt_stats stats;
    jt_store_stats(store, &stats);
    CHECK_INT(stats.jobs, JOBS);
    CHECK_INT(stats.damaged, 0);
    if (i % 16 == 0) CHECK_AUDIT(store);
    jt_store_close(store);
    if (check_failures() > 0) return;
  }
}

/* Who waits at the gate goes on as soon as the one who held it is gone. */
static void hold_gate(void *context) {
  _Atomic uint32_t *holding = context;
  struct flock gate = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
  int file = open(check_path("store"), O_RDWR | O_CLOEXEC);
  CHECK_INT(fcntl(file, F_OFD_SETLK, &gate), 0);
  atomic_store(holding, 1);
  for (;;) pause();
}

static void stopped_at_the_gate(void) {
  _Atomic uint32_t *holding = check_shared(sizeof *holding);
  jt_store *store = must_open(&shape), *none;
  jt_error error;
  pid_t holder = check_fork(hold_gate, (void *)holding);
  if (!CHECK_AWAIT(holding, 1)) return;
  kill(holder, SIGSTOP);
  double start = check_now();
  CHECK_CODE(try_open(&shape, &none, &error), JT_NOT_READY);
  CHECK(strstr(error.message, check_path("store")) != NULL);
  CHECK(check_now() - start > 3 && check_now() - start < 15);
  jt_store_close(must_open(&reading));        /* readers do not ask */
  create(store, "meanwhile", 1);              /* nor who is inside */
  pid_t waiting = check_fork(open_only, (void *)(uintptr_t)&shape);
  CHECK(check_await_sleeping(waiting));
  start = check_now();
  check_kill(holder);
  CHECK_JOIN(waiting);
  CHECK(check_now() - start < 2);
  jt_store_close(store);
}

/* ------------------------------------------------------- who verifies when */

/* Damages the one job that is in the store; whoever verifies drops it. A byte of a
   time, which may be any byte: so it is changed, not set. */
static void damage_the_job(const jt_store *store) {
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    uint64_t cell = jt_word_load(&store->cells[at]);
    if (cell <= 1) continue;
    uint64_t place = (cell & ((1u << 28) - 1)) * JT_UNIT + 40;
    uint8_t byte = (uint8_t)~((const uint8_t *)store->header)[place];
    overwrite(&byte, 1, place);
  }
}

static uint64_t damaged_after_opening(void) {
  jt_store *store = must_open(&shape);
  uint64_t damaged = jt_word_load(&store->header->damaged);
  jt_store_close(store);
  return damaged;
}

static void whoever_is_alone_verifies(void) {
  jt_store *store = must_open(&shape);
  create(store, "job", 1);
  damage_the_job(store);
  CHECK_INT(damaged_after_opening(), 0);      /* not alone */
  jt_store *reader = must_open(&reading);
  jt_store_close(store);
  CHECK_INT(damaged_after_opening(), 1);      /* readers do not count */
  CHECK_INT(damaged_after_opening(), 1);
  jt_store_close(reader);
}

static void stay(void *context) {
  (void)context;
  for (;;) pause();
}

/* A forked child has the store open as its parent had. */
static void a_child_keeps_the_store_open(void) {
  jt_store *store = must_open(&shape);
  create(store, "job", 1);
  pid_t child = check_fork(stay, NULL);
  damage_the_job(store);
  jt_store_close(store);
  CHECK_INT(damaged_after_opening(), 0);
  check_kill(child);
  CHECK_INT(damaged_after_opening(), 1);
}

/* A child that closes does not close for its parent. */
static void close_it(void *context) {
  jt_store_close(context);
}

static void a_child_closes_for_itself(void) {
  jt_store *store = must_open(&shape);
  job_id id = create(store, "job", 1);
  CHECK_JOIN(check_fork(close_it, store));
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  damage_the_job(store);
  CHECK_INT(damaged_after_opening(), 0);
  jt_store_close(store);
  CHECK_INT(damaged_after_opening(), 1);
}

static void one_process_may_open_twice(void) {
  jt_store *first = must_open(&shape), *second = must_open(&shape);
  job_id id = create(first, "job", 1);
  CHECK_CODE(set_status(second, &id, JT_RUNNING), JT_OK);
  jt_store_close(first);
  CHECK_CODE(set_status(second, &id, JT_COMPLETED), JT_OK);
  damage_the_job(second);
  CHECK_INT(damaged_after_opening(), 0);
  jt_store_close(second);
}

/* The retention is said anew with each opening that names one. */
static void the_retention_is_for_all(void) {
  jt_options keeping = shape;
  jt_store *first = must_open(&shape);
  jt_stats stats;
  keeping.has_retention = true;
  keeping.retention = 12345678;
  jt_store_close(must_open(&keeping));
  jt_store_stats(first, &stats);
  CHECK_INT(stats.retention, 12345678);
  jt_store_close(must_open(&shape));
  jt_store_stats(first, &stats);
  CHECK_INT(stats.retention, 12345678);
  keeping.retention = JT_KEEP;
  jt_store_close(must_open(&keeping));
  jt_store_stats(first, &stats);
  CHECK_INT(stats.retention, JT_KEEP);
  jt_store_close(first);
}

/* ---------------------------------------------- the last writer goes meanwhile */

static void (*meanwhile)(void);   /* when an opener looks for its pid namespace */

/* In place of the C library's: lets something happen in the midst of an opening. */
int stat(const char *path, struct stat *status) {
  void (*happen)(void) = meanwhile;
  if (happen != NULL && strstr(path, "/ns/pid") != NULL) {
    meanwhile = NULL;
    happen();
  }
  return fstatat(AT_FDCWD, path, status, 0);
}

static jt_store *going, *looking;

static void go_and_look(void) {
  jt_store_close(going);
  looking = must_open(&reading);
}

/*
** A writer goes while another one opens, and a reader comes just then: it is not to
** think that nobody is there, for it would take the new one's owners for dead.
*/
static void a_reader_comes_between_two_writers(void) {
  going = must_open(&shape);
  job_id id = create(going, "job", 1);
  meanwhile = go_and_look;
  jt_store *store = must_open(&shape);
  CHECK(meanwhile == NULL);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  jt_job *job;
  CHECK_CODE(get(looking, &id, &job), JT_OK);
  CHECK_INT(job->status, JT_PENDING);
  free(job);
  jt_store_close(looking);
  CHECK_CODE(erase(store, &id), JT_OK);
  jt_store_close(store);
}

/* -------------------------------------------------------- another pid namespace */

/* What is to happen there. */
typedef struct visit {
  void (*run)(void *context);
  void *context;
} visit;

/* The child of a process that has unshared its pid namespace is in a new one. */
static void in_new_namespace(void *context) {
  const visit *v = context;
  CHECK_INT(unshare(CLONE_NEWPID), 0);
  pid_t child = fork();
  if (child == 0) {
    CHECK_INT(getpid(), 1);
    v->run(v->context);
    fflush(stdout);
    _exit(check_failures() > 0);
  }
  CHECK_INT(check_join(child, CHECK_SECONDS), 0);
}

static void try_to_unshare(void *context) {
  (void)context;
  if (unshare(CLONE_NEWPID) != 0) _exit(1);
}

static void need_a_namespace(void) {
  if (check_join(check_fork(try_to_unshare, NULL), CHECK_SECONDS) != 0)
    check_skip("only root can make a pid namespace");
}

typedef struct stranger {
  jt_code writing;                /* what it is to be told */
  const char *word;
} stranger;

static void open_as_stranger(void *context) {
  const stranger *s = context;
  jt_store *store;
  jt_error error;
  jt_store_close(must_open(&reading));
  CHECK_CODE(try_open(&shape, &store, &error), s->writing);
  if (s->writing != JT_OK) {
    CHECK(strstr(error.message, s->word) != NULL);
    return;
  }
  create(store, "stranger", 1);
  jt_store_close(store);
}

static void send_stranger(jt_code writing, const char *word) {
  stranger s = { writing, word };
  CHECK_JOIN(check_fork(in_new_namespace, &(visit){ open_as_stranger, &s }));
}

static void writers_share_a_pid_namespace(void) {
  need_a_namespace();
  jt_store *store = must_open(&shape);
  send_stranger(JT_INCOMPATIBLE, "namespace");
  create(store, "native", 1);
  jt_store_close(store);
  send_stranger(JT_OK, "");       /* alone, it may */
  store = must_open(&shape);
  job_id id = id_of("stranger", 1);
  CHECK(exists(store, &id));
  send_stranger(JT_INCOMPATIBLE, "namespace");
  jt_store_close(store);
}

/* Shared by an owner and by who looks, of whom one is in another namespace. */
typedef struct watched {
  job_id id;
  _Atomic uint32_t claimed, seen_alive, dead;
} watched;

static void check_alive(jt_store *store, watched *w) {
  jt_job *job;
  if (CHECK_CODE(get(store, &w->id, &job), JT_OK)) CHECK_INT(job->status, JT_PENDING);
  free(job);
  CHECK_CODE(jt_wait(store, w->id.text, w->id.length, NULL, 200000), JT_TIMEOUT);
  atomic_store(&w->seen_alive, 1);
}

static void check_dead(jt_store *store, const watched *w, pid_t owner) {
  jt_job *job;
  CHECK_CODE(jt_wait(store, w->id.text, w->id.length, NULL, 20000000), JT_OK);
  if (CHECK_CODE(get(store, &w->id, &job), JT_OK)) {
    CHECK_INT(job->status, JT_FAILED);
    CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(owner, "Initializing"));
  }
  free(job);
}

static void own_there(void *context) {
  watched *w = context;
  w->id = create_claimed(must_open(&shape), "owned", 1);
  atomic_store(&w->claimed, 1);
  CHECK_AWAIT(&w->seen_alive, 1);
}

/* Its owner calls itself process 1, as does its namespace. */
static void a_strangers_death_is_seen(void) {
  watched *w = check_shared(sizeof *w);
  need_a_namespace();
  pid_t visitor = check_fork(in_new_namespace, &(visit){ own_there, w });
  if (!CHECK_AWAIT(&w->claimed, 1)) return;
  jt_store *store = must_open(&reading);
  check_alive(store, w);
  CHECK_JOIN(visitor);
  check_dead(store, w, 1);
  jt_store_close(store);
  check_prove(PROVE_KILLED, "an owner in another pid namespace", 1);
}

typedef struct witness {
  watched *of;
  pid_t owner;
} witness;

static void look_there(void *context) {
  const witness *s = context;
  jt_store *store = must_open(&reading);
  check_alive(store, s->of);
  CHECK_AWAIT(&s->of->dead, 1);
  check_dead(store, s->of, s->owner);
  jt_store_close(store);
}

static void strangers_see_a_death(void) {
  need_a_namespace();
  watched *w = check_shared(sizeof *w);
  jt_store *store = must_open(&shape);
  mortal *m = mortal_make(store, DEATH_KILL);
  mortal_gets(m, "owned", 1);
  mortal_begin(m);
  w->id = m->jobs[0];
  witness s = { w, m->process };
  pid_t visitor = check_fork(in_new_namespace, &(visit){ look_there, &s });
  CHECK_AWAIT(&w->seen_alive, 1);
  mortal_end(m);
  atomic_store(&w->dead, 1);
  CHECK_JOIN(visitor);
  jt_store_close(store);
  check_prove(PROVE_KILLED, "who looks is in another pid namespace", 1);
}

static const check_case cases[] = {
  CASE(a_crowd_agrees_on_one_store), CASE(killed_while_making),
  CASE(killed_while_verifying), CASE(stopped_at_the_gate),
  CASE(whoever_is_alone_verifies), CASE(a_child_keeps_the_store_open),
  CASE(a_child_closes_for_itself), CASE(one_process_may_open_twice),
  CASE(the_retention_is_for_all), CASE(a_reader_comes_between_two_writers),
  CASE(writers_share_a_pid_namespace), CASE(a_strangers_death_is_seen),
  CASE(strangers_see_a_death),
};
CHECK_MAIN(cases)
