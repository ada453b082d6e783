/*
** options.c - see options.h.
*/
#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "schema.h"

/* Longer than any process runs: a time beyond it is for ever. */
#define AGES 1e12   /* seconds */

/* ------------------------------------------------------------ single values */

jt_status jt_read_status(lua_State *L, int index, const char *call) {
  const char *name = jt_to_c_string(L, index);
  for (jt_status status = 0; name != NULL && status < JT_STATUSES; status++)
    if (strcmp(name, jt_status_name(status)) == 0) return status;
  jt_misuse(L, index, call, "status",
            "\"pending\", \"running\", \"completed\" or \"failed\"");
  return JT_STATUSES;
}

jt_text jt_read_task_type(lua_State *L, int index, const char *call) {
  jt_text type = { NULL, 0 };
  if (lua_type(L, index) == LUA_TSTRING)
    type.bytes = lua_tolstring(L, index, &type.length);
  if (type.bytes == NULL || !jt_type_valid(type.bytes, type.length))
    jt_misuse(L, index, call, "task_type",
              "1 to 64 characters of A-Z a-z 0-9 . _ ~ -");
  return type;
}

uint64_t jt_read_version(lua_State *L, int index, const char *call,
                         const char *name, const char *what) {
  int64_t version = -1;
  if (!jt_to_integer(L, index, &version) || version < 0)
    jt_misuse(L, index, call, name, what);
  return (uint64_t)version;
}

static const char no_reason[] = "on request";

jt_text jt_read_reason(lua_State *L, int index, const char *call) {
  jt_text reason = { no_reason, sizeof no_reason - 1 };
  if (lua_isnoneornil(L, index)) return reason;
  if (lua_type(L, index) != LUA_TSTRING)
    jt_misuse(L, index, call, "reason", "a string");
  reason.bytes = lua_tolstring(L, index, &reason.length);
  if (reason.length > JT_REASON_MAX)
    luaL_error(L, "%s: reason must be at most %d bytes, got %d", call,
               (int)JT_REASON_MAX, (int)reason.length);
  return reason;
}

/* A number of seconds as microseconds, or 'unlimited' for a very large one. */
static int64_t read_seconds(lua_State *L, const char *call, const char *what,
                            int64_t unlimited) {
  lua_Number seconds = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(seconds >= 0))
    jt_misuse(L, -1, call, what, "a number of seconds, 0 or more");
  return seconds < AGES ? (int64_t)(seconds * 1e6) : unlimited;
}

static int64_t read_positive(lua_State *L, const char *call, const char *what) {
  int64_t value = 0;
  if (!jt_to_integer(L, -1, &value) || value < 1)
    jt_misuse(L, -1, call, what, "an integer, 1 or more");
  return value;
}

/* ------------------------------------------------ list_jobs, list_changes */

static void list_status(lua_State *L, const char *call, void *out) {
  ((jt_list_options *)out)->filter.status = (int)jt_read_status(L, -1, call);
}

static void list_task_type(lua_State *L, const char *call, void *out) {
  ((jt_list_options *)out)->filter.type = jt_read_task_type(L, -1, call);
}

static void list_limit(lua_State *L, const char *call, void *out) {
  ((jt_list_options *)out)->limit = (size_t)read_positive(L, call, "limit");
}

static void list_before(lua_State *L, const char *call, void *out) {
  int64_t before = 0;
  if (!jt_to_integer(L, -1, &before) || before < 1)
    jt_misuse(L, -1, call, "before",
              "an integer, the second result of list_jobs");
  ((jt_list_options *)out)->filter.before = (uint64_t)before;
}

static const jt_list_options everything = {
  .filter = { .status = -1 }, .limit = SIZE_MAX
};

void jt_options_read_list(lua_State *L, int index, jt_list_options *out) {
  static const jt_name names[] = {
    { "status", list_status }, { "task_type", list_task_type },
    { "limit", list_limit }, { "before", list_before }
  };
  static const jt_schema schema = JT_SCHEMA(names);
  *out = everything;
  jt_schema_read_optional(L, index, "list_jobs", &schema, out);
}

void jt_options_read_changes(lua_State *L, int index, jt_list_options *out) {
  static const jt_name names[] = { { "limit", list_limit } };
  static const jt_schema schema = JT_SCHEMA(names);
  *out = everything;
  jt_schema_read_optional(L, index, "list_changes", &schema, out);
}

/* --------------------------------------------------------------- wait_job */

static void wait_timeout(lua_State *L, const char *call, void *out) {
  ((jt_wait_options *)out)->timeout =
    read_seconds(L, call, "timeout", JT_FOREVER);
}

static void wait_after(lua_State *L, const char *call, void *out) {
  jt_wait_options *options = out;
  options->has_after = true;
  options->after = jt_read_version(L, -1, call, "after",
                                   "a job's version, an integer");
}

void jt_options_read_wait(lua_State *L, int index, jt_wait_options *out) {
  static const jt_name names[] = {
    { "timeout", wait_timeout }, { "after", wait_after }
  };
  static const jt_schema schema = JT_SCHEMA(names);
  *out = (jt_wait_options){ .timeout = JT_FOREVER };
  jt_schema_read_optional(L, index, "wait_job", &schema, out);
}

/* ----------------------------------------------------- open and configure */

/* How far a unit shifts: K, M, G or T, small or large, alone or with "iB". -1:
   no unit. */
static int unit_shift(const char *unit) {
  static const char letters[] = "KMGTkmgt";
  const char *at = *unit == '\0' ? NULL : strchr(letters, *unit);
  if (*unit == '\0') return 0;
  if (at == NULL || (unit[1] != '\0' && strcmp(unit + 1, "iB") != 0))
    return -1;
  return 10 * (int)((at - letters) % 4 + 1);
}

/* "64M" in bytes; 0: not a size. */
static uint64_t parse_size(const char *text) {
  uint64_t number = 0;
  const char *at = text;
  if (text == NULL) return 0;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (number > UINT64_MAX / 100) return 0;
    number = 10 * number + (uint64_t)(*at - '0');
  }
  int shift = at == text ? -1 : unit_shift(at);
  if (shift < 0 || number > (uint64_t)INT64_MAX >> shift) return 0;
  return number << shift;
}

static void store_size(lua_State *L, const char *call, void *out) {
  jt_options *options = out;
  int64_t bytes = 0;
  if (jt_to_integer(L, -1, &bytes) && bytes > 0)
    options->size = (uint64_t)bytes;
  else
    options->size = parse_size(jt_to_c_string(L, -1));
  if (options->size == 0)
    jt_misuse(L, -1, call, "size",
              "a whole number of bytes, or a string of one and K, M, G, KiB, MiB or "
              "GiB such as \"64M\"");
}

static void store_max_jobs(lua_State *L, const char *call, void *out) {
  ((jt_options *)out)->max_jobs = (uint64_t)read_positive(L, call, "max_jobs");
}

static void store_retention(lua_State *L, const char *call, void *out) {
  jt_options *options = out;
  options->has_retention = true;
  options->retention = read_seconds(L, call, "retention", JT_KEEP);
}

/* The permission bits of an octal string, or 0. */
static unsigned parse_mode(const char *text) {
  size_t digits = text == NULL ? 0 : strspn(text, "01234567");
  if (digits < 3 || digits > 4 || text[digits] != '\0') return 0;
  unsigned long mode = strtoul(text, NULL, 8);
  return mode <= 0777 && (mode & 0600) == 0600 ? (unsigned)mode : 0;
}

static void store_mode(lua_State *L, const char *call, void *out) {
  jt_options *options = out;
  options->mode = parse_mode(jt_to_c_string(L, -1));
  if (options->mode == 0)
    jt_misuse(L, -1, call, "mode",
              "an octal string from \"0600\" to \"0777\" that lets the owner "
              "read and write");
}

static void store_readonly(lua_State *L, const char *call, void *out) {
  if (lua_type(L, -1) != LUA_TBOOLEAN)
    jt_misuse(L, -1, call, "readonly", "true or false");
  ((jt_options *)out)->readonly = lua_toboolean(L, -1) != 0;
}

static const jt_name store_names[] = {
  { "size", store_size }, { "max_jobs", store_max_jobs },
  { "retention", store_retention }, { "mode", store_mode },
  { "readonly", store_readonly }
};

/* What no store can have is the caller's mistake, whichever store it is asked of. */
static void check_possible(lua_State *L, const char *call, const jt_options *options) {
  jt_error error;
  if (!jt_options_possible(options, &error)) luaL_error(L, "%s: %s", call, error.message);
}

void jt_options_read_open(lua_State *L, int index, jt_options *out) {
  static const jt_schema schema = JT_SCHEMA(store_names);
  *out = (jt_options){ .size = 0 };
  jt_schema_read_optional(L, index, "open", &schema, out);
  check_possible(L, "open", out);
}

/* The first three: the in-memory store has no file to protect. */
void jt_options_read_configure(lua_State *L, int index, jt_options *out) {
  static const jt_schema schema = { store_names, 3 };
  *out = (jt_options){ .size = 0 };
  jt_schema_read(L, index, "configure", &schema, out);
  check_possible(L, "configure", out);
}
