/*
** scenes.c - see scenes.h.
*/
#include "scenes.h"

#include <stdlib.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "store/bury.h"
#include "store/cells.h"
#include "store/heap.h"
#include "store/owner.h"

/* ------------------------------------------------------------ the comparison */

static void see(const jt_store *store, const job_id ids[SCENE_JOBS],
                jt_job *jobs[SCENE_JOBS]) {
  jt_store view = region_view(store, true);
  for (int i = 0; i < SCENE_JOBS; i++) {
    jt_code code = get(&view, &ids[i], &jobs[i]);
    if (code != JT_NOT_FOUND) CHECK_CODE(code, JT_OK);
  }
}

static void free_jobs(jt_job *jobs[SCENE_JOBS]) {
  for (int i = 0; i < SCENE_JOBS; i++) free(jobs[i]);
}

unsigned scene_changed(const scene *s, const jt_store *store) {
  jt_job *now[SCENE_JOBS];
  unsigned changed = 0;
  see(store, s->ids, now);
  for (int i = 0; i < SCENE_JOBS; i++)
    if (!job_same(now[i], s->before[i])) changed |= 1u << i;
  free_jobs(now);
  return changed;
}

/* As the job was, or was to be, but for its owner's death. */
static bool same_but_dead(const jt_job *now, const jt_job *then, pid_t dead) {
  if (now == NULL || then == NULL || now->status != JT_FAILED) return false;
  jt_text step = jt_job_part(now, JT_STEP);
  char during[JT_STEP_MAX + 1] = "";
  memcpy(during, step.bytes, step.length);
  return text_same(jt_job_part(now, JT_ERROR), epitaph_of(dead, during)) &&
         text_same(step, jt_job_part(then, JT_STEP)) &&
         text_same(jt_job_part(now, JT_RESULT), jt_job_part(then, JT_RESULT)) &&
         text_same(jt_job_part(now, JT_CANCEL), jt_job_part(then, JT_CANCEL)) &&
         now->finished_at != 0;
}

/* The times are of another run. Where nothing was to change nothing may. */
static bool is_new(const jt_job *now, const jt_job *before, const jt_job *after) {
  return job_same_state(now, after) &&
         (now == NULL || before == NULL || now->version > before->version);
}

static bool was_claimed(const scene *s, int i) {
  return s->trial->claims > 0 && s->trial->claims == i;
}

static bool is_old_or_new(const scene *s, int i, const jt_job *now, pid_t dead) {
  const jt_job *before = s->before[i], *after = s->after[i];
  return job_same(now, before) || is_new(now, before, after) ||
         (was_claimed(s, i) && (same_but_dead(now, before, dead) ||
                                same_but_dead(now, after, dead)));
}

void scene_check_jobs(const scene *s, const jt_store *store, pid_t dead) {
  jt_job *now[SCENE_JOBS];
  see(store, s->ids, now);
  for (int i = 0; i < SCENE_JOBS; i++)
    if (!is_old_or_new(s, i, now[i], dead))
      CHECK_NOT_HERE("a job is neither as it was nor as it was to be");
  free_jobs(now);
}

void scene_check_returned(const scene *s, const jt_store *store, pid_t dead) {
  jt_job *now[SCENE_JOBS];
  see(store, s->ids, now);
  for (int i = 0; i < SCENE_JOBS; i++)
    if (!job_same_state(now[i], s->after[i]) &&
        !(was_claimed(s, i) && same_but_dead(now[i], s->after[i], dead)))
      CHECK_NOT_HERE("a call returned, and a job is not as it was to be");
  free_jobs(now);
}

/* ---------------------------------------------------------------- afterwards */

static void write_next(const scene *s, jt_store *store) {
  job_id none = id_of("none", 1);
  if (s->trial->alone) region_verify(store);
  CHECK_CODE(erase(store, &none), JT_NOT_FOUND);
}

static void write_off(jt_store *store) {
  uint64_t version;
  uint32_t left;
  jt_store_pulse(store, &version, &left);
  CHECK_INT(left, 0);
}

void scene_recover(const scene *s, jt_store *store) {
  write_next(s, store);
  write_off(store);
}

static void check_whole(const scene *s, const jt_store *store, pid_t dead) {
  CHECK_INT(jt_word_load(&store->header->damaged), 0);
  CHECK_AUDIT(store);
  scene_check_jobs(s, store, dead);
}

void scene_check_recovery(const scene *s, jt_store *store, pid_t dead) {
  scene_check_jobs(s, store, dead);
  write_next(s, store);
  check_whole(s, store, dead);
  write_off(store);
  check_whole(s, store, dead);
}

void scene_check_beginning(const scene *s, jt_store *store, pid_t dead) {
  region_verify(store);
  check_whole(s, store, dead);
  scene_recover(s, store);
  check_whole(s, store, dead);
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
static scene bare_scene(const trial *t) {
  scene s = { .trial = t, .store = region_make(4, 64) };
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

/* There is room for it, but none that was ever used. */
static void grow(const scene *s) {
  uint64_t mark = jt_word_load(&s->store->header->heap_mark);
  CHECK_CODE(set_result(s->store, &s->ids[0], 64 * 20, 'g'), JT_OK);
  CHECK(jt_word_load(&s->store->header->heap_mark) >= mark + 20);
}

static void shed_all_blobs(const scene *s) {
  jt_change change = { .fields = JT_SET_RESULT | JT_SET_ERROR | JT_SET_META };
  CHECK_CODE(update(s->store, &s->ids[1], &change), JT_OK);
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

static void leave_one_dead_and_units(const scene *s) {
  leave_one_dead(s);
  die_in_an_update(s);
}

static void begin_anew(const scene *s) {
  region_verify(s->store);
}

/* Both must be written off for it, and then go. */
static void need_the_room_of_the_dead(const scene *s) {
  CHECK_CODE(set_result(s->store, &s->ids[2], 64 * 44, 'c'), JT_OK);
}

const trial trials[] = {
  { "a creation", erase_third, create_new, 0, false },
  { "a creation that evicts", nothing, create_new, 0, false },
  { "a creation that sweeps out the expired", let_expire, create_new, 0, false },
  { "an update of everything", nothing, change_everything, 0, false },
  { "an update of the progress", nothing, change_progress, 0, false },
  { "an update that takes blobs away", nothing, shed_all_blobs, 0, false },
  { "an update that grows into fresh memory", nothing, grow, 0, false },
  { "an update that evicts", fill_up, attach_long_result, 0, false },
  { "an update that finds no room", fill_up, attach_too_much, 0, false },
  { "a deletion", nothing, erase_third, 0, false },
  { "a deletion that empties cells", erase_first_two, erase_third, 0, false },
  { "clearing", nothing, clear, 0, false },
  { "a recovery", die_in_an_update, erase_nobody, 0, false },
  { "a recovery and an update", die_in_an_update, change_everything, 0, false },
  { "a claim", nothing, claim_second, 1, false },
  { "a claim and an end", nothing, claim_and_finish_second, 1, false },
  { "a claim and a deletion", nothing, claim_and_erase_second, 1, false },
  { "a claim, an end and parting", nothing, claim_and_finish_and_part, 1, false },
  { "a cancellation", nothing, cancel_second, 0, false },
  { "a cancellation at once", nothing, cancel_first, 0, false },
  { "writing off", leave_one_dead, look, 0, false },
  { "writing two off", leave_two_dead, look, 0, false },
  { "writing off that evicts", fill_up_and_leave_one_dead, look_and_evict, 0, false },
  { "writing off to make room", leave_two_dead, need_the_room_of_the_dead, 0, false },
  { "beginning anew, alone", leave_one_dead_and_units, begin_anew, 0, true },
};

const size_t trial_count = sizeof trials / sizeof trials[0];

const trial *trial_of(const char *name) {
  for (size_t i = 0; i < trial_count; i++)
    if (strcmp(trials[i].name, name) == 0) return &trials[i];
  CHECK_NOT_HERE("no trial has that name");
  return &trials[0];
}

/* The same call on a clone tells what it is to do. */
static void foresee(scene *s) {
  scene elsewhere = *s;
  elsewhere.store = region_clone(s->store);
  see(s->store, s->ids, s->before);
  s->trial->call(&elsewhere);
  see(elsewhere.store, s->ids, s->after);
  region_free(elsewhere.store);
}

scene scene_make(const trial *t) {
  scene s = bare_scene(t);
  t->prepare(&s);
  foresee(&s);
  return s;
}

void scene_free(scene *s) {
  free_jobs(s->before);
  free_jobs(s->after);
  region_free(s->store);
}
