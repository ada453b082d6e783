/*
** deaths.c - see deaths.h.
*/
#include "deaths.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/owner.h"

const char *const death_names[DEATHS] = { "exit", "_exit", "kill -9", "abort", "exec",
                                          "the thread's end" };

mortal *mortal_make(jt_store *store, death how) {
  mortal *m = check_shared(sizeof *m);
  m->store = store;
  m->how = how;
  return m;
}

void mortal_gets(mortal *m, const char *type, uint32_t number) {
  m->jobs[m->count++] = create(m->store, type, number);
}

static void claim_all(mortal *m) {
  for (int i = 0; i < m->count; i++)
    CHECK_CODE(claim_job(m->store, &m->jobs[i]), JT_OK);
  atomic_store(&m->claimed, 1);
  CHECK_AWAIT(&m->may_die, 1);
}

static void *claim_in_a_thread(void *context) {
  claim_all(context);
  return NULL;
}

/* The thread that claims is not the process's first one. */
static void live_on_without_a_thread(mortal *m) {
  pthread_t thread;
  CHECK_INT(pthread_create(&thread, NULL, claim_in_a_thread, m), 0);
  CHECK_INT(pthread_join(thread, NULL), 0);
  atomic_store(&m->may_die, 2);
  for (;;) pause();
}

static void live(void *context) {
  mortal *m = context;
  if (m->how == DEATH_THREAD) live_on_without_a_thread(m);
  claim_all(m);
  switch (m->how) {
    case DEATH_EXIT: exit(0);
    case DEATH_UNDERSCORE_EXIT: _exit(0);
    case DEATH_ABORT: abort();
    case DEATH_EXEC: execlp("sleep", "sleep", "1000", (char *)NULL); _exit(1);
    default: for (;;) pause();
  }
}

void mortal_begin(mortal *m) {
  m->process = check_fork(live, m);
  CHECK_AWAIT(&m->claimed, 1);
}

static void join(mortal *m) {
  int status;
  CHECK_INT(waitpid(m->process, &status, 0), m->process);
  m->process = 0;
}

/* What tells that the process has become another program: its name. */
static bool has_become_sleep(pid_t process) {
  char path[64], name[32] = "";
  snprintf(path, sizeof path, "/proc/%d/comm", (int)process);
  FILE *file = fopen(path, "r");
  bool read = file != NULL && fgets(name, sizeof name, file) != NULL;
  if (file != NULL) fclose(file);
  return read && strcmp(name, "sleep\n") == 0;
}

static void await_exec(mortal *m) {
  double limit = check_now() + CHECK_SECONDS;
  while (!has_become_sleep(m->process) && check_now() < limit) check_pause(0.0005);
  CHECK(has_become_sleep(m->process));
}

void mortal_end(mortal *m) {
  atomic_store(&m->may_die, 1);
  switch (m->how) {
    case DEATH_EXEC: await_exec(m); break;
    case DEATH_THREAD: CHECK_AWAIT(&m->may_die, 2); break;
    case DEATH_KILL: kill(m->process, SIGKILL); join(m); break;
    default: join(m);
  }
}

void mortal_clear(mortal *m) {
  if (m->process != 0) check_kill(m->process);
  m->process = 0;
}

job_id orphan_make(jt_store *store, const char *type, uint32_t number) {
  mortal *m = mortal_make(store, DEATH_KILL);
  mortal_gets(m, type, number);
  mortal_begin(m);
  mortal_end(m);
  return m->jobs[0];
}

jt_text epitaph_of(pid_t pid, const char *step) {
  static char text[JT_EPITAPH_MAX];
  snprintf(text, sizeof text, "the process working on this job (pid %d) died during: %s",
           (int)pid, step);
  return text_of(text);
}

uint32_t dead_in(jt_store *store) {
  uint64_t version;
  uint32_t dead;
  jt_store_pulse(store, &version, &dead);
  return dead;
}

jt_status status_of(jt_store *store, const job_id *id) {
  jt_job *job;
  if (!CHECK_CODE(get(store, id, &job), JT_OK)) return JT_STATUSES;
  jt_status status = job->status;
  free(job);
  return status;
}
