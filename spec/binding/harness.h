/*
** harness.h - what the tests of the binding share: a count of what passed, a
** folder that goes away, and Lua states with the module linked in.
*/
#ifndef JT_HARNESS_H
#define JT_HARNESS_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

int luaopen_job_tracker(lua_State *L);

/* Counts a test and, where it failed, says so. From one thread only. */
void test_result(bool passed, const char *name, const char *detail);

/* Counts a test that cannot be made here, and says why. */
void test_skip(const char *name, const char *why);

/* Prints a row for the table of spec/prove/run, as check_prove does
   (spec/store/check.h). */
void test_prove(const char *promise, const char *method, unsigned long long tried);

/* Prints the closing line; returns the program's exit code. */
int test_close(void);

/* A new folder for store files; the same one at every call. */
const char *test_folder(void);

/* Removes it and what is in it. */
void test_remove_folder(void);

/* Opens Lua's own libraries (and turns LuaJIT's compiler off: what it allocates
   depends on what ran before), and sets the globals 'job_tracker' and 'folder'.
   Raises what goes wrong. */
int test_open_state(lua_State *L);

/* Compiles Lua source and pushes the function; ends the program on an error in
   the source. */
void test_compile(lua_State *L, const char *source);

#endif
