/*
** wait.c - waiting for a job to finish, or to change.
*/
#include "evict.h"
#include "notify.h"
#include "read.h"

typedef struct condition {
  jt_text id;
  const uint64_t *after;          /* NULL: until it is finished */
} condition;

/* JT_OK: it holds. JT_TIMEOUT: not yet. */
static jt_code try_condition(jt_store *store, void *context) {
  const condition *wanted = context;
  jt_sight sight;
  jt_code code = jt_sight_find(store, wanted->id, &sight);
  if (code != JT_OK) return code;
  if (jt_expired(store, &sight.words)) return JT_NOT_FOUND;
  bool holds = wanted->after != NULL
    ? jt_words_version(&sight.words) > *wanted->after
    : jt_status_finished(jt_words_status(&sight.words));
  return holds ? JT_OK : JT_TIMEOUT;
}

jt_code jt_wait(jt_store *store, const char *id, size_t length,
                const uint64_t *after, int64_t timeout) {
  condition wanted = { { id, length }, after };
  int64_t start = jt_monotonic();
  for (;;) {
    uint32_t ticket = jt_notify_prepare(store);
    jt_code code = jt_read(store, try_condition, &wanted);
    /* Busy: it changes all the time, so there will be another chance. */
    if (code != JT_TIMEOUT && code != JT_BUSY) return code;
    int64_t gone = jt_monotonic() - start;
    if (timeout >= 0 && gone >= timeout) return JT_TIMEOUT;
    /* A signal that comes outside the sleep does not end it: now and then the
       caller has to look for itself. */
    if (gone >= JT_SLICE) return JT_INTERRUPTED;
    int64_t left = timeout >= 0 ? timeout - gone : JT_SLICE;
    if (jt_notify_sleep(store, ticket, left) == JT_INTERRUPTED) return JT_INTERRUPTED;
  }
}
