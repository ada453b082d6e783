/*
** memory_cases.h - the calls that lua_memory_test.c makes without enough memory, as
** Lua programs. Every call of the API is among them.
*/
#ifndef JT_MEMORY_CASES_H
#define JT_MEMORY_CASES_H

/* What every case may use. 'tracker', set before, is the one under test. */
extern const char memory_prelude[];

typedef struct call_case {
  const char *name;      /* NULL: behind the last one */
  const char *prepare;   /* before each attempt; sets globals */
  const char *call;      /* runs out of memory; returns something */
  const char *check;     /* of a call that returned: its results are '...' */
} call_case;

extern const call_case memory_cases[];

#endif
