/*
** peer_redis.c - jobs in Redis, each a hash, by hiredis over a unix socket: a Lua
** module, built for both ABIs. The server keeps nothing on disk (see 'run').
**
** It is spared what our store does besides: nothing but the job's status is checked,
** and between the reading and the writing of an update another one may come.
*/
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

__attribute__((visibility("default"))) int luaopen_peer_redis(lua_State *L);

static redisContext *connection;
static clockid_t server_clock;

/* connect(path, pid): to the server of that process. */
static int connect_to(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  pid_t server = (pid_t)luaL_checkinteger(L, 2);
  connection = redisConnectUnix(path);
  if (connection == NULL || connection->err != 0)
    return luaL_error(L, "Redis: cannot connect to %s", path);
  if (clock_getcpuclockid(server, &server_clock) != 0)
    return luaL_error(L, "Redis: no process %d", (int)server);
  return 0;
}

static double read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Nanoseconds that client and server have computed, together: the one waits while
   the other does, so by the clock a call takes that long at least. */
static int cpu_time(lua_State *L) {
  lua_pushnumber(L, read_clock(CLOCK_PROCESS_CPUTIME_ID) + read_clock(server_clock));
  return 1;
}

/* ---------------------------------------------------------------- commands */

enum { WORDS = 16 };   /* at most */

typedef struct command {
  int count;
  const char *word[WORDS];
  size_t length[WORDS];
} command;

static void add(command *to, const char *word, size_t length) {
  to->word[to->count] = word;
  to->length[to->count++] = length;
}

static void add_text(command *to, const char *text) {
  add(to, text, strlen(text));
}

/* The value of argument 'index', a string, of the calling Lua function. */
static void add_argument(lua_State *L, command *to, int index) {
  size_t length;
  const char *text = luaL_checklstring(L, index, &length);
  add(to, text, length);
}

/* The answer, of this type, is the caller's to free. */
static redisReply *ask(lua_State *L, const command *what, int type) {
  redisReply *reply =
    redisCommandArgv(connection, what->count, (const char **)(uintptr_t)what->word,
                     what->length);
  if (reply == NULL) luaL_error(L, "Redis: %s", connection->errstr);
  if (reply->type != type) luaL_error(L, "Redis: another answer than expected");
  return reply;
}

static void write_time(char text[32]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(text, 32, "%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* ------------------------------------------------------------------- calls */

static int create_job(lua_State *L) {
  char now[32];
  command set = { 0 };
  write_time(now);
  add_text(&set, "HSET");
  add_argument(L, &set, 1);
  add_text(&set, "task_type"), add_text(&set, "chapter");
  add_text(&set, "status"), add_text(&set, "pending");
  add_text(&set, "progress"), add_text(&set, "0");
  add_text(&set, "current_step"), add_text(&set, "Initializing");
  add_text(&set, "created_at"), add_text(&set, now);
  add_text(&set, "updated_at"), add_text(&set, now);
  freeReplyObject(ask(L, &set, REDIS_REPLY_INTEGER));
  return 0;
}

static redisReply *ask_for_job(lua_State *L) {
  command get = { 0 };
  add_text(&get, "HGETALL");
  add_argument(L, &get, 1);
  return ask(L, &get, REDIS_REPLY_ARRAY);
}

static const redisReply *find_field(const redisReply *job, const char *name) {
  for (size_t i = 0; i + 1 < job->elements; i += 2)
    if (strcmp(job->element[i]->str, name) == 0) return job->element[i + 1];
  return NULL;
}

/* get_job(id): a table of the fields, progress as a number. nil: no such job. */
static int get_job(lua_State *L) {
  redisReply *job = ask_for_job(L);
  if (job->elements > 0) lua_createtable(L, 0, (int)job->elements / 2);
  else lua_pushnil(L);
  for (size_t i = 0; i + 1 < job->elements; i += 2) {
    const redisReply *name = job->element[i], *value = job->element[i + 1];
    lua_pushlstring(L, value->str, value->len);
    if (strcmp(name->str, "progress") == 0) {
      lua_pushnumber(L, lua_tonumber(L, -1));
      lua_replace(L, -2);
    }
    lua_setfield(L, -2, name->str);
  }
  freeReplyObject(job);
  return 1;
}

/* set_fields(id, { progress =, current_step = }): one HSET, whatever was there. */
static int set_fields(lua_State *L) {
  char progress[32], now[32];
  command set = { 0 };
  lua_settop(L, 2);
  lua_getfield(L, 2, "progress");
  lua_getfield(L, 2, "current_step");
  snprintf(progress, sizeof progress, "%.17g", luaL_checknumber(L, 3));
  write_time(now);
  add_text(&set, "HSET");
  add_argument(L, &set, 1);
  add_text(&set, "progress"), add_text(&set, progress);
  add_text(&set, "current_step"), add_argument(L, &set, 4);
  add_text(&set, "updated_at"), add_text(&set, now);
  freeReplyObject(ask(L, &set, REDIS_REPLY_INTEGER));
  lua_pushboolean(L, 1);
  return 1;
}

static bool is_finished(const redisReply *status) {
  return strcmp(status->str, "completed") == 0 || strcmp(status->str, "failed") == 0;
}

/* update_job: reads the job first, to refuse what is unknown or finished. */
static int update_job(lua_State *L) {
  redisReply *job = ask_for_job(L);
  const redisReply *status = find_field(job, "status");
  bool refused = status == NULL || is_finished(status);
  freeReplyObject(job);
  return refused ? 0 : set_fields(L);
}

int luaopen_peer_redis(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "connect", connect_to }, { "cpu_time", cpu_time }, { "create_job", create_job },
    { "get_job", get_job }, { "set_fields", set_fields }, { "update_job", update_job },
    { NULL, NULL },
  };
  lua_createtable(L, 0, 6);
  for (const luaL_Reg *at = functions; at->name != NULL; at++) {
    lua_pushcfunction(L, at->func);
    lua_setfield(L, -2, at->name);
  }
  return 1;
}
