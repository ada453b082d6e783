/*
** kill_test.c - processes that write and read one file, killed and stopped at
** random. Each writer notes on a page beside the store what it begins and what
** has returned; all fields of a job are made from one counter. So a reader knows
** whether what it sees is one update, one that was begun, and none older than
** what had returned before it looked.
*/
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "runs.h"

enum { WRITERS = 3, READERS = 3, JOBS = 4, LONGEST = 2000 };
enum { SIZE = 256 * 1024, MAX_JOBS = 40 };

/* What a writer's passing job is about to be. */
enum { NONE, CREATING, CREATED, CLAIMING, CLAIMED, FINISHING, FINISHED, DELETING };

typedef struct notes {
  _Atomic uint64_t begun[JOBS], returned[JOBS];
  _Atomic uint32_t passing, phase;  /* its number, and one of the above */
  _Atomic uint32_t owned;         /* whether it was to be claimed */
  _Atomic uint64_t calls;
} notes;

static struct side {
  notes writer[WRITERS];
  _Atomic uint32_t ending;
  _Atomic uint64_t read, busy;
} *side;

typedef struct role {
  bool writes;
  uint32_t number;
  uint64_t life;                  /* for its random numbers */
} role;

static job_id job_of(uint32_t writer, uint32_t job) {
  return id_of("lasting", writer * 16 + job);
}

/* ------------------------------------------------------- one counter, all fields */

typedef struct texts {
  char step[32], result[LONGEST], error[32], meta[32];
  size_t result_length;
} texts;

static jt_change change_of(uint64_t counter, texts *t) {
  int step = snprintf(t->step, sizeof t->step, "%llu", (unsigned long long)counter);
  int error = snprintf(t->error, sizeof t->error, "error %s", t->step);
  int meta = snprintf(t->meta, sizeof t->meta, "meta %s", t->step);
  t->result_length = (size_t)(counter * 37 % LONGEST);
  for (size_t i = 0; i < t->result_length; i++)
    t->result[i] = (char)('a' + (counter + i) % 26);
  return (jt_change){
    .fields = JT_SET_PROGRESS | JT_SET_STEP | JT_SET_RESULT | JT_SET_ERROR | JT_SET_META,
    .progress = (double)(counter % 1001) / 1000,
    .step = { t->step, (size_t)step },
    .result = { t->result, t->result_length },
    .error = { counter % 3 == 0 ? NULL : t->error, counter % 3 == 0 ? 0 : (size_t)error },
    .meta = { t->meta, (size_t)meta }
  };
}

/* The counter that the job was made of, if all fields agree. */
static uint64_t counter_of(const jt_job *job) {
  texts t = { .step = "" };
  jt_text step = jt_job_part(job, JT_STEP);
  uint64_t counter = step.bytes != NULL ? strtoull(step.bytes, NULL, 10) : 0;
  if (counter == 0) return 0;     /* just created */
  jt_change change = change_of(counter, &t);
  CHECK_TEXT(jt_job_part(job, JT_STEP), change.step);
  CHECK_TEXT(jt_job_part(job, JT_RESULT), change.result);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), change.error);
  CHECK_TEXT(jt_job_part(job, JT_META), change.meta);
  CHECK(job->progress >= change.progress && job->progress <= change.progress);
  return counter;
}

/* -------------------------------------------------------------------- writers */

static bool is_done(jt_code code) {
  if (code == JT_BUSY) {
    atomic_fetch_add(&side->busy, 1);
    return false;
  }
  CHECK_CODE(code, JT_OK);
  return code == JT_OK;
}

static void update_lasting(jt_store *store, uint32_t writer) {
  notes *mine = &side->writer[writer];
  uint32_t job = (uint32_t)check_below(JOBS);
  uint64_t counter = atomic_load(&mine->begun[job]) + 1;
  job_id id = job_of(writer, job);
  texts t = { .step = "" };
  jt_change change = change_of(counter, &t);
  atomic_store(&mine->begun[job], counter);
  if (is_done(update(store, &id, &change))) atomic_store(&mine->returned[job], counter);
}

static void enter(notes *mine, uint32_t phase) {
  atomic_store(&mine->phase, phase);
}

/* A job that comes, finishes, and may be evicted from then on. */
static void pass_one_job(jt_store *store, uint32_t writer) {
  notes *mine = &side->writer[writer];
  uint32_t number = atomic_load(&mine->passing) + 1;
  job_id id = id_of("passing", writer << 28 | number);
  static const char text[3000];
  jt_change change = { .fields = JT_SET_STATUS | JT_SET_RESULT, .status = JT_COMPLETED,
                       .result = { text, check_below(sizeof text) } };
  enter(mine, NONE);
  atomic_store(&mine->owned, 0);
  atomic_store(&mine->passing, number);
  enter(mine, CREATING);
  if (!is_done(jt_create_numbered(store, "passing", 7, writer << 28 | number))) return;
  enter(mine, CREATED);
  CHECK(exists(store, &id));
  if (check_below(2)) {
    atomic_store(&mine->owned, 1);
    enter(mine, CLAIMING);
    if (!is_done(claim_job(store, &id))) return;
    enter(mine, CLAIMED);
    if (!is_done(cancel_job(store, &id, "no reason"))) return;
  }
  enter(mine, FINISHING);
  if (!is_done(update(store, &id, &change))) return;
  enter(mine, FINISHED);
  if (check_below(4) != 0) return;
  enter(mine, DELETING);
  jt_code code = erase(store, &id);
  if (code != JT_NOT_FOUND) is_done(code);
  enter(mine, NONE);
}

/* What it owned has died with it; what it was about to claim, perhaps. */
static void check_status(const jt_job *job, uint32_t phase, bool owned) {
  bool died = job->status == JT_FAILED;
  if (died) CHECK(owned && jt_job_part(job, JT_ERROR).bytes != NULL);
  switch (phase) {
    case CREATED: CHECK_INT(job->status, JT_PENDING); break;
    case CLAIMING: CHECK(died || job->status == JT_PENDING); break;
    case CLAIMED: CHECK(died); break;
    case FINISHING: CHECK(job->status == JT_COMPLETED || died == owned); break;
    case FINISHED: CHECK_INT(job->status, JT_COMPLETED); break;
    default: break;
  }
}

/* What the one before, who was killed, has left. */
static void inherit(jt_store *store, uint32_t writer) {
  notes *mine = &side->writer[writer];
  job_id id = id_of("passing", writer << 28 | atomic_load(&mine->passing));
  uint32_t phase = atomic_load(&mine->phase);
  jt_job *job;
  jt_code code = get(store, &id, &job);
  /* One that has died is finished, and may have been evicted. */
  if (phase == CREATED) CHECK_CODE(code, JT_OK);
  else if (code != JT_NOT_FOUND) CHECK_CODE(code, JT_OK);
  if (code == JT_OK) check_status(job, phase, atomic_load(&mine->owned));
  bool unfinished = code == JT_OK && !jt_status_finished(job->status);
  free(job);
  if (!unfinished) return;
  atomic_store(&mine->owned, 0);
  enter(mine, FINISHING);
  if (is_done(set_status(store, &id, JT_COMPLETED))) enter(mine, FINISHED);
}

static void write_on(jt_store *store, uint32_t writer) {
  inherit(store, writer);
  while (atomic_load(&side->ending) == 0 && check_failures() == 0) {
    if (check_below(5) == 0) pass_one_job(store, writer);
    else update_lasting(store, writer);
    atomic_fetch_add(&side->writer[writer].calls, 1);
  }
}

/* -------------------------------------------------------------------- readers */

static void read_one(jt_store *store, uint64_t seen[WRITERS][JOBS]) {
  uint32_t writer = (uint32_t)check_below(WRITERS), job = (uint32_t)check_below(JOBS);
  const notes *theirs = &side->writer[writer];
  job_id id = job_of(writer, job);
  uint64_t returned = atomic_load(&theirs->returned[job]);
  jt_job *found;
  jt_code code = get(store, &id, &found);
  uint64_t begun = atomic_load(&theirs->begun[job]);
  if (code == JT_BUSY) {
    atomic_fetch_add(&side->busy, 1);
    return;
  }
  if (!CHECK_CODE(code, JT_OK)) return;
  uint64_t counter = counter_of(found);
  CHECK(counter >= returned);
  CHECK(counter <= begun);
  CHECK(counter >= seen[writer][job]);
  seen[writer][job] = counter;
  free(found);
  atomic_fetch_add(&side->read, 1);
}

static void list_all(jt_store *store) {
  jt_key keys[MAX_JOBS];
  jt_filter lasting = { JT_RUNNING, text_of("lasting"), 0 };
  size_t count = 0;
  jt_code code = jt_list(store, &lasting, keys, MAX_JOBS, &count);
  if (code == JT_BUSY) return;
  CHECK_CODE(code, JT_OK);
  CHECK_INT(count, WRITERS * JOBS);
  for (size_t i = 1; i < count; i++) CHECK(keys[i - 1].sequence > keys[i].sequence);
}

static void wait_for_any(jt_store *store) {
  job_id id = job_of((uint32_t)check_below(WRITERS), (uint32_t)check_below(JOBS));
  uint64_t after = jt_store_version(store);
  jt_code code = jt_wait(store, id.text, id.length, &after, 2000);
  if (code != JT_TIMEOUT && code != JT_INTERRUPTED) CHECK_CODE(code, JT_OK);
}

static void read_on(jt_store *store) {
  uint64_t seen[WRITERS][JOBS] = { { 0 } };
  while (atomic_load(&side->ending) == 0 && check_failures() == 0) {
    uint64_t choice = check_below(100);
    if (choice == 0) wait_for_any(store);
    else if (choice < 5) list_all(store);
    else read_one(store, seen);
  }
}

/* ------------------------------------------------------------------- killing */

static void live(void *context) {
  const role *r = context;
  check_reseed(r->life);
  bool readonly = !r->writes && r->number == 0;
  jt_store *store = file_open(check_path("store"), readonly);
  if (r->writes) write_on(store, r->number);
  else read_on(store);
  jt_store_close(store);
}

static void prepare(jt_store *store) {
  for (uint32_t writer = 0; writer < WRITERS; writer++)
    for (uint32_t job = 0; job < JOBS; job++) {
      job_id id = create(store, "lasting", writer * 16 + job);
      CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
    }
}

typedef struct player {
  role role;
  pid_t process;
} player;

static void spawn(player *p) {
  p->role.life++;
  p->process = check_fork(live, &p->role);
}

static bool is_alive(player *p) {
  int status;
  if (waitpid(p->process, &status, WNOHANG) == 0) return true;
  check_say("%s %u ended by itself, status %d", p->role.writes ? "writer" : "reader",
            p->role.number, status);
  p->process = 0;
  return CHECK_NOT_HERE("it was to go on");
}

typedef struct harm {
  uint64_t kills, stops;
} harm;

static void disturb(player *p, harm *done) {
  check_pause(1e-6 * (double)check_below(4000));
  if (!is_alive(p)) return;
  if (check_below(8) == 0) {
    kill(p->process, SIGSTOP);
    check_pause(1e-6 * (double)check_below(8000));
    kill(p->process, SIGCONT);
    done->stops++;
  } else {
    check_kill(p->process);
    done->kills++;
    spawn(p);
  }
}

static void end_all(player *players, int count) {
  atomic_store(&side->ending, 1);
  for (int i = 0; i < count; i++)
    if (players[i].process != 0) CHECK_JOIN(players[i].process);
}

static uint64_t calls_made(void) {
  uint64_t calls = 0;
  for (int i = 0; i < WRITERS; i++) calls += atomic_load(&side->writer[i].calls);
  return calls;
}

static void check_end(jt_store *store) {
  job_id none = id_of("none", 1);
  uint64_t seen[WRITERS][JOBS] = { { 0 } };
  jt_stats stats;
  CHECK_CODE(erase(store, &none), JT_NOT_FOUND);
  CHECK_AUDIT(store);
  for (int i = 0; i < 200; i++) read_one(store, seen);
  jt_store_stats(store, &stats);
  CHECK_INT(stats.damaged, 0);
  CHECK(stats.recoveries > 0);
  CHECK(stats.evictions > 0);
  check_say("%llu calls, %llu reads, %llu times busy, %llu recoveries, %llu evictions",
            (unsigned long long)calls_made(),
            (unsigned long long)atomic_load(&side->read),
            (unsigned long long)atomic_load(&side->busy),
            (unsigned long long)stats.recoveries, (unsigned long long)stats.evictions);
}

static void killed_in_a_storm(void) {
  enum { PLAYERS = WRITERS + READERS };
  static player players[PLAYERS];
  harm done = { 0, 0 };
  side = check_shared(sizeof *side);
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  prepare(store);
  for (uint32_t i = 0; i < PLAYERS; i++) {
    players[i].role = (role){ i < WRITERS, i < WRITERS ? i : i - WRITERS, i << 20 };
    spawn(&players[i]);
  }
  while (done.kills < check_times(RUNS_KILLS) && check_failures() == 0)
    disturb(&players[check_below(4) ? check_below(WRITERS) : check_below(PLAYERS)],
            &done);
  end_all(players, PLAYERS);
  check_end(store);
  check_prove(PROVE_KILLED, "storm in C: SIGKILL", done.kills);
  check_prove(PROVE_KILLED, "storm in C: SIGSTOP, SIGCONT", done.stops);
  check_prove(PROVE_WHOLE, "storm in C: reads, between returned and begun",
              atomic_load(&side->read));
  check_prove(PROVE_KEPT, "storm in C: calls", calls_made());
  jt_store_close(store);
}

/* The same without anybody who holds the file open all the time: now and then a
   newcomer is alone, and verifies what the dead have left. */
static void killed_all_at_once(void) {
  enum { PLAYERS = WRITERS + 1 };
  static player players[PLAYERS];
  uint64_t kills = 0;
  side = check_shared(sizeof *side);
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  prepare(store);
  jt_store_close(store);
  for (uint64_t i = 0; i < check_times(RUNS_KILLS) / 10 + 1; i++) {
    for (uint32_t k = 0; k < PLAYERS; k++) {
      players[k].role = (role){ k < WRITERS, k < WRITERS ? k : 1, i << 8 | k };
      spawn(&players[k]);
    }
    check_pause(1e-6 * (double)(3000 + check_below(10000)));
    for (uint32_t k = 0; k < PLAYERS; k++) {
      if (!is_alive(&players[k])) continue;
      check_kill(players[k].process);
      kills++;
    }
    store = file_open(check_path("store"), false);
    uint64_t seen[WRITERS][JOBS] = { { 0 } };
    CHECK_INT(jt_word_load(&store->header->damaged), 0);
    CHECK_AUDIT(store);
    for (int n = 0; n < 100; n++) read_one(store, seen);
    jt_store_close(store);
    if (check_failures() > 0) break;
  }
  check_prove(PROVE_KILLED, "storm in C: all killed at once, file opened anew", kills);
}

/* ---------------------------------------------------------- a stopped writer */

static void a_stopped_writer_makes_others_busy(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  job_id id = create(store, "job", 1), none = id_of("none", 1);
  pid_t stopped = stopped_holder(store);
  uint64_t removed = 7;
  double start = check_now();
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_BUSY);
  CHECK(check_now() - start > 0.9 * JT_LOCK_SECONDS);
  CHECK(check_now() - start < JT_LOCK_SECONDS + 2);
  CHECK_CODE(jt_create_numbered(store, "job", 3, 2), JT_BUSY);
  CHECK_CODE(erase(store, &id), JT_BUSY);
  CHECK_CODE(jt_clear(store, &removed), JT_BUSY);
  CHECK_INT(removed, 0);
  start = check_now();
  CHECK(exists(store, &id) && !exists(store, &none));
  CHECK(check_now() - start < 0.5);
  check_kill(stopped);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  CHECK_INT(jt_word_load(&store->header->recoveries), 1);
  CHECK_AUDIT(store);
  jt_store_close(store);
  check_prove(PROVE_KILLED, "calls while a stopped process holds the lock", 4);
}

static const check_case cases[] = {
  { "killed_in_a_storm", killed_in_a_storm, 120 },
  { "killed_all_at_once", killed_all_at_once, 120 },
  CASE(a_stopped_writer_makes_others_busy),
};
CHECK_MAIN(cases)
