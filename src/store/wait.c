/*
** wait.c - waiting for a job to finish, or to change.
*/
#include "bury.h"
#include "evict.h"
#include "notify.h"
#include "read.h"

#define OWNER_SLICE 50000         /* microseconds: nobody wakes us when it dies */

typedef struct condition {
  jt_search search;
  const uint64_t *after;          /* NULL: until it is finished */
  bool owned, orphaned;           /* the job, when it was looked at */
} condition;

/* JT_OK: it holds. JT_TIMEOUT: not yet. */
static jt_code try_condition(jt_store *store, void *context) {
  condition *wanted = context;
  jt_sight sight;
  wanted->owned = wanted->orphaned = false;
  jt_code code = jt_sight_find(store, &wanted->search, &sight);
  if (code != JT_OK) return code;
  if (jt_expired(store, &sight.words)) return JT_NOT_FOUND;
  wanted->owned = jt_words_owner(&sight.words) != 0;
  wanted->orphaned = sight.orphaned;
  bool holds = wanted->after != NULL
    ? jt_sight_version(&sight) > *wanted->after
    : jt_status_finished(jt_sight_status(&sight));
  return holds ? JT_OK : JT_TIMEOUT;
}

static jt_code look(jt_store *store, condition *wanted) {
  jt_code code = jt_read(store, try_condition, wanted);
  if (wanted->orphaned && jt_settle(store))
    code = jt_read(store, try_condition, wanted);
  return code;
}

jt_code jt_wait(jt_store *store, const char *id, size_t length,
                const uint64_t *after, int64_t timeout) {
  condition wanted = { jt_search_for(id, length), after, false, false };
  int64_t start = jt_monotonic();
  for (;;) {
    uint32_t ticket = jt_notify_prepare(store);
    jt_code code = look(store, &wanted);
    /* Busy: it changes all the time, so there will be another chance. */
    if (code != JT_TIMEOUT && code != JT_BUSY) return code;
    int64_t gone = jt_monotonic() - start;
    if (timeout >= 0 && gone >= timeout) return JT_TIMEOUT;
    /* A signal that comes outside the sleep does not end it: now and then the
       caller has to look for itself. */
    if (gone >= JT_SLICE) return JT_INTERRUPTED;
    int64_t left = timeout >= 0 ? timeout - gone : JT_SLICE;
    if (wanted.owned && left > OWNER_SLICE) left = OWNER_SLICE;
    if (jt_notify_sleep(store, ticket, left) == JT_INTERRUPTED) return JT_INTERRUPTED;
  }
}
