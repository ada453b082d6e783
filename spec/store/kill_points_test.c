/*
** kill_points_test.c - a process killed at each of its stores into the region, by a
** real SIGKILL, and then everything compared by another process. The region may not be
** written: a store stops at the door, is counted, let through by itself (the
** processor's trap flag stops the process after one instruction), and the door is shut
** again. So no store escapes, the C library's neither, and the code is that of any
** build. At the chosen store the process dies instead, with the door open for what the
** kernel does to its mutexes.
**
** From each of these deaths another process recovers: one that has the file open too,
** and one that opens it alone. And one is killed in that in turn, before a third one
** recovers for good.
*/
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "runs.h"
#include "scenes.h"

#if defined __x86_64__

#define TRAP_FLAG 0x100

/* ---------------------------------------------------------------- the door */

static struct {
  unsigned char *first, *end;     /* whole pages */
  unsigned char *open[2];         /* a store may lie across two */
  volatile uint64_t left;         /* stores to be let through */
} door;

static unsigned char *page_of(void *at) {
  return (unsigned char *)((uintptr_t)at / JT_PAGE * JT_PAGE);
}

static void allow(unsigned char *from, unsigned char *to, int access) {
  if (mprotect(from, (size_t)(to - from), access) != 0) _exit(2);
}

static void set_trap(void *context, bool on) {
  greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
  *flags = on ? *flags | TRAP_FLAG : *flags & ~TRAP_FLAG;
}

static void at_the_door(int number, siginfo_t *info, void *context) {
  unsigned char *page = page_of(info->si_addr);
  (void)number;
  if (page < door.first || page >= door.end || door.open[1] != NULL) abort();
  if (door.open[0] == NULL && door.left-- == 0) {
    allow(door.first, door.end, PROT_READ | PROT_WRITE);
    kill(getpid(), SIGKILL);
  }
  door.open[door.open[0] != NULL] = page;
  allow(page, page + JT_PAGE, PROT_READ | PROT_WRITE);
  set_trap(context, true);
}

static void let_through(int number, siginfo_t *info, void *context) {
  (void)number, (void)info;
  set_trap(context, false);
  for (int i = 0; i < 2 && door.open[i] != NULL; i++) {
    allow(door.open[i], door.open[i] + JT_PAGE, PROT_READ);
    door.open[i] = NULL;
  }
}

static void shut_the_door(jt_store *store, uint64_t stores) {
  struct sigaction stop = { .sa_sigaction = at_the_door, .sa_flags = SA_SIGINFO };
  struct sigaction step = { .sa_sigaction = let_through, .sa_flags = SA_SIGINFO };
  sigaction(SIGSEGV, &stop, NULL);
  sigaction(SIGTRAP, &step, NULL);
  door.first = page_of(store->base);
  door.end = store->base + store->geometry.size;   /* of a page, see region.h */
  door.left = stores;
  allow(door.first, door.end, PROT_READ);
}

/* -------------------------------------------------------------- the killed */

typedef void (*deed)(const scene *s);

typedef struct victim {
  const scene *scene;
  deed deed;
  uint64_t stores;                /* that it makes before it is killed */
} victim;

static void live(void *context) {
  const victim *v = context;
  shut_the_door(v->scene->store, v->stores);
  v->deed(v->scene);
  allow(door.first, door.end, PROT_READ | PROT_WRITE);
}

/* False: it was done before it had made so many. */
static bool kill_at(const scene *s, deed what, uint64_t stores, pid_t *dead) {
  victim v = { s, what, stores };
  int status;
  *dead = check_fork(live, &v);
  status = check_join(*dead, CHECK_SECONDS);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
  CHECK_INT(status, 0);
  return false;
}

static void call(const scene *s) {
  s->trial->call(s);
}

static void recover(const scene *s) {
  scene_recover(s, s->store);
}

/* ---------------------------------------------------------------- once, twice */

typedef struct count {
  uint64_t once, alone, twice;    /* alone: of those who were, see next_of_many */
} count;

/* Of how many kills one is followed by those in the recovery; with a JT_TEST_SCALE as
   large as RUNS_KILLED_TWICE it is each of them. */
static uint64_t stride(void) {
  uint64_t times = check_times(1);
  return times < RUNS_KILLED_TWICE ? RUNS_KILLED_TWICE / times : 1;
}

/* Who is alone makes hundreds of mutexes anew, one like the other: not each store of
   that is tried. Nor each of any, under a sanitizer: what it looks at is how the recovery
   treats its memory. */
static uint64_t next_of_many(const scene *s, uint64_t many) {
  if (s->trial->alone) return 1 + check_below(many);
  return CHECK_SANITIZED ? 1 + check_below(6) : 1;
}

/* The one who recovers is killed at each store of its own. Its region is as 'ruin'
   at the beginning, and the first one to die is 'dead'. */
static void kill_again(const scene *s, const jt_store *ruin, pid_t dead, count *killed) {
  pid_t second;
  for (uint64_t stores = 0; check_failures() == 0; stores += next_of_many(s, 256)) {
    region_copy(s->store, ruin);
    if (!kill_at(s, recover, stores, &second)) return;
    scene_check_recovery(s, s->store, dead);
    killed->twice++;
    if (check_failures() > 0)
      check_say("killed again, after %llu stores", (unsigned long long)stores);
  }
}

/* What has once become new never is old again. */
static void check_progress(const scene *s, unsigned *changed) {
  unsigned now = scene_changed(s, s->store);
  CHECK_INT(*changed & ~now, 0);
  *changed = now;
}

static void kill_everywhere(const scene *s, count *killed) {
  jt_store *start = region_clone(s->store), *ruin = region_clone(s->store);
  unsigned changed = 0;
  pid_t dead;
  for (uint64_t stores = 0; check_failures() == 0; stores += next_of_many(s, stride())) {
    region_copy(s->store, start);
    if (!kill_at(s, call, stores, &dead)) break;
    check_progress(s, &changed);
    region_copy(ruin, s->store);
    scene_check_recovery(s, s->store, dead);
    region_copy(s->store, ruin);
    scene_check_beginning(s, s->store, dead);
    if (s->trial->alone) killed->alone++;
    else killed->once++;
    if (check_below(stride()) == 0) kill_again(s, ruin, dead, killed);
    if (check_failures() > 0)
      check_say("in %s: killed after %llu stores", s->trial->name,
                (unsigned long long)stores);
  }
  scene_check_returned(s, s->store, dead);
  region_free(start);
  region_free(ruin);
}

static void killed_at_every_store(void) {
  count killed = { 0, 0, 0 };
  for (size_t i = 0; i < trial_count && check_failures() == 0; i++) {
    scene s = scene_make(&trials[i]);
    uint64_t before = killed.once + killed.alone;
    kill_everywhere(&s, &killed);
    CHECK(killed.once + killed.alone > before + (CHECK_SANITIZED ? 0 : 3));
    scene_free(&s);
  }
  check_prove(PROVE_KILLED, "SIGKILL at every store", killed.once);
  check_prove(PROVE_KILLED, "SIGKILL at stores of an opening, alone", killed.alone);
  check_prove(PROVE_KILLED, "SIGKILL at stores of the recovery from that", killed.twice);
  CHECK(killed.once > (CHECK_SANITIZED ? 200 : 800));
  CHECK(killed.twice > (CHECK_SANITIZED ? 50 : 400));
}

#else

static void killed_at_every_store(void) {
  check_skip("how to step over a store is known for x86-64 only");
}

#endif

static const check_case cases[] = { { "killed_at_every_store", killed_at_every_store,
                                      120 } };
CHECK_MAIN(cases)
