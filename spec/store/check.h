/*
** check.h - the harness of the store's C tests: named cases, checks that print
** what they saw, children with deadlines, random numbers. Knows no store but
** for the names of its codes.
**
** Each case runs in a process of its own and in a process group of its own: one
** that crashes, hangs or leaks is a failed case, and the others go on. A check
** that fails prints the place, the expression and the values, and is counted;
** the case goes on unless it looks at what the check returned.
**
** From the environment:
**   JT_TEST_SEED    of all random numbers; it is printed
**   JT_TEST_SCALE   how many times as much is to be run (1; runs.h)
*/
#ifndef CHECK_H
#define CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

/* 1 under a sanitizer that takes over the C library's memory. */
#if defined __has_feature
#define CHECK_HAS(feature) __has_feature(feature)
#else
#define CHECK_HAS(feature) 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || \
    CHECK_HAS(address_sanitizer) || CHECK_HAS(thread_sanitizer)
#define CHECK_SANITIZED 1
#else
#define CHECK_SANITIZED 0
#endif

/* ------------------------------------------------------------------- cases */

typedef struct check_case {
  const char *name;
  void (*run)(void);
  double seconds;                 /* its deadline, by JT_TEST_SCALE if that is more
                                     than 1; 0: CHECK_SECONDS */
} check_case;

#define CHECK_SECONDS 60.0
#define CASE(function) { #function, function, 0 }

/* Runs all cases, or those that the arguments name, prints the closing line;
   what it returns is for main to return. */
int check_main(int argc, char **argv, const check_case *cases, size_t count);
#define CHECK_MAIN(cases) \
  int main(int argc, char **argv) { \
    return check_main(argc, argv, cases, sizeof cases / sizeof cases[0]); \
  }

/* Ends the case as skipped. */
_Noreturn void check_skip(const char *format, ...)
  __attribute__((format(printf, 1, 2)));

/* Prints a line of what a case found out. */
void check_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
** Prints what a case has tried, and how many checks failed at that, as a row for the
** table of spec/prove/run: "prove", what is promised, how that was tried to be refuted,
** how often, and the failures, with tabs in between.
*/
void check_prove(const char *promise, const char *method, uint64_t tried);

/* What the store promises. */
#define PROVE_WHOLE "a reader sees whole jobs"
#define PROVE_KEPT "a returned update is never lost"
#define PROVE_KILLED "a kill stops nobody and corrupts nothing"
#define PROVE_REFUSED "what the system refuses is an error, and no more"
#define PROVE_CLOCK "a clock that is set back does no harm"
#define PROVE_REBOOTED "after a reboot damage is counted, the rest served"

/* ------------------------------------------------------------------ checks */

typedef struct check_place {
  const char *file;
  int line;
} check_place;

#define CHECK_HERE ((check_place){ __FILE__, __LINE__ })

/* Each returns whether the check held. */
#define CHECK(expression) check_true((expression), #expression, CHECK_HERE)
#define CHECK_INT(actual, expected) \
  check_int((intmax_t)(actual), (intmax_t)(expected), #actual, #expected, CHECK_HERE)
#define CHECK_CODE(actual, expected) \
  check_code((actual), (expected), #actual, CHECK_HERE)
#define CHECK_TEXT(actual, expected) \
  check_text((actual), (expected), #actual, CHECK_HERE)
#define CHECK_NOT_HERE(why) check_not_here((why), CHECK_HERE)   /* always fails */
/* 'fault' is NULL or says in words what is wrong. */
#define CHECK_NO(fault) check_no((fault), #fault, CHECK_HERE)

bool check_true(bool held, const char *expression, check_place place);
bool check_int(intmax_t actual, intmax_t expected, const char *left,
               const char *right, check_place place);
bool check_code(jt_code actual, jt_code expected, const char *expression,
                check_place place);
bool check_text(jt_text actual, jt_text expected, const char *expression,
                check_place place);
bool check_not_here(const char *why, check_place place);
bool check_no(const char *fault, const char *expression, check_place place);

/* How many checks have failed in this process. */
unsigned check_failures(void);

/* ---------------------------------------------------------------- children */

/* Forks a child that runs the function and exits with 1 if a check failed in
   it, else 0. It dies with its parent. */
pid_t check_fork(void (*run)(void *), void *context);

/* Waits for the child; its status as waitpid tells it. One that is not done by
   then is a failure: it is killed, and the status is that. */
int check_join(pid_t child, double seconds);

/* check_join for a child that must exit with 0. */
#define CHECK_JOIN(child) check_join_well((child), CHECK_HERE)
bool check_join_well(pid_t child, check_place place);

/* Kills it with SIGKILL and waits for it. */
void check_kill(pid_t child);

/* Zeroed memory, to be freed; the case ends if there is none. */
void *check_memory(size_t bytes);

/* Zeroed memory shared with children; never freed. */
void *check_shared(size_t bytes);

/* Waits until the shared word is at least that. False, and a failure: it is not
   within CHECK_SECONDS. */
#define CHECK_AWAIT(word, value) check_await((word), (value), #word, CHECK_HERE)
bool check_await(const _Atomic uint32_t *word, uint32_t value,
                 const char *expression, check_place place);

/* Waits until the process sleeps in the kernel. */
bool check_await_sleeping(pid_t process);

/* Sleeps, where the length of a pause is what is tested. */
void check_pause(double seconds);

/* ------------------------------------------------------------------ others */

/* The case's own folder, removed with all that is in it when the case ends. */
const char *check_folder(void);

/* "<folder>/<name>", in a place of its own for each of the last few calls. */
const char *check_path(const char *name);

/* Makes that folder a tmpfs of so many MiB, in a mount namespace of the case's own: gone
   when the case ends, however it ends. Skips where that is not permitted. */
void check_mount(const char *path, unsigned mebibytes);

double check_now(void);           /* seconds of a clock that never jumps */

/* 'times' by JT_TEST_SCALE, and less under a sanitizer; at least 1. */
uint64_t check_times(uint64_t times);

uint64_t check_random(void);
uint64_t check_below(uint64_t limit);   /* 0 to limit - 1 */
/* For a thread, or a child that is to draw others than its siblings. */
uint64_t check_random_from(uint64_t *state);
void check_reseed(uint64_t number);

#endif
