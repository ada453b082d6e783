/*
** threads_test.c - threads of one process on one jt_store: writers, readers,
** waiters. For ThreadSanitizer above all; what is seen is checked as well.
*/
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "runs.h"

enum { WRITERS = 2, READERS = 2, JOBS = 3, LONGEST = 600, MAX_JOBS = 30 };

typedef struct stage {
  jt_store *store;
  _Atomic uint64_t begun[JOBS], returned[JOBS];
  _Atomic uint32_t writing, number;
  _Atomic uint64_t read, woken, busy;
  pthread_mutex_t turn[JOBS];     /* so that a job's counters go up one by one */
} stage;

static job_id job_of(uint32_t job) {
  return id_of("shared", job);
}

/* ------------------------------------------------------- one counter, all fields */

typedef struct texts {
  char step[32], result[LONGEST];
} texts;

static jt_change change_of(uint64_t counter, texts *t) {
  int step = snprintf(t->step, sizeof t->step, "%llu", (unsigned long long)counter);
  size_t length = counter * 37 % LONGEST;
  for (size_t i = 0; i < length; i++) t->result[i] = (char)('a' + (counter + i) % 26);
  return (jt_change){
    .fields = JT_SET_PROGRESS | JT_SET_STEP | JT_SET_RESULT,
    .progress = (double)(counter % 1001) / 1000,
    .step = { t->step, (size_t)step },
    .result = { counter % 4 == 0 ? NULL : t->result, counter % 4 == 0 ? 0 : length } };
}

static uint64_t counter_of(const jt_job *job) {
  texts t = { .step = "" };
  jt_text step = jt_job_part(job, JT_STEP);
  uint64_t counter = step.bytes != NULL ? strtoull(step.bytes, NULL, 10) : 0;
  if (counter == 0) return 0;
  jt_change change = change_of(counter, &t);
  CHECK_TEXT(jt_job_part(job, JT_RESULT), change.result);
  CHECK(job->progress >= change.progress && job->progress <= change.progress);
  return counter;
}

/* -------------------------------------------------------------------- writers */

static void update_shared(stage *s, uint64_t *random) {
  uint32_t job = (uint32_t)(check_random_from(random) % JOBS);
  job_id id = job_of(job);
  texts t = { .step = "" };
  pthread_mutex_lock(&s->turn[job]);
  uint64_t counter = atomic_load(&s->begun[job]) + 1;
  jt_change change = change_of(counter, &t);
  atomic_store(&s->begun[job], counter);
  if (CHECK_CODE(update(s->store, &id, &change), JT_OK))
    atomic_store(&s->returned[job], counter);
  pthread_mutex_unlock(&s->turn[job]);
}

static void pass_one_job(stage *s) {
  job_id id = create(s->store, "passing", atomic_fetch_add(&s->number, 1));
  CHECK(exists(s->store, &id));
  CHECK_CODE(set_result(s->store, &id, 300, 'p'), JT_OK);
  CHECK_CODE(set_status(s->store, &id, JT_FAILED), JT_OK);
}

static void *write_on(void *context) {
  stage *s = context;
  uint64_t random = atomic_fetch_add(&s->number, 1);
  for (uint64_t i = 0; i < check_times(RUNS_THREAD_UPDATES); i++) {
    if (check_random_from(&random) % 8 == 0) pass_one_job(s);
    else update_shared(s, &random);
  }
  atomic_fetch_sub(&s->writing, 1);
  return NULL;
}

/* -------------------------------------------------------------------- readers */

static void read_shared(stage *s, uint32_t job, uint64_t *seen) {
  job_id id = job_of(job);
  uint64_t returned = atomic_load(&s->returned[job]);
  jt_job *found;
  if (!CHECK_CODE(get(s->store, &id, &found), JT_OK)) return;
  uint64_t counter = counter_of(found), begun = atomic_load(&s->begun[job]);
  CHECK(counter >= returned && counter <= begun && counter >= *seen);
  *seen = counter;
  free(found);
  atomic_fetch_add(&s->read, 1);
}

static void look_around(stage *s) {
  jt_key keys[MAX_JOBS];
  jt_filter shared = { JT_RUNNING, text_of("shared"), 0 };
  size_t count = 0;
  jt_stats stats;
  CHECK_CODE(jt_list(s->store, &shared, keys, MAX_JOBS, &count), JT_OK);
  CHECK_INT(count, JOBS);
  jt_store_stats(s->store, &stats);
  CHECK(stats.bytes_used + stats.bytes_available > 0);
  uint64_t version = jt_store_version(s->store);
  CHECK(version >= stats.version);
}

static void *read_on(void *context) {
  stage *s = context;
  uint64_t random = 1000 + atomic_fetch_add(&s->number, 1), seen[JOBS] = { 0 };
  while (atomic_load(&s->writing) > 0) {
    uint32_t job = (uint32_t)(check_random_from(&random) % JOBS);
    read_shared(s, job, &seen[job]);
    if (check_random_from(&random) % 32 == 0) look_around(s);
  }
  return NULL;
}

static void *wait_on(void *context) {
  stage *s = context;
  job_id id = job_of(0);
  uint64_t after = 0;
  while (atomic_load(&s->writing) > 0) {
    jt_code code = jt_wait(s->store, id.text, id.length, &after, 20000);
    if (code == JT_TIMEOUT || code == JT_INTERRUPTED) continue;
    if (!CHECK_CODE(code, JT_OK)) break;
    jt_job *found;
    if (!CHECK_CODE(get(s->store, &id, &found), JT_OK)) break;
    CHECK(found->version > after);
    after = found->version;
    free(found);
    atomic_fetch_add(&s->woken, 1);
  }
  return NULL;
}

/* ----------------------------------------------------------------- the storms */

static void start(pthread_t *thread, void *(*run)(void *), void *context) {
  CHECK_INT(pthread_create(thread, NULL, run, context), 0);
}

static void storm(jt_store *store) {
  static stage s;
  pthread_t threads[WRITERS + READERS + 1];
  int count = 0;
  s.store = store;
  for (uint32_t job = 0; job < JOBS; job++) {
    job_id id = create(store, "shared", job);
    CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
    pthread_mutex_init(&s.turn[job], NULL);
  }
  atomic_store(&s.writing, WRITERS);
  for (int i = 0; i < WRITERS; i++) start(&threads[count++], write_on, &s);
  for (int i = 0; i < READERS; i++) start(&threads[count++], read_on, &s);
  start(&threads[count++], wait_on, &s);
  while (count > 0) pthread_join(threads[--count], NULL);
  check_say("%llu reads, %llu wake-ups", (unsigned long long)atomic_load(&s.read),
            (unsigned long long)atomic_load(&s.woken));
  CHECK_AUDIT(store);
  CHECK_INT(jt_word_load(&store->header->recoveries), 0);
}

static void on_a_file(void) {
  jt_store *store = file_store("store", 64 * 1024, MAX_JOBS);
  storm(store);
  jt_store_close(store);
}

static void on_the_store_in_memory(void) {
  const jt_options options = { .size = 64 * 1024, .max_jobs = MAX_JOBS };
  jt_error error;
  CHECK_CODE(jt_store_configure(&options, &error), JT_OK);
  storm(jt_store_memory(&error));
}

/* ------------------------------------------------------------------ beginnings */

static void *first_use(void *context) {
  jt_error error;
  jt_store *store = jt_store_memory(&error);
  char id[JT_ID_MAX + 1];
  (void)context;
  if (CHECK(store != NULL)) CHECK_CODE(jt_create(store, "first", 5, id), JT_OK);
  return store;
}

static void many_use_the_store_in_memory_first(void) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  void *stores[THREADS];
  for (int i = 0; i < THREADS; i++) start(&threads[i], first_use, NULL);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], &stores[i]);
  for (int i = 1; i < THREADS; i++) CHECK(stores[i] == stores[0]);
  jt_stats stats;
  jt_store_stats(stores[0], &stats);
  CHECK_INT(stats.jobs, THREADS);
}

enum { DRAWN = 3000 };

static void *draw(void *context) {
  uint32_t *numbers = context;
  for (int i = 0; i < DRAWN; i++) numbers[i] = jt_draw_number();
  return NULL;
}

static int ascending(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return a < b ? -1 : a > b;
}

static void draw_in_child(void *numbers) {
  draw(numbers);
}

/* By threads, and by children that have inherited a half-used UUID. 30,000 of
   2^32: more than three alike is one in many millions. */
static void numbers_differ(void) {
  enum { THREADS = 4, CHILDREN = 6, ALL = (THREADS + CHILDREN) * DRAWN };
  uint32_t *numbers = check_shared(ALL * sizeof *numbers);
  pthread_t threads[THREADS];
  jt_draw_number();
  for (int i = 0; i < CHILDREN; i++)
    CHECK_JOIN(check_fork(draw_in_child, numbers + (THREADS + i) * DRAWN));
  for (int i = 0; i < THREADS; i++) start(&threads[i], draw, numbers + i * DRAWN);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  uint64_t ones = 0;
  int alike = 0;
  for (int i = 0; i < ALL; i++) ones += (uint64_t)__builtin_popcount(numbers[i]);
  qsort(numbers, ALL, sizeof *numbers, ascending);
  for (int i = 1; i < ALL; i++) alike += numbers[i] == numbers[i - 1];
  CHECK(alike <= 3);
  CHECK(ones > ALL * UINT64_C(32) * 49 / 100 && ones < ALL * UINT64_C(32) * 51 / 100);
}

/* ------------------------------------------------------------------ a dead thread */

static void *die_with_lock(void *context) {
  jt_store *store = context;
  CHECK_INT(pthread_mutex_lock(&store->header->lock), 0);
  store->bitmap[0] |= UINT64_C(3) << 40;      /* units it took */
  return NULL;
}

static void a_thread_dies_holding_the_lock(void) {
  pthread_t thread;
  jt_store *store = region_make(10, 200);
  job_id id = create(store, "job", 1);
  start(&thread, die_with_lock, store);
  pthread_join(thread, NULL);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  CHECK_INT(jt_word_load(&store->header->recoveries), 1);
  CHECK_AUDIT(store);
  region_free(store);
}

static const check_case cases[] = {
  CASE(on_a_file), CASE(on_the_store_in_memory),
  CASE(many_use_the_store_in_memory_first), CASE(numbers_differ),
  CASE(a_thread_dies_holding_the_lock),
};
CHECK_MAIN(cases)
