/*
** storm_test.c - owners that come, work and end in the midst of readers. What must
** never be seen: a living owner's job, or nobody's, that is said to have died; a
** dead one's that goes on; a job that was failed and is not any more.
*/
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "runs.h"

enum { OWNERS = 3, READERS = 3, SIZE = 512 * 1024, MAX_JOBS = 200 };

/* One owner's notes, for those who look at its jobs. */
typedef struct notes {
  _Atomic uint32_t number;        /* of the job it works on */
  _Atomic uint32_t claimed;       /* the number again, once it has it */
  _Atomic uint32_t lives;         /* rises with every new owner that writes here */
  _Atomic uint32_t dead;          /* as 'lives', once that one is known to be dead */
} notes;

static struct side {
  jt_store *store;
  notes honest[OWNERS], mortal[OWNERS];
  _Atomic uint32_t ending, number;
  _Atomic uint64_t looks, deaths_seen;
} *side;

/* ------------------------------------------------------------------- owners */

static void work(jt_store *store, notes *mine, bool finishing) {
  uint32_t number = atomic_fetch_add(&side->number, 1) + 1;
  const char *type = finishing ? "honest" : "mortal";
  job_id id = id_of(type, number);
  CHECK_CODE(jt_create_numbered(store, type, 6, number), JT_OK);
  atomic_store(&mine->number, number);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  atomic_store(&mine->claimed, number);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  for (uint64_t n = check_below(4); n > 0; n--)
    CHECK_CODE(set_result(store, &id, check_below(300), 'r'), JT_OK);
  if (finishing) CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
}

/* Finishes all that it begins; in the end it closes, or just ends. */
static void live_honestly(void *context) {
  notes *mine = context;
  check_reseed(getpid() & 0xffff);
  jt_store *store = file_open(check_path("store"), false);
  for (uint64_t n = 20 + check_below(100); n > 0; n--) {
    if (atomic_load(&side->ending) != 0) break;
    work(store, mine, true);
  }
  if (check_below(2)) jt_store_close(store);
}

/* Leaves what it has begun, and waits for its end. */
static void live_until_killed(void *context) {
  notes *mine = context;
  check_reseed(getpid() & 0xffff);
  jt_store *store = file_open(check_path("store"), false);
  work(store, mine, false);
  for (;;) pause();
}

/* ------------------------------------------------------------------ readers */

static bool says_it_died(const jt_job *job) {
  jt_text error = jt_job_part(job, JT_ERROR);
  return error.bytes != NULL && strstr(error.bytes, "died during") != NULL;
}

static void look_at_honest(jt_store *store) {
  const notes *theirs = &side->honest[check_below(OWNERS)];
  job_id id = id_of("honest", atomic_load(&theirs->number));
  jt_job *job;
  jt_code code = get(store, &id, &job);
  if (code == JT_OK) CHECK(job->status != JT_FAILED && !says_it_died(job));
  else if (code != JT_BUSY) CHECK_CODE(code, JT_NOT_FOUND);   /* evicted */
  free(job);
}

/* Once it is dead nobody says that it runs. Before that it may have been killed
   already, but not before it had claimed. */
static void look_at_mortal(jt_store *store) {
  const notes *theirs = &side->mortal[check_below(OWNERS)];
  uint32_t life = atomic_load(&theirs->lives);
  bool dead = atomic_load(&theirs->dead) == life;
  uint32_t claimed = atomic_load(&theirs->claimed);
  job_id id = id_of("mortal", claimed);
  jt_job *job;
  jt_code code = get(store, &id, &job);
  bool same = atomic_load(&theirs->lives) == life;
  if (code == JT_OK && same && dead) {
    CHECK_INT(job->status, JT_FAILED);
    CHECK(says_it_died(job));
    atomic_fetch_add(&side->deaths_seen, 1);
  }
  if (code == JT_OK) CHECK_INT(says_it_died(job), job->status == JT_FAILED);
  free(job);
}

static void look_at_nobodys(jt_store *store) {
  job_id id = id_of("nobodys", 1);
  jt_job *job;
  jt_code code = get(store, &id, &job);
  if (code != JT_BUSY && CHECK_CODE(code, JT_OK)) CHECK_INT(job->status, JT_RUNNING);
  free(job);
}

static void look_at_all(jt_store *store) {
  static jt_key keys[MAX_JOBS];
  static const jt_filter failed = { JT_FAILED, { "honest", 6 }, 0 };
  size_t count = 0;
  if (jt_list(store, &failed, keys, MAX_JOBS, &count) == JT_OK) CHECK_INT(count, 0);
}

static void read_on(void *context) {
  bool readonly = *(const bool *)context;
  check_reseed(getpid() & 0xffff);
  jt_store *store = file_open(check_path("store"), readonly);
  while (atomic_load(&side->ending) == 0 && check_failures() == 0) {
    look_at_honest(store);
    look_at_mortal(store);
    look_at_nobodys(store);
    if (check_below(50) == 0) look_at_all(store);
    atomic_fetch_add(&side->looks, 1);
  }
  jt_store_close(store);
}

/* ------------------------------------------------------------------ the storm */

static void replace_honest(pid_t *process, uint32_t i) {
  int status;
  if (*process != 0 && waitpid(*process, &status, WNOHANG) == 0) return;
  if (*process != 0) CHECK_INT(status, 0);
  *process = check_fork(live_honestly, &side->honest[i]);
}

static void replace_mortal(pid_t *process, uint32_t i) {
  notes *n = &side->mortal[i];
  if (*process != 0 && atomic_load(&n->claimed) == 0) return;
  if (*process != 0) {
    check_kill(*process);
    atomic_store(&n->dead, atomic_load(&n->lives));
    check_pause(0.001 * (double)check_below(5));
  }
  atomic_fetch_add(&n->lives, 1);
  atomic_store(&n->claimed, 0);
  *process = check_fork(live_until_killed, n);
}

static void check_end(jt_store *store) {
  uint64_t version;
  uint32_t dead;
  jt_store_pulse(store, &version, &dead);
  CHECK_INT(dead, 0);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_PENDING]), 0);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_RUNNING]), 1);
  for (uint32_t i = 0; i < JT_OWNERS; i++)
    CHECK_INT(atomic_load(&store->slots[i].state), JT_SLOT_FREE);
  CHECK_INT(jt_word_load(&store->header->damaged), 0);
  CHECK_AUDIT(store);
}

static void owners_come_and_go(void) {
  static bool readonly[READERS] = { true, true, false };
  pid_t honest[OWNERS] = { 0 }, mortals[OWNERS] = { 0 }, readers[READERS];
  side = check_shared(sizeof *side);
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  job_id nobodys = create(store, "nobodys", 1);
  CHECK_CODE(set_status(store, &nobodys, JT_RUNNING), JT_OK);
  for (int i = 0; i < READERS; i++) readers[i] = check_fork(read_on, &readonly[i]);
  for (uint64_t n = 0; n < check_times(RUNS_OWNERS) && check_failures() == 0; n++) {
    for (uint32_t i = 0; i < OWNERS; i++) replace_honest(&honest[i], i);
    replace_mortal(&mortals[n % OWNERS], (uint32_t)(n % OWNERS));
    check_pause(0.0001 * (double)check_below(50));
  }
  atomic_store(&side->ending, 1);
  for (int i = 0; i < OWNERS; i++) {
    CHECK_AWAIT(&side->mortal[i].claimed, 1);
    check_kill(mortals[i]);
    CHECK_JOIN(honest[i]);
  }
  for (int i = 0; i < READERS; i++) CHECK_JOIN(readers[i]);
  check_end(store);
  check_say("%u jobs, %llu looks, %llu at the dead", atomic_load(&side->number),
            (unsigned long long)atomic_load(&side->looks),
            (unsigned long long)atomic_load(&side->deaths_seen));
  CHECK(atomic_load(&side->deaths_seen) > 0);
  jt_store_close(store);
  check_prove(PROVE_KILLED, "storm of owners: their jobs", side->number);
  check_prove(PROVE_WHOLE, "storm of owners: looks",
              atomic_load(&side->looks));
}

/* ------------------------------------------------- threads, on one mapping */

static void *work_and_end(void *context) {
  notes *mine = context;
  for (int i = 0; i < 10; i++) work(side->store, mine, true);
  return NULL;
}

static void *begin_and_end(void *context) {
  work(side->store, context, false);
  return NULL;
}

static void *look_on(void *context) {
  jt_store view = region_view(side->store, *(const bool *)context);
  while (atomic_load(&side->ending) == 0 && check_failures() == 0) {
    look_at_honest(&view);
    look_at_mortal(&view);
    look_at_nobodys(&view);
    atomic_fetch_add(&side->looks, 1);
  }
  return NULL;
}

static void one_round(void) {
  pthread_t honest[OWNERS], mortals[OWNERS];
  for (uint32_t i = 0; i < OWNERS; i++) {
    atomic_fetch_add(&side->mortal[i].lives, 1);
    atomic_store(&side->mortal[i].claimed, 0);
    pthread_create(&honest[i], NULL, work_and_end, &side->honest[i]);
    pthread_create(&mortals[i], NULL, begin_and_end, &side->mortal[i]);
  }
  for (uint32_t i = 0; i < OWNERS; i++) {
    pthread_join(mortals[i], NULL);
    atomic_store(&side->mortal[i].dead, atomic_load(&side->mortal[i].lives));
    pthread_join(honest[i], NULL);
  }
}

static void threads_come_and_go(void) {
  static bool readonly[READERS] = { true, true, false };
  pthread_t readers[READERS];
  side = check_shared(sizeof *side);
  side->store = region_make(MAX_JOBS, 4000);
  job_id nobodys = create(side->store, "nobodys", 1);
  CHECK_CODE(set_status(side->store, &nobodys, JT_RUNNING), JT_OK);
  for (int i = 0; i < READERS; i++)
    pthread_create(&readers[i], NULL, look_on, &readonly[i]);
  for (uint32_t n = 0; n < check_times(RUNS_OWNERS) && check_failures() == 0; n++)
    one_round();
  atomic_store(&side->ending, 1);
  for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
  check_end(side->store);
  check_say("%llu looks, %llu at the dead",
            (unsigned long long)atomic_load(&side->looks),
            (unsigned long long)atomic_load(&side->deaths_seen));
  region_free(side->store);
}

static const check_case cases[] = {
  { "owners_come_and_go", owners_come_and_go, 120 },
  { "threads_come_and_go", threads_come_and_go, 120 },
};
CHECK_MAIN(cases)
