/*
** owner_test.c - claiming jobs, and what is seen of them when their owner ends:
** real processes, each way to end.
*/
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "store/cells.h"
#include "store/owner.h"

static jt_store *make_store(void) {
  return region_make(16, 400);
}

/* ----------------------------------------------------------------- claiming */

static void claiming_is_a_change(void) {
  jt_store *store = make_store();
  job_id id = create(store, "job", 1);
  jt_job *before, *after, *again;
  CHECK_CODE(get(store, &id, &before), JT_OK);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  CHECK_CODE(get(store, &id, &after), JT_OK);
  CHECK(job_same_state(before, after));
  CHECK(after->version > before->version && after->updated_at > before->updated_at);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  CHECK_CODE(get(store, &id, &again), JT_OK);
  CHECK(job_same(after, again));
  CHECK_INT(dead_in(store), 0);
  CHECK_AUDIT(store);
  free(before), free(after), free(again);
  region_free(store);
}

static void claiming_has_its_codes(void) {
  jt_store *store = make_store(), view = region_view(store, true);
  job_id none = id_of("none", 1), done = create_finished(store, "done", 1);
  job_id id = create(store, "job", 1);
  uint64_t version = jt_store_version(store);
  CHECK_CODE(claim_job(store, &none), JT_NOT_FOUND);
  CHECK_CODE(jt_claim(store, "", 0), JT_NOT_FOUND);
  CHECK_CODE(claim_job(store, &done), JT_INVALID_TRANSITION);
  CHECK_CODE(claim_job(&view, &id), JT_READONLY);
  CHECK_INT(jt_store_version(store), version);
  CHECK_INT(jt_owner_self(store), 0);
  region_free(store);
}

static void claim_anothers(void *context) {
  const mortal *m = context;
  for (int i = 0; i < m->count; i++)
    CHECK_CODE(claim_job(m->store, &m->jobs[i]), JT_CLAIMED);
}

static void *claim_anothers_in_a_thread(void *context) {
  claim_anothers(context);
  return NULL;
}

static void a_living_owner_keeps_its_jobs(void) {
  mortal *m = mortal_make(make_store(), DEATH_KILL);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  claim_anothers(m);
  CHECK_CODE(set_status(m->store, &m->jobs[0], JT_RUNNING), JT_OK);
  kill(m->process, SIGSTOP);
  claim_anothers(m);
  jt_job *job;
  CHECK_CODE(get(m->store, &m->jobs[0], &job), JT_OK);
  CHECK_INT(job->status, JT_RUNNING);
  free(job);
  mortal_clear(m);
  CHECK_CODE(claim_job(m->store, &m->jobs[0]), JT_INVALID_TRANSITION);
  region_free(m->store);
}

static void a_thread_is_an_owner_of_its_own(void) {
  mortal *m = mortal_make(make_store(), DEATH_KILL);
  pthread_t thread;
  mortal_gets(m, "job", 1);
  CHECK_CODE(claim_job(m->store, &m->jobs[0]), JT_OK);
  CHECK_INT(pthread_create(&thread, NULL, claim_anothers_in_a_thread, m), 0);
  CHECK_INT(pthread_join(thread, NULL), 0);
  CHECK(exists(m->store, &m->jobs[0]));
  CHECK_INT(dead_in(m->store), 0);
  region_free(m->store);
}

/* Left of a thread of the same number that the kernel could not mark. */
static void a_strangers_slot_is_not_ones_own(void) {
  jt_store *store = make_store();
  job_id theirs = create_claimed(store, "theirs", 1), ours = create(store, "ours", 2);
  atomic_store(&store->slots[0].pid, (uint32_t)getppid());
  CHECK_INT(jt_owner_self(store), 0);
  CHECK_CODE(claim_job(store, &theirs), JT_CLAIMED);
  CHECK_CODE(claim_job(store, &ours), JT_OK);
  CHECK_INT(jt_owner_self(store), 2);
  CHECK_INT(dead_in(store), 0);
  region_free(store);
}

static void outlive_the_parent(void *context) {
  mortal *m = context;
  CHECK_INT(jt_owner_self(m->store), 0);
  claim_anothers(m);
  atomic_store(&m->claimed, 2);
  for (;;) pause();
}

static void have_a_child(void *context) {
  mortal *m = context;
  CHECK_CODE(claim_job(m->store, &m->jobs[0]), JT_OK);
  pid_t child = fork();
  if (child == 0) outlive_the_parent(m);
  atomic_store(&m->may_die, (uint32_t)child);
  for (;;) pause();
}

/* It has the same mappings, and the list of the C library that its parent had. */
static void a_forked_child_owns_nothing(void) {
  mortal *m = mortal_make(make_store(), DEATH_KILL);
  mortal_gets(m, "job", 1);
  pid_t parent = check_fork(have_a_child, m);
  CHECK_AWAIT(&m->claimed, 2);
  CHECK_AWAIT(&m->may_die, 1);
  jt_job *job;
  CHECK_CODE(get(m->store, &m->jobs[0], &job), JT_OK);
  CHECK_INT(job->status, JT_PENDING);
  free(job);
  check_kill(parent);
  CHECK_CODE(get(m->store, &m->jobs[0], &job), JT_OK);
  CHECK_INT(job->status, JT_FAILED);
  free(job);
  kill((pid_t)atomic_load(&m->may_die), SIGKILL);
  region_free(m->store);
}

static void claim_and_have_dying_children(void) {
  jt_store *store = make_store();
  job_id id = create_claimed(store, "job", 1);
  for (int i = 0; i < 3; i++) {
    job_id other = orphan_make(store, "child", (uint32_t)i);
    jt_job *job;
    CHECK_CODE(get(store, &other, &job), JT_OK);
    CHECK_INT(job->status, JT_FAILED);
    free(job);
    CHECK_CODE(get(store, &id, &job), JT_OK);
    CHECK_INT(job->status, JT_PENDING);
    free(job);
  }
  CHECK_CODE(claim_job(store, &id), JT_OK);
  region_free(store);
}

/* -------------------------------------------------------------------- dying */

static const char step[] = "sections 3/7: Memory order";

static void work_a_little(jt_store *store, const job_id *id) {
  jt_change change = { .fields = JT_SET_STATUS | JT_SET_STEP | JT_SET_PROGRESS |
                                 JT_SET_RESULT | JT_SET_ERROR | JT_SET_META,
                       .status = JT_RUNNING, .progress = 0.25, .step = text_of(step),
                       .result = text_of("[1]"), .error = text_of("a warning"),
                       .meta = text_of("{}") };
  CHECK_CODE(update(store, id, &change), JT_OK);
}

static void check_failed(const jt_job *job, const jt_job *before, pid_t pid,
                         const char *during) {
  CHECK_INT(job->status, JT_FAILED);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(pid, during));
  for (int part = 0; part < JT_PARTS; part++)
    if (part != JT_ERROR)
      CHECK_TEXT(jt_job_part(job, (jt_part)part), jt_job_part(before, (jt_part)part));
  CHECK(job->version > before->version && job->sequence == before->sequence);
  CHECK(memcmp(&job->progress, &before->progress, 8) == 0);
  CHECK(job->created_at == before->created_at && job->started_at == before->started_at);
}

static void check_shown(jt_store *view, const job_id *id, const jt_job *before,
                        pid_t pid, const char *during) {
  jt_job *job;
  if (!CHECK_CODE(get(view, id, &job), JT_OK)) return;
  check_failed(job, before, pid, during);
  CHECK_INT(job->version, before->version + 1);
  CHECK_INT(job->updated_at, before->updated_at);
  CHECK_INT(job->finished_at, before->updated_at);
  free(job);
}

static void check_written(jt_store *store, const job_id *id, const jt_job *before,
                          pid_t pid, const char *during) {
  jt_job *job, *same;
  if (!CHECK_CODE(get(store, id, &job), JT_OK)) return;
  check_failed(job, before, pid, during);
  CHECK(job->updated_at > before->updated_at);
  CHECK_INT(job->finished_at, job->updated_at);
  jt_store view = region_view(store, true);
  CHECK_CODE(get(&view, id, &same), JT_OK);
  CHECK(job_same(job, same));
  free(job), free(same);
}

static void check_death(death how) {
  unsigned failures = check_failures();
  mortal *m = mortal_make(make_store(), how);
  jt_store *store = m->store, view = region_view(store, true);
  jt_job *before[2];
  mortal_gets(m, "running", 1);
  mortal_gets(m, "pending", 2);
  job_id free_one = create(store, "nobodys", 3);
  mortal_begin(m);
  pid_t pid = m->process;
  work_a_little(store, &m->jobs[0]);
  for (int i = 0; i < 2; i++) {
    CHECK_CODE(get(&view, &m->jobs[i], &before[i]), JT_OK);
    CHECK_INT(before[i]->status, i == 0 ? JT_RUNNING : JT_PENDING);
  }
  mortal_end(m);
  check_shown(&view, &m->jobs[0], before[0], pid, step);
  check_shown(&view, &m->jobs[1], before[1], pid, "Initializing");
  CHECK_INT(dead_in(&view), 1);
  check_written(store, &m->jobs[0], before[0], pid, step);
  check_written(store, &m->jobs[1], before[1], pid, "Initializing");
  CHECK_INT(dead_in(&view), 0);
  CHECK_INT(jt_owner_is_used(store, 1), false);
  jt_job *job;
  CHECK_CODE(get(store, &free_one, &job), JT_OK);
  CHECK_INT(job->status, JT_PENDING);
  CHECK_AUDIT(store);
  if (check_failures() > failures) check_say("died by %s", death_names[how]);
  free(before[0]), free(before[1]), free(job);
  mortal_clear(m);
  region_free(store);
}

static void every_way_to_end(void) {
  for (int how = 0; how < DEATHS; how++) check_death((death)how);
}

static void the_text_leaves_out_what_is_not_known(void) {
  jt_store *store = make_store(), view = region_view(store, true);
  mortal *m = mortal_make(store, DEATH_KILL);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  CHECK_CODE(update(store, &m->jobs[0], &(jt_change){ .fields = JT_SET_STEP,
                                                      .step = { "", 0 } }), JT_OK);
  mortal_end(m);
  atomic_store(&store->slots[0].pid, 0);
  jt_job *job;
  CHECK_CODE(get(&view, &m->jobs[0], &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_ERROR),
             text_of("the process working on this job died"));
  free(job);
  CHECK_CODE(get(store, &m->jobs[0], &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_ERROR),
             text_of("the process working on this job died"));
  free(job);
  region_free(store);
}

/* 'needed' counts the text that is not stored, and not the one that it stands for. */
static void the_text_needs_its_room(void) {
  jt_store *store = region_make(4, 400), view = region_view(store, true);
  mortal *m = mortal_make(store, DEATH_KILL);
  static char longest[JT_STEP_MAX];
  memset(longest, 's', sizeof longest);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  jt_change change = { .fields = JT_SET_STEP | JT_SET_ERROR,
                       .step = { longest, sizeof longest },
                       .error = text_of("a warning") };
  CHECK_CODE(update(store, &m->jobs[0], &change), JT_OK);
  mortal_end(m);
  size_t needed = 0, shown = 0;
  jt_job nothing;
  const job_id *id = &m->jobs[0];
  for (int i = 0; i < 2; i++) {
    jt_store *by = i == 0 ? &view : store;
    CHECK_CODE(jt_get(by, id->text, id->length, &nothing, sizeof nothing, &needed),
               JT_TOO_SMALL);
    if (i == 0) shown = needed;
    CHECK_INT(needed, shown);
    jt_job *job = check_memory(needed);
    CHECK_CODE(jt_get(by, id->text, id->length, job, needed - 1, &needed),
               JT_TOO_SMALL);
    CHECK_CODE(jt_get(by, id->text, id->length, job, needed, &needed), JT_OK);
    jt_text error = jt_job_part(job, JT_ERROR);
    CHECK(error.bytes != NULL && error.length > sizeof longest);
    if (error.bytes != NULL && error.length > sizeof longest) {
      CHECK(memcmp(error.bytes + error.length - sizeof longest, longest,
                   sizeof longest) == 0);
      CHECK_INT(error.bytes[error.length], 0);
    }
    free(job);
  }
  CHECK_AUDIT(store);
  region_free(store);
}

/* What is only shown has other times than what is written off later: who compares
   versions, as an ETag is, must not take the one for the other. */
static void what_is_shown_and_what_is_written_differ_in_version(void) {
  for (uint32_t others = 0; others < 3; others++) {
    jt_store *store = make_store(), view = region_view(store, true);
    job_id id = orphan_make(store, "job", 1);
    jt_job *shown, *written;
    for (uint32_t i = 0; i < others; i++) create(store, "other", i);
    CHECK_CODE(get(&view, &id, &shown), JT_OK);
    CHECK_CODE(get(store, &id, &written), JT_OK);
    CHECK(written->version > shown->version);
    CHECK_AUDIT(store);
    free(shown), free(written);
    region_free(store);
  }
}

static void who_finished_first_has_not_died_at_it(void) {
  mortal *m = mortal_make(make_store(), DEATH_KILL);
  jt_job *done, *after;
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  CHECK_CODE(set_status(m->store, &m->jobs[0], JT_COMPLETED), JT_OK);
  CHECK_CODE(get(m->store, &m->jobs[0], &done), JT_OK);
  mortal_end(m);
  jt_store view = region_view(m->store, true);
  CHECK_CODE(get(&view, &m->jobs[0], &after), JT_OK);
  CHECK(job_same(done, after));
  free(after);
  CHECK_INT(dead_in(m->store), 0);
  CHECK_CODE(get(m->store, &m->jobs[0], &after), JT_OK);
  CHECK(job_same(done, after));
  free(done), free(after);
  region_free(m->store);
}

/* ------------------------------------------------- every call meets an orphan */

static job_id orphan_in(jt_store **store) {
  *store = make_store();
  create(*store, "other", 1);
  return orphan_make(*store, "orphan", 2);
}

static void changing_calls_meet_a_failed_job(void) {
  jt_store *store;
  job_id id = orphan_in(&store);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_INVALID_TRANSITION);
  region_free(store);
  id = orphan_in(&store);
  CHECK_CODE(claim_job(store, &id), JT_INVALID_TRANSITION);
  region_free(store);
  id = orphan_in(&store);
  CHECK_CODE(cancel_job(store, &id, "x"), JT_INVALID_TRANSITION);
  region_free(store);
  id = orphan_in(&store);
  CHECK_CODE(set_result(store, &id, 10, 'r'), JT_OK);
  jt_job *job;
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_INT(job->status, JT_FAILED);
  CHECK_INT(jt_job_part(job, JT_RESULT).length, 10);
  CHECK(jt_job_part(job, JT_ERROR).bytes != NULL);
  free(job);
  CHECK_CODE(erase(store, &id), JT_OK);
  CHECK_AUDIT(store);
  region_free(store);
  id = orphan_in(&store);
  CHECK_CODE(erase(store, &id), JT_OK);
  CHECK(!exists(store, &id));
  CHECK_INT(dead_in(store), 0);
  CHECK_AUDIT(store);
  region_free(store);
}

static size_t listed(jt_store *store, int status, jt_job **first) {
  jt_filter filter = { status, { NULL, 0 }, 0 };
  jt_key keys[16];
  size_t count = 0, needed = 0;
  CHECK_CODE(jt_list(store, &filter, keys, 16, &count), JT_OK);
  *first = check_memory(JT_JOB_MAX * 2);
  if (count > 0)
    CHECK_CODE(jt_get_listed(store, &keys[0], &filter, *first, JT_JOB_MAX * 2, &needed),
               JT_OK);
  return count;
}

static void lists_and_counts_say_the_same(void) {
  for (int readonly = 0; readonly < 2; readonly++) {
    jt_store *store;
    job_id id = orphan_in(&store);
    jt_store view = region_view(store, readonly);
    jt_job *job;
    jt_stats stats;
    CHECK_INT(listed(&view, JT_PENDING, &job), 1);
    CHECK_TEXT(jt_job_type(job), text_of("other"));
    free(job);
    CHECK_INT(listed(&view, JT_FAILED, &job), 1);
    CHECK_TEXT(jt_job_part(job, JT_ID), ((jt_text){ id.text, id.length }));
    CHECK_INT(job->status, JT_FAILED);
    free(job);
    CHECK_INT(listed(&view, -1, &job), 2);
    free(job);
    jt_store_stats(&view, &stats);
    CHECK_INT(stats.by_status[JT_PENDING], 1);
    CHECK_INT(stats.by_status[JT_FAILED], 1);
    CHECK_INT(stats.jobs, 2);
    CHECK_INT(dead_in(&view), readonly);
    CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), !readonly);
    region_free(store);
  }
}

/* Each of these alone writes off. */
static void every_look_writes_off(void) {
  for (int call = 0; call < 6; call++) {
    jt_store *store;
    job_id id = orphan_in(&store);
    uint64_t version = jt_store_version(store), upto, zero = 0;
    size_t count;
    jt_key keys[4];
    jt_filter all = { -1, { NULL, 0 }, 0 };
    jt_stats stats;
    uint32_t dead;
    switch (call) {
      case 0: CHECK(exists(store, &id)); break;
      case 1: CHECK_CODE(jt_list(store, &all, keys, 4, &count), JT_OK); break;
      case 2: CHECK_CODE(jt_wait(store, id.text, id.length, &zero, 0), JT_OK); break;
      case 3: CHECK_CODE(jt_changes(store, 0, keys, 4, &count, &upto), JT_OK); break;
      case 4: jt_store_stats(store, &stats); break;
      case 5: jt_store_pulse(store, &version, &dead), version--; break;
    }
    CHECK(jt_store_version(store) > version);
    CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 1);
    CHECK_INT(jt_owners_dead(store), 0);
    CHECK_AUDIT(store);
    region_free(store);
  }
}

typedef struct kill_later {
  mortal *m;
  double seconds, died;
} kill_later;

static void *kill_in_a_while(void *context) {
  kill_later *k = context;
  check_pause(k->seconds);
  k->died = check_now();
  mortal_end(k->m);
  return NULL;
}

/* Read-only or not; with and without a page of notice. */
static void who_waits_is_told_soon(void) {
  for (int way = 0; way < 4; way++) {
    mortal *m = mortal_make(make_store(), DEATH_KILL);
    jt_store view = region_view(m->store, way & 1);
    if (way & 2) view.notice = NULL;
    if (way == 2) view.notice = m->store->notice;
    mortal_gets(m, "job", 1);
    mortal_begin(m);
    kill_later k = { m, 0.03, 0 };
    pthread_t killer;
    const job_id *id = &m->jobs[0];
    uint64_t after = jt_store_version(m->store);
    CHECK_INT(pthread_create(&killer, NULL, kill_in_a_while, &k), 0);
    jt_code code;
    do {
      code = jt_wait(&view, id->text, id->length, way & 2 ? &after : NULL, 5000000);
    } while (code == JT_INTERRUPTED);
    double told = check_now();
    CHECK_CODE(code, JT_OK);
    pthread_join(killer, NULL);
    CHECK(told >= k.died);
    CHECK(told - k.died < 0.15);   /* a slice would be 0.22 */
    region_free(m->store);
  }
}

/* --------------------------------------------------------------- cancelling */

static void cancelling_asks(void) {
  jt_store *store = make_store(), view = region_view(store, true);
  job_id id = create_claimed(store, "job", 1), none = id_of("none", 1);
  job_id done = create_finished(store, "done", 1);
  jt_job *job, *again;
  CHECK_CODE(cancel_job(store, &none, "x"), JT_NOT_FOUND);
  CHECK_CODE(cancel_job(store, &done, "x"), JT_INVALID_TRANSITION);
  CHECK_CODE(cancel_job(&view, &id, "x"), JT_READONLY);
  CHECK_CODE(cancel_job(store, &id, "enough"), JT_OK);
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_INT(job->status, JT_PENDING);
  CHECK_TEXT(jt_job_part(job, JT_CANCEL), text_of("enough"));
  CHECK(jt_job_part(job, JT_ERROR).bytes == NULL);
  CHECK_CODE(cancel_job(store, &id, "another reason"), JT_OK);
  CHECK_CODE(get(store, &id, &again), JT_OK);
  CHECK(job_same(job, again));
  free(job), free(again);
  work_a_little(store, &id);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_CANCEL), text_of("enough"));
  CHECK_TEXT(jt_job_part(job, JT_META), text_of("{}"));
  free(job);
  CHECK_CODE(cancel_job(store, &id, "enough"), JT_INVALID_TRANSITION);
  CHECK_AUDIT(store);
  region_free(store);
}

static void cancelling_what_nobody_does(void) {
  jt_store *store = make_store();
  job_id pending = create(store, "pending", 1), running = create(store, "running", 2);
  job_id other = create(store, "other", 3);
  jt_job *job;
  CHECK_CODE(cancel_job(store, &pending, ""), JT_OK);
  CHECK_CODE(get(store, &pending, &job), JT_OK);
  CHECK_INT(job->status, JT_FAILED);
  CHECK_INT(job->finished_at, job->updated_at);
  CHECK_INT(job->started_at, 0);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), text_of("cancelled: "));
  CHECK_TEXT(jt_job_part(job, JT_CANCEL), text_of(""));
  free(job);
  CHECK_CODE(cancel_job(store, &other, "out of ink"), JT_OK);
  CHECK_CODE(get(store, &other, &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), text_of("cancelled: out of ink"));
  CHECK_TEXT(jt_job_part(job, JT_CANCEL), text_of("out of ink"));
  free(job);
  CHECK_CODE(set_status(store, &running, JT_RUNNING), JT_OK);
  static char reason[JT_REASON_MAX];
  memset(reason, 'r', sizeof reason);
  CHECK_CODE(jt_cancel(store, running.text, running.length,
                       (jt_text){ reason, sizeof reason }), JT_OK);
  CHECK_CODE(get(store, &running, &job), JT_OK);
  CHECK_INT(job->status, JT_RUNNING);
  CHECK_INT(jt_job_part(job, JT_CANCEL).length, JT_REASON_MAX);
  free(job);
  CHECK_AUDIT(store);
  region_free(store);
}

static void a_cancelled_job_can_die_too(void) {
  mortal *m = mortal_make(make_store(), DEATH_KILL);
  jt_store view = region_view(m->store, true);
  mortal_gets(m, "job", 1);
  mortal_begin(m);
  work_a_little(m->store, &m->jobs[0]);
  CHECK_CODE(cancel_job(m->store, &m->jobs[0], "enough"), JT_OK);
  pid_t pid = m->process;
  mortal_end(m);
  for (int i = 0; i < 2; i++) {
    jt_job *job;
    CHECK_CODE(get(i == 0 ? &view : m->store, &m->jobs[0], &job), JT_OK);
    CHECK_TEXT(jt_job_part(job, JT_CANCEL), text_of("enough"));
    CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(pid, step));
    CHECK_TEXT(jt_job_part(job, JT_RESULT), text_of("[1]"));
    free(job);
  }
  CHECK_AUDIT(m->store);
  region_free(m->store);
}

static const check_case cases[] = {
  CASE(claiming_is_a_change), CASE(claiming_has_its_codes),
  CASE(a_living_owner_keeps_its_jobs), CASE(a_thread_is_an_owner_of_its_own),
  CASE(a_strangers_slot_is_not_ones_own), CASE(a_forked_child_owns_nothing),
  CASE(claim_and_have_dying_children),
  CASE(every_way_to_end), CASE(the_text_leaves_out_what_is_not_known),
  CASE(the_text_needs_its_room),
  CASE(what_is_shown_and_what_is_written_differ_in_version),
  CASE(who_finished_first_has_not_died_at_it),
  CASE(changing_calls_meet_a_failed_job), CASE(lists_and_counts_say_the_same),
  CASE(every_look_writes_off), CASE(who_waits_is_told_soon), CASE(cancelling_asks),
  CASE(cancelling_what_nobody_does), CASE(a_cancelled_job_can_die_too),
};
CHECK_MAIN(cases)
