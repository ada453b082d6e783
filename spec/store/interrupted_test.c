/*
** interrupted_test.c - a reader that is interrupted between two of its loads, while the
** owner of the job comes to an end. The reader's pages may not be read: when it
** touches the first one of the slots (or the cells, the heap, the header), the end
** comes, and then it goes on. The owner's end is played: what the kernel writes when a
** thread dies is written by hand.
*/
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "audit.h"
#include "deaths.h"
#include "store/owner.h"

enum { FIRST_PID = 111111, SECOND_PID = 222222, SIZE = 1 << 20, MAX_JOBS = 4000 };

typedef struct scene {
  jt_store *store, *reader;       /* two mappings of one file */
  job_id id;
} scene;

static void set_word(jt_store *store, uint32_t word) {
  memcpy(&store->slots[0].life, &word, sizeof word);
}

/* Slot 1 is this thread's, without its C library knowing of it. */
static job_id play_a_claim(jt_store *store, const char *type, uint32_t pid) {
  set_word(store, (uint32_t)gettid());
  atomic_store(&store->slots[0].state, JT_SLOT_USED);
  atomic_store(&store->slots[0].pid, (uint32_t)getpid());
  job_id id = create_claimed(store, type, 1);
  CHECK_INT(jt_owner_self(store), 1);
  atomic_store(&store->slots[0].pid, pid);
  return id;
}

static void play_a_death(jt_store *store) {
  set_word(store, FUTEX_OWNER_DIED);
}

static void make_scene(scene *s, bool readonly) {
  unlink(check_path("store"));
  s->store = file_store("store", SIZE, MAX_JOBS);
  s->reader = file_open(check_path("store"), readonly);
  s->id = play_a_claim(s->store, "job", FIRST_PID);
  CHECK_CODE(set_status(s->store, &s->id, JT_RUNNING), JT_OK);
}

static void end_scene(scene *s) {
  jt_store_close(s->store);
  jt_store_close(s->reader);
}

/* ----------------------------------------------------------- the interruptions */

static void finishes_and_dies(scene *s) {
  CHECK_CODE(set_status(s->store, &s->id, JT_COMPLETED), JT_OK);
  play_a_death(s->store);
}

static void check_finished(const jt_job *job) {
  CHECK(job->status == JT_RUNNING || job->status == JT_COMPLETED);
  CHECK(jt_job_part(job, JT_ERROR).bytes == NULL);
}

static void dies(scene *s) {
  play_a_death(s->store);
}

static void check_died(const jt_job *job) {
  if (job->status == JT_RUNNING) return;
  CHECK_INT(job->status, JT_FAILED);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), epitaph_of(FIRST_PID, "Initializing"));
}

/* And another takes its slot, for another job. */
static void dies_and_is_replaced(scene *s) {
  play_a_death(s->store);
  uint64_t version;
  uint32_t dead;
  jt_store_pulse(s->store, &version, &dead);
  CHECK_INT(atomic_load(&s->store->slots[0].state), JT_SLOT_FREE);
  play_a_claim(s->store, "other", SECOND_PID);
}

/* The other one dies as well. */
static void two_die_in_one_slot(scene *s) {
  dies_and_is_replaced(s);
  play_a_death(s->store);
}

typedef struct interruption {
  const char *name;
  void (*happens)(scene *s);
  void (*check)(const jt_job *job);
} interruption;

static const interruption interruptions[] = {
  { "finishes and dies", finishes_and_dies, check_finished },
  { "dies", dies, check_died },
  { "dies and is replaced", dies_and_is_replaced, check_died },
  { "dies, as does who replaced it", two_die_in_one_slot, check_died },
};

/* ------------------------------------------------------------------ the reader */

/* Whole pages of the reader's mapping. */
typedef struct part {
  const char *name;
  size_t from, to;
} part;

static struct {
  scene *scene;
  const interruption *what;
  unsigned char *from;
  size_t bytes;
  int access;
  volatile sig_atomic_t happened;
} next;

/* In the midst of a load of the reader's, which holds no lock: all may be done here but
   what allocates. */
static void touched(int signal, siginfo_t *info, void *context) {
  (void)context;
  unsigned char *at = info->si_addr;
  if (next.happened || at < next.from || at >= next.from + next.bytes) abort();
  (void)signal;
  next.happened = 1;
  mprotect(next.from, next.bytes, next.access);
  next.what->happens(next.scene);
}

static void look_by_get(scene *s, const interruption *what) {
  jt_job *job;
  if (CHECK_CODE(get(s->reader, &s->id, &job), JT_OK)) what->check(job);
  free(job);
}

/* These copy nothing, and so have one look less at the cell. */
static void look_by_list(scene *s, const interruption *what) {
  static const jt_filter failed = { JT_FAILED, { "job", 3 }, 0 };
  jt_key key;
  size_t count;
  CHECK_CODE(jt_list(s->reader, &failed, &key, 1, &count), JT_OK);
  if (what->happens == finishes_and_dies) CHECK_INT(count, 0);
}

static void (*const looks[])(scene *s, const interruption *what) = { look_by_get,
                                                                      look_by_list };

static void interrupt_at(const part *where, const interruption *what, bool readonly,
                         int look) {
  unsigned failures = check_failures();
  scene s;
  make_scene(&s, readonly);
  next.scene = &s;
  next.what = what;
  next.from = s.reader->base + where->from;
  next.bytes = where->to - where->from;
  next.access = readonly ? PROT_READ : PROT_READ | PROT_WRITE;
  next.happened = 0;
  CHECK_INT(mprotect(next.from, next.bytes, PROT_NONE), 0);
  looks[look](&s, what);
  CHECK(next.happened);
  if (check_failures() > failures)
    check_say("%s when a %s reader touched the %s", what->name,
              readonly ? "read-only" : "writing", where->name);
  end_scene(&s);
}

static size_t page_after(size_t offset) {
  return (offset + JT_PAGE - 1) / JT_PAGE * JT_PAGE;
}

static void while_a_reader_looks(void) {
  jt_geometry g;
  CHECK(jt_geometry_make(SIZE, MAX_JOBS, &g, NULL));
  const part parts[] = {
    { "header", 0, JT_PAGE },
    { "slots", 2 * JT_PAGE, g.cells_at },
    { "cells", g.cells_at, g.scratch_at / JT_PAGE * JT_PAGE },
    { "heap", page_after(g.bitmap_at), SIZE }
  };
  struct sigaction action = { .sa_sigaction = touched,
                              .sa_flags = SA_SIGINFO | SA_NODEFER };
  CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    for (size_t k = 0; k < sizeof interruptions / sizeof interruptions[0]; k++)
      /* A list does not look into the header. */
      for (int n = 0; n < (i == 0 ? 2 : 4); n++)
        interrupt_at(&parts[i], &interruptions[k], n & 1, n >> 1);
}

static const check_case cases[] = { CASE(while_a_reader_looks) };
CHECK_MAIN(cases)
