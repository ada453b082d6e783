/*
** bury_test.c - slots and files when owners come and go: all slots in use, no room
** to write anybody off, a store closed by an owner, copies, openers.
*/
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "store/heap.h"
#include "store/notify.h"
#include "store/owner.h"

enum { SIZE = 256 * 1024, MAX_JOBS = 40 };

static uint32_t slots_used(const jt_store *store) {
  uint32_t used = 0;
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    used += jt_owner_is_used(store, owner);
  return used;
}

/* -------------------------------------------------------------------- slots */

typedef struct crowd {
  jt_store *store;
  _Atomic uint32_t ready, next;
  sem_t end;                      /* one for each: so many who poll take all the CPUs */
} crowd;

static void *own_one(void *context) {
  crowd *c = context;
  job_id id = create(c->store, "thread", atomic_fetch_add(&c->next, 1));
  CHECK_CODE(claim_job(c->store, &id), JT_OK);
  atomic_fetch_add(&c->ready, 1);
  while (sem_wait(&c->end) != 0) continue;
  return NULL;
}

static pthread_t start(crowd *c) {
  pthread_t thread;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  CHECK_INT(pthread_create(&thread, &small, own_one, c), 0);
  pthread_attr_destroy(&small);
  return thread;
}

/* As many owners as there are slots; the next finds none until one has ended. They come
   one after the other: on a busy machine so many at once wait for the lock for longer
   than a call does. */
static void every_slot_in_use(void) {
  static crowd c, short_lived;
  static pthread_t threads[JT_OWNERS - 1];
  c.store = short_lived.store = region_make(600, 4000);
  sem_init(&c.end, 0, 0);
  sem_init(&short_lived.end, 0, 0);
  short_lived.next = 1000;
  for (uint32_t i = 0; i < JT_OWNERS - 1; i++) {
    threads[i] = start(&c);
    CHECK_AWAIT(&c.ready, i + 1);
  }
  pthread_t last = start(&short_lived);
  CHECK_AWAIT(&short_lived.ready, 1);
  job_id id = create(c.store, "mine", 1), lost = id_of("thread", 1000);
  CHECK_INT(slots_used(c.store), JT_OWNERS);
  CHECK_CODE(claim_job(c.store, &id), JT_FULL);
  CHECK_INT(status_of(c.store, &id), JT_PENDING);
  sem_post(&short_lived.end);
  pthread_join(last, NULL);
  CHECK_CODE(claim_job(c.store, &id), JT_OK);
  jt_store view = region_view(c.store, true);
  CHECK_INT(status_of(&view, &lost), JT_FAILED);
  CHECK_INT(slots_used(c.store), JT_OWNERS);
  CHECK_INT(dead_in(c.store), 0);
  for (uint32_t i = 0; i < JT_OWNERS - 1; i++) sem_post(&c.end);
  for (uint32_t i = 0; i < JT_OWNERS - 1; i++) pthread_join(threads[i], NULL);
  CHECK_INT(dead_in(&view), JT_OWNERS - 1);
  CHECK_INT(dead_in(c.store), 0);
  CHECK_INT(slots_used(c.store), 1);
  CHECK_INT(status_of(c.store, &id), JT_PENDING);
  CHECK_INT(jt_word_load(&c.store->header->by_status[JT_FAILED]), JT_OWNERS);
  CHECK_AUDIT(c.store);
  region_free(c.store);
}

static void a_slot_is_used_again(void) {
  jt_store *store = region_make(8, 100);
  for (uint32_t i = 0; i < 2 * JT_OWNERS; i++) {
    job_id id = orphan_make(store, "job", i);
    CHECK_INT(status_of(store, &id), JT_FAILED);
    CHECK_INT(slots_used(store), 0);
  }
  CHECK_AUDIT(store);
  region_free(store);
}

/* Killed between the two halves of a claim, and one that finished its jobs. The
   version tells those who poll that these dead are others than those before. */
static void a_dead_slot_without_jobs_is_freed(void) {
  jt_store *store = region_make(8, 100), view = region_view(store, true);
  uint64_t version;
  uint32_t dead;
  atomic_store(&store->slots[3].state, JT_SLOT_USED);
  jt_store_pulse(&view, &version, &dead);
  CHECK_INT(dead, 1);
  CHECK_INT(dead_in(store), 0);
  CHECK(jt_store_version(store) > version);
  CHECK_INT(slots_used(store), 0);
  mortal *m = mortal_make(store, DEATH_EXIT);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  CHECK_CODE(set_status(store, &m->jobs[0], JT_COMPLETED), JT_OK);
  mortal_end(m);
  CHECK_INT(dead_in(&view), 1);
  CHECK_INT(dead_in(store), 0);
  CHECK_INT(status_of(store, &m->jobs[0]), JT_COMPLETED);
  region_free(store);
}

/* The job is kept no longer than until it is written off, so there is none to delete;
   but others of the same owner may be waited for. */
static void who_writes_off_wakes_though_nothing_is_found(void) {
  jt_store *store = region_make(8, 100);
  job_id id = orphan_make(store, "job", 1);
  CHECK_CODE(jt_store_set_retention(store, 0), JT_OK);
  uint32_t ticket = jt_notify_prepare(store);
  CHECK_CODE(erase(store, &id), JT_NOT_FOUND);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 1);
  CHECK(atomic_load(&store->notice->word) != ticket);
  region_free(store);
}

/* ------------------------------------------------------------------ no room */

/* Leaves fewer units than it takes to write anybody off. */
static job_id fill_up(jt_store *store) {
  job_id filler = create(store, "filler", 2);
  size_t units = 64;
  while (units > 0 && set_result(store, &filler, 64 * units, 'f') != JT_OK) units--;
  CHECK(units > 0);
  return filler;
}

static void check_shown(jt_store *store, const job_id *id, pid_t pid) {
  jt_job *job;
  if (!CHECK_CODE(get(store, id, &job), JT_OK)) return;
  CHECK_INT(job->status, JT_FAILED);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(pid, "Initializing"));
  CHECK_INT(job->finished_at, job->updated_at);
  free(job);
}

static void check_refused(jt_store *store, const job_id *id) {
  CHECK_CODE(set_result(store, id, 1, 'x'), JT_FULL);
  CHECK_CODE(set_status(store, id, JT_COMPLETED), JT_INVALID_TRANSITION);
  CHECK_CODE(claim_job(store, id), JT_INVALID_TRANSITION);
  CHECK_CODE(cancel_job(store, id, "x"), JT_INVALID_TRANSITION);
  CHECK_CODE(jt_create_numbered(store, "large", 5, 9), JT_OK);
  job_id large = id_of("large", 9);
  CHECK_CODE(set_result(store, &large, 640, 'l'), JT_FULL);
  CHECK_CODE(erase(store, &large), JT_OK);
}

static void without_room_it_is_shown(void) {
  jt_store *store = region_make(4, 24);
  mortal *m = mortal_make(store, DEATH_KILL);
  jt_stats stats;
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  job_id filler = fill_up(store);
  pid_t pid = m->process;
  mortal_end(m);
  uint64_t version = jt_store_version(store);
  for (int i = 0; i < 3; i++) check_shown(store, &m->jobs[0], pid);
  CHECK_INT(dead_in(store), 1);
  jt_store_stats(store, &stats);
  CHECK_INT(stats.by_status[JT_FAILED], 1);
  CHECK_INT(stats.by_status[JT_PENDING], 1);
  CHECK_INT(jt_store_version(store), version);
  check_refused(store, &m->jobs[0]);
  check_shown(store, &m->jobs[0], pid);
  CHECK_INT(slots_used(store), 1);
  CHECK_AUDIT(store);
  CHECK_CODE(erase(store, &filler), JT_OK);
  CHECK_INT(dead_in(store), 0);
  CHECK_INT(slots_used(store), 0);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 1);
  CHECK_INT(status_of(store, &m->jobs[0]), JT_FAILED);
  CHECK_AUDIT(store);
  region_free(store);
}

/* What found no room is tried again when something has changed, and not before: a
   look at such a job is not a pass over all. */
static void it_is_not_tried_in_vain(void) {
  jt_store *store = region_make(4, 24);
  job_id other = create(store, "other", 2), id = orphan_make(store, "job", 1);
  uint32_t units = 20, unit;
  while ((unit = jt_heap_take(store, units)) == 0) units--;
  CHECK_INT(dead_in(store), 1);
  jt_heap_give(store, unit, units);
  CHECK_INT(dead_in(store), 1);
  CHECK_INT(status_of(store, &id), JT_FAILED);
  CHECK_INT(dead_in(store), 1);
  CHECK_CODE(set_status(store, &other, JT_RUNNING), JT_OK);
  CHECK_INT(dead_in(store), 0);
  CHECK_AUDIT(store);
  region_free(store);
}

/* An orphan that nobody can write off can still be deleted, and its slot with it. */
static void without_room_it_can_go(void) {
  jt_store *store = region_make(4, 24);
  mortal *m = mortal_make(store, DEATH_KILL);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  fill_up(store);
  mortal_end(m);
  CHECK_INT(dead_in(store), 1);
  CHECK_CODE(erase(store, &m->jobs[0]), JT_OK);
  CHECK_INT(dead_in(store), 0);
  CHECK_INT(slots_used(store), 0);
  CHECK_AUDIT(store);
  region_free(store);
}

/* Who needs room gets that of the dead: their jobs are finished now. */
static void the_dead_make_room(void) {
  jt_store *store = region_make(4, 60);
  mortal *m = mortal_make(store, DEATH_KILL);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  CHECK_CODE(set_result(store, &m->jobs[0], 64 * 30, 'r'), JT_OK);
  job_id id = create(store, "mine", 2);
  CHECK_CODE(set_result(store, &id, 64 * 40, 'm'), JT_FULL);
  mortal_end(m);
  CHECK_CODE(set_result(store, &id, 64 * 40, 'm'), JT_OK);
  CHECK(!exists(store, &m->jobs[0]));
  CHECK_AUDIT(store);
  region_free(store);
}

/* The lock is taken: a look does not wait for it, and says the same. */
static void a_look_does_not_wait(void) {
  jt_store *store = region_make(4, 60);
  job_id id = orphan_make(store, "job", 1);
  uint64_t version = jt_store_version(store);
  CHECK_INT(pthread_mutex_lock(&store->header->lock), 0);
  double start = check_now();
  CHECK_INT(status_of(store, &id), JT_FAILED);
  CHECK_INT(dead_in(store), 1);
  CHECK(check_now() - start < 0.5);
  CHECK_INT(jt_store_version(store), version);
  CHECK_INT(pthread_mutex_unlock(&store->header->lock), 0);
  CHECK_INT(dead_in(store), 0);
  region_free(store);
}

/* ------------------------------------------------------------ closing a store */

/* How often the file is mapped; a child has its parent's mappings too. */
static int mappings_of(const char *path) {
  char line[1024];
  int found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof line, maps) != NULL) found += strstr(line, path) != NULL;
  fclose(maps);
  return found;
}

/* A process of its own that does something with the file, says so, and stays. */
typedef struct actor {
  void (*act)(struct actor *a);
  job_id id;
  jt_store *inherited;
  _Atomic uint32_t done, may_end;
  pid_t process;
} actor;

static void play(void *context) {
  actor *a = context;
  a->act(a);
  atomic_store(&a->done, 1);
  CHECK_AWAIT(&a->may_end, 1);
}

static actor *actor_start(void (*act)(actor *a), job_id id, jt_store *inherited) {
  actor *a = check_shared(sizeof *a);
  a->act = act;
  a->id = id;
  a->inherited = inherited;
  a->process = check_fork(play, a);
  CHECK_AWAIT(&a->done, 1);
  return a;
}

static void actor_end(actor *a) {
  atomic_store(&a->may_end, 1);
  CHECK_JOIN(a->process);
}

static void claim_and_close(actor *a) {
  int before = mappings_of(check_path("store"));
  jt_store *store = file_open(check_path("store"), false);
  CHECK_CODE(claim_job(store, &a->id), JT_OK);
  jt_store_close(store);
  CHECK_INT(mappings_of(check_path("store")), before + 1);
}

/* Also when nobody else has the file open meanwhile. */
static void who_closes_while_owning_owns_until_its_end(void) {
  for (int alone = 0; alone < 2; alone++) {
    const char *name = check_path("store");
    unlink(name);
    jt_store *store = file_store("store", SIZE, MAX_JOBS);
    job_id id = create(store, "job", 1);
    if (alone) jt_store_close(store);
    actor *a = actor_start(claim_and_close, id, NULL);
    if (alone) store = file_open(name, false);
    jt_store *view = file_open(name, true);
    CHECK_INT(status_of(store, &id), JT_PENDING);
    CHECK_INT(status_of(view, &id), JT_PENDING);
    CHECK_CODE(claim_job(store, &id), JT_CLAIMED);
    actor_end(a);
    CHECK_INT(status_of(view, &id), JT_FAILED);
    CHECK_INT(status_of(store, &id), JT_FAILED);
    CHECK_AUDIT(store);
    jt_store_close(store);
    jt_store_close(view);
  }
}

static void claim_finish_and_close(actor *a) {
  int before = mappings_of(check_path("store"));
  jt_store *store = file_open(check_path("store"), false);
  CHECK_CODE(claim_job(store, &a->id), JT_OK);
  CHECK_CODE(set_status(store, &a->id, JT_COMPLETED), JT_OK);
  CHECK_INT(slots_used(store), 1);
  jt_store_close(store);
  CHECK_INT(mappings_of(check_path("store")), before);
}

static void who_closes_with_all_done_is_gone(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  actor *a = actor_start(claim_finish_and_close, create(store, "job", 1), NULL);
  CHECK_INT(slots_used(store), 0);
  actor_end(a);
  CHECK_INT(status_of(store, &a->id), JT_COMPLETED);
  jt_store_close(store);
}

/* The library's list leads through what is mapped by 'first'. */
static void claim_by_many_mappings(actor *a) {
  const char *path = check_path("store");
  int before = mappings_of(path);
  jt_store *first = file_open(path, false), *second = file_open(path, false);
  CHECK(first->base != second->base);
  CHECK_CODE(claim_job(first, &a->id), JT_OK);
  CHECK_CODE(claim_job(second, &a->id), JT_OK);
  CHECK_INT(slots_used(first), 1);
  jt_store_close(second);
  second = file_open(path, false);
  job_id other = create_claimed(second, "other", 2);
  CHECK_CODE(set_status(second, &a->id, JT_COMPLETED), JT_OK);
  CHECK_CODE(set_status(second, &other, JT_COMPLETED), JT_OK);
  jt_store_close(first);
  CHECK_INT(slots_used(second), 0);
  CHECK_CODE(claim_job(second, &a->id), JT_INVALID_TRANSITION);
  job_id third = create_claimed(second, "third", 3);
  CHECK_CODE(set_status(second, &third, JT_RUNNING), JT_OK);
  jt_store_close(second);
  CHECK_INT(mappings_of(path), before + 1);
  /* The list is whole: others can be put into it and taken out. */
  jt_store *elsewhere = file_store("elsewhere", SIZE, MAX_JOBS);
  job_id fourth = create_claimed(elsewhere, "fourth", 4);
  CHECK_CODE(erase(elsewhere, &fourth), JT_OK);
  jt_store_close(elsewhere);
  CHECK_INT(mappings_of(check_path("elsewhere")), 0);
}

static void a_file_mapped_twice(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  actor *a = actor_start(claim_by_many_mappings, create(store, "job", 1), NULL);
  job_id third = id_of("third", 3);
  CHECK_INT(status_of(store, &a->id), JT_COMPLETED);
  CHECK_INT(status_of(store, &third), JT_RUNNING);
  CHECK_INT(slots_used(store), 1);
  actor_end(a);
  CHECK_INT(status_of(store, &third), JT_FAILED);
  CHECK_AUDIT(store);
  jt_store_close(store);
}

static void close_the_parents(actor *a) {
  jt_store_close(a->inherited);
  CHECK_INT(mappings_of(check_path("store")), 0);
}

static void a_child_may_close_what_its_parent_owns(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  job_id id = create_claimed(store, "job", 1);
  actor *a = actor_start(close_the_parents, id, store);
  CHECK_INT(status_of(store, &id), JT_PENDING);
  actor_end(a);
  CHECK_INT(status_of(store, &id), JT_PENDING);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  jt_store_close(store);
  CHECK_INT(mappings_of(check_path("store")), 0);
}

static void *claim_in_a_thread(void *context) {
  actor *a = context;
  CHECK_CODE(claim_job(a->inherited, &a->id), JT_OK);
  atomic_store(&a->done, 1);
  CHECK_AWAIT(&a->may_end, 1);
  return NULL;
}

static void a_store_is_closed_under_a_thread_that_owns(void) {
  jt_store *other = file_store("store", SIZE, MAX_JOBS);
  actor *a = check_shared(sizeof *a);
  pthread_t thread;
  a->id = create(other, "job", 1);
  a->inherited = file_open(check_path("store"), false);
  CHECK_INT(pthread_create(&thread, NULL, claim_in_a_thread, a), 0);
  CHECK_AWAIT(&a->done, 1);
  jt_store_close(a->inherited);
  CHECK_INT(status_of(other, &a->id), JT_PENDING);
  atomic_store(&a->may_end, 1);
  CHECK_INT(pthread_join(thread, NULL), 0);
  CHECK_INT(status_of(other, &a->id), JT_FAILED);
  jt_store_close(other);
}

/* ------------------------------------------- files without a writer, and copies */

static void copy_file(const char *from, const char *to) {
  char command[1100];
  snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
  CHECK_INT(system(command), 0);
}

static void claim_one_more(actor *a) {
  jt_store *store = file_open(check_path("copy"), false);
  CHECK_CODE(claim_job(store, &a->id), JT_OK);
}

/* What a reboot, a backup and a copy have in common: words of living threads, and no
   writer. Who has opened it before there was one sees the next one's owners too. */
static void words_of_another_time_are_not_believed(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS);
  job_id id = create_claimed(store, "job", 1), next = create(store, "next", 2);
  copy_file(check_path("store"), check_path("copy"));
  jt_store *view = file_open(check_path("store"), true);
  jt_store *copy = file_open(check_path("copy"), true);
  CHECK_INT(status_of(view, &id), JT_PENDING);
  CHECK_INT(status_of(copy, &id), JT_FAILED);
  CHECK_INT(dead_in(view), 0);
  CHECK_INT(dead_in(copy), 1);
  actor *a = actor_start(claim_one_more, next, NULL);
  CHECK_INT(dead_in(copy), 0);
  CHECK_INT(status_of(copy, &next), JT_PENDING);
  jt_job *job;
  CHECK_CODE(get(copy, &id, &job), JT_OK);
  CHECK_INT(job->status, JT_FAILED);
  CHECK_INT(job->finished_at, job->updated_at);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(getpid(), "Initializing"));
  free(job);
  atomic_store(&a->may_end, 1);
  CHECK_JOIN(a->process);
  CHECK_INT(status_of(copy, &next), JT_FAILED);
  CHECK_INT(status_of(view, &id), JT_PENDING);
  jt_store_close(copy);
  jt_store_close(view);
  CHECK_CODE(erase(store, &id), JT_OK);
  jt_store_close(store);
}

static void claim_in_the_file(actor *a) {
  jt_store *store = file_open(check_path("store"), false);
  CHECK_CODE(claim_job(store, &a->id), JT_OK);
  CHECK_CODE(set_status(store, &a->id, JT_RUNNING), JT_OK);
}

/* The owner was the only one who had the file open. */
static void the_next_opener_finds_the_dead(void) {
  for (int trusting = 0; trusting < 2; trusting++) {
    unlink(check_path("store"));
    jt_store *store = file_store("store", SIZE, MAX_JOBS), *view = NULL;
    job_id id = create(store, "job", 1);
    jt_store_close(store);
    actor *a = actor_start(claim_in_the_file, id, NULL);
    if (trusting) {
      view = file_open(check_path("store"), true);
      CHECK_INT(status_of(view, &id), JT_RUNNING);
    }
    check_kill(a->process);
    if (!trusting) view = file_open(check_path("store"), true);
    CHECK_INT(status_of(view, &id), JT_FAILED);
    CHECK_INT(dead_in(view), 1);
    store = file_open(check_path("store"), false);
    CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 1);
    CHECK_INT(slots_used(store), 0);
    CHECK_INT(dead_in(view), 0);
    CHECK_INT(status_of(view, &id), JT_FAILED);
    job_id mine = create_claimed(store, "mine", 2);
    CHECK_INT(status_of(view, &mine), JT_PENDING);
    CHECK_AUDIT(store);
    CHECK_CODE(erase(store, &mine), JT_OK);
    jt_store_close(store);
    jt_store_close(view);
  }
}

static void a_slot_whose_lock_is_none(void) {
  jt_store *store = file_store("store", SIZE, MAX_JOBS), *other;
  const jt_options options = { 0 };
  jt_error error;
  store->slots[JT_OWNERS - 1].life.__data.__kind = 77;
  CHECK_CODE(jt_store_open(check_path("store"), &options, &other, &error), JT_CORRUPT);
  jt_store_close(store);
  store = file_open(check_path("store"), false);
  CHECK_CODE(jt_store_open(check_path("store"), &options, &other, &error), JT_OK);
  jt_store_close(other);
  jt_store_close(store);
}

/* In memory, a recovery from a killed writer leaves owners as they are. */
static void a_recovery_leaves_the_living(void) {
  mortal *m = mortal_make(region_make(8, 100), DEATH_KILL);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&m->store->header->lock);
    _exit(0);
  }
  CHECK_INT(check_join(child, 10), 0);
  CHECK_CODE(set_status(m->store, &m->jobs[0], JT_RUNNING), JT_OK);
  CHECK_INT(jt_word_load(&m->store->header->recoveries), 1);
  CHECK_INT(slots_used(m->store), 1);
  CHECK_INT(status_of(m->store, &m->jobs[0]), JT_RUNNING);
  mortal_end(m);
  CHECK_INT(status_of(m->store, &m->jobs[0]), JT_FAILED);
  region_free(m->store);
}

static const check_case cases[] = {
  CASE(every_slot_in_use), CASE(a_slot_is_used_again),
  CASE(a_dead_slot_without_jobs_is_freed),
  CASE(who_writes_off_wakes_though_nothing_is_found), CASE(without_room_it_is_shown),
  CASE(it_is_not_tried_in_vain), CASE(without_room_it_can_go), CASE(the_dead_make_room),
  CASE(a_look_does_not_wait),
  CASE(who_closes_while_owning_owns_until_its_end),
  CASE(who_closes_with_all_done_is_gone), CASE(a_file_mapped_twice),
  CASE(a_child_may_close_what_its_parent_owns),
  CASE(a_store_is_closed_under_a_thread_that_owns),
  CASE(words_of_another_time_are_not_believed), CASE(the_next_opener_finds_the_dead),
  CASE(a_slot_whose_lock_is_none), CASE(a_recovery_leaves_the_living),
};
CHECK_MAIN(cases)
