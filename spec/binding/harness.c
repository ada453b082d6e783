/*
** harness.c - see harness.h.
*/
#include "harness.h"

#include <dirent.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int passed, failed, skipped;
static char folder[256];

void test_result(bool ok, const char *name, const char *detail) {
  if (ok) passed++;
  else failed++;
  if (!ok) printf("FAILED %s: %s\n", name, detail == NULL ? "?" : detail);
  fflush(stdout);
}

void test_skip(const char *name, const char *why) {
  skipped++;
  printf("skipped %s: %s\n", name, why);
}

void test_prove(const char *promise, const char *method, unsigned long long tried) {
  printf("prove\t%s\t%s\t%llu\t%d\n", promise, method, tried, failed);
}

int test_close(void) {
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const char *test_folder(void) {
  const char *base = getenv("TMPDIR");
  if (folder[0] != '\0') return folder;
  snprintf(folder, sizeof folder, "%s/job_tracker_test.XXXXXX",
           base != NULL && base[0] != '\0' ? base : "/tmp");
  if (mkdtemp(folder) == NULL) {
    perror(folder);
    exit(EXIT_FAILURE);
  }
  return folder;
}

void test_remove_folder(void) {
  DIR *dir = opendir(test_folder());
  struct dirent *entry;
  if (dir == NULL) return;
  while ((entry = readdir(dir)) != NULL)
    if (entry->d_name[0] != '.') unlinkat(dirfd(dir), entry->d_name, 0);
  closedir(dir);
  rmdir(folder);
}

int test_open_state(lua_State *L) {
  luaL_openlibs(L);
  if (luaL_dostring(L, "if jit then jit.off() end")) return lua_error(L);
  lua_pushcfunction(L, luaopen_job_tracker);
  lua_call(L, 0, 1);
  lua_setglobal(L, "job_tracker");
  lua_pushstring(L, test_folder());
  lua_setglobal(L, "folder");
  return 0;
}

void test_compile(lua_State *L, const char *source) {
  if (luaL_loadbuffer(L, source, strlen(source), "=test") == 0) return;
  fprintf(stderr, "%s\nin: %s\n", lua_tostring(L, -1), source);
  exit(EXIT_FAILURE);
}
