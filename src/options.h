/*
** options.h - the option tables of list_jobs, list_changes, wait_job, open and
** configure, checked and in the store's units, and the values that other calls take too.
** All functions raise what is wrong. It knows no store but the shape of its
** options.
*/
#ifndef JT_OPTIONS_H
#define JT_OPTIONS_H

#include "compat.h"
#include "store/store.h"

typedef struct jt_list_options {
  jt_filter filter;
  size_t limit;          /* SIZE_MAX: none */
} jt_list_options;

typedef struct jt_wait_options {
  int64_t timeout;       /* microseconds, or JT_FOREVER */
  bool has_after;
  uint64_t after;
} jt_wait_options;

/* The status that the value at 'index' names. */
jt_status jt_read_status(lua_State *L, int index, const char *call);

/* The task type at 'index'. The text belongs to the value there. */
jt_text jt_read_task_type(lua_State *L, int index, const char *call);

/* The version at 'index', the argument 'name': a store's or a job's, as 'what' says. */
uint64_t jt_read_version(lua_State *L, int index, const char *call,
                         const char *name, const char *what);

/* The reason to cancel at 'index', or what stands for none. The text belongs to
   the value there. */
jt_text jt_read_reason(lua_State *L, int index, const char *call);

/* Each reads the table at 'index' (all but configure's may be absent) and leaves
   the values on the stack, where the texts live. */
void jt_options_read_list(lua_State *L, int index, jt_list_options *out);
void jt_options_read_changes(lua_State *L, int index, jt_list_options *out);
void jt_options_read_wait(lua_State *L, int index, jt_wait_options *out);
void jt_options_read_open(lua_State *L, int index, jt_options *out);
void jt_options_read_configure(lua_State *L, int index, jt_options *out);

#endif
