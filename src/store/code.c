/*
** code.c - the names of codes and statuses: one table each.
*/
#include "store.h"

static const struct {
  const char *name, *message;
} codes[JT_CODES] = {
  [JT_OK] = { "ok", "done" },
  [JT_NOT_FOUND] = { "not_found", "no such job" },
  [JT_INVALID_TRANSITION] = { "invalid_transition",
    "a job goes from pending to running to completed or failed, never back" },
  [JT_FULL] = { "full",
    "there is no room for it, and no finished jobs could make enough" },
  [JT_BUSY] = { "busy", "the store is busy: another process holds it" },
  [JT_READONLY] = { "readonly", "the store was opened read-only" },
  [JT_CLAIMED] = { "claimed", "another process owns it" },
  [JT_TAKEN] = { "taken", "a job of that id exists" },
  [JT_TOO_SMALL] = { "too_small", "the buffer is too small" },
  [JT_TIMEOUT] = { "timeout", "the wait timed out" },
  [JT_INTERRUPTED] = { "interrupted", "interrupted" },
  [JT_IO] = { "io", "the operating system refused" },
  [JT_NOT_READY] = { "not_ready", "the store file is not ready yet" },
  [JT_INCOMPATIBLE] = { "incompatible", "the store is of another kind" },
  [JT_CORRUPT] = { "corrupt", "the store is damaged" },
  [JT_NO_SPACE] = { "no_space", "no space for the store" },
  [JT_IN_USE] = { "in_use", "the store is in use already" },
};

#define STATUS(name) { name, sizeof(name) - 1 }

static const struct {
  char name[JT_STATUS_ROOM];
  size_t length;
} statuses[JT_STATUSES + 1] = {
  [JT_PENDING] = STATUS("pending"),
  [JT_RUNNING] = STATUS("running"),
  [JT_COMPLETED] = STATUS("completed"),
  [JT_FAILED] = STATUS("failed"),
  [JT_STATUSES] = STATUS("unknown"),
};

const char *jt_code_name(jt_code code) {
  return (unsigned)code < JT_CODES ? codes[code].name : "unknown";
}

const char *jt_code_message(jt_code code) {
  return (unsigned)code < JT_CODES ? codes[code].message : "unknown code";
}

jt_text jt_status_text(jt_status status) {
  unsigned i = (unsigned)status < JT_STATUSES ? status : JT_STATUSES;
  return (jt_text){ statuses[i].name, statuses[i].length };
}

const char *jt_status_name(jt_status status) {
  return jt_status_text(status).bytes;
}
