/*
** record_test.c - src/store/record.c: every set of blobs made of every other, and blobs
** that cannot all be there. (What else a record may not say: forged_test.c.)
*/
#include <stdlib.h>

#include "audit.h"
#include "raw.h"

/* --------------------------------------------------------------- sets of blobs */

enum { TEXTS = 3, SETS = 1 << TEXTS };   /* of those that jt_update sets */

typedef enum asking { NEVER, BEFORE, BETWEEN, ASKINGS } asking;   /* to cancel */

static const char step[] = "behind the blobs";

static jt_text text_at(int i) {
  static const char *const texts[TEXTS] = { "a result", "", "of all three the longest" };
  return text_of(texts[i]);
}

/* What of 'before' is not in 'after' goes, what is in both is not mentioned. */
static void make_set(jt_store *store, const job_id *id, unsigned before, unsigned after) {
  jt_change change = { .fields = (before ^ after) * JT_SET_RESULT };
  jt_text *texts[TEXTS] = { &change.result, &change.error, &change.meta };
  for (int i = 0; i < TEXTS; i++)
    *texts[i] = after >> i & 1 ? text_at(i) : (jt_text){ NULL, 0 };
  CHECK_CODE(update(store, id, &change), JT_OK);
}

static void check_set(jt_store *store, const job_id *id, unsigned set, bool asked) {
  jt_text absent = { NULL, 0 };
  jt_store view = region_view(store, true);
  jt_job *job;
  CHECK_AUDIT(store);
  if (!CHECK_CODE(get(&view, id, &job), JT_OK)) return;
  for (int i = 0; i < TEXTS; i++)
    CHECK_TEXT(jt_job_part(job, JT_RESULT + (jt_part)i),
               set >> i & 1 ? text_at(i) : absent);
  CHECK_TEXT(jt_job_part(job, JT_CANCEL), asked ? text_of("enough") : absent);
  CHECK_TEXT(jt_job_part(job, JT_ID), ((jt_text){ id->text, id->length }));
  CHECK_TEXT(jt_job_part(job, JT_STEP), text_of(step));
  free(job);
}

/* Of a running job, which nobody owns: to cancel it is no more than to ask. */
static void check_way(jt_store *store, unsigned from, unsigned to, asking when) {
  unsigned failures = check_failures();
  job_id id = create(store, "job", 1);
  jt_change change = { .fields = JT_SET_STATUS | JT_SET_STEP, .status = JT_RUNNING,
                       .step = text_of(step) };
  CHECK_CODE(update(store, &id, &change), JT_OK);
  if (when == BEFORE) CHECK_CODE(cancel_job(store, &id, "enough"), JT_OK);
  make_set(store, &id, 0, from);
  check_set(store, &id, from, when == BEFORE);
  if (when == BETWEEN) CHECK_CODE(cancel_job(store, &id, "enough"), JT_OK);
  check_set(store, &id, from, when != NEVER);
  make_set(store, &id, from, to);
  check_set(store, &id, to, when != NEVER);
  if (check_failures() > failures) check_say("from set %u to %u, %d", from, to, when);
  CHECK_CODE(erase(store, &id), JT_OK);
}

/* Where the texts lie follows from how many blobs there are. */
static void every_set_of_blobs(void) {
  jt_store *store = region_make(4, 100);
  for (int when = NEVER; when < ASKINGS; when++)
    for (unsigned from = 0; from < SETS; from++)
      for (unsigned to = 0; to < SETS && check_failures() == 0; to++)
        check_way(store, from, to, (asking)when);
  region_free(store);
}

/* --------------------------------------------------------- records that lie */

/* A job with so many blobs, which are all the same bytes: nearly the heap. */
static void forge(jt_store *store, const job_id *id, int blobs) {
  uint32_t unit = store->geometry.first_unit;
  size_t length = (store->geometry.end_unit - unit - 20) * (size_t)JT_UNIT;
  raw_blob all = { unit + 20, length, jt_hash(jt_unit_words(store, unit + 20), length) };
  raw_record record = { .version = 1, .sequence = 1, .created_at = 1000,
                        .updated_at = 2000, .id = { id->text, id->length } };
  for (int i = 0; i < blobs; i++) record.blob[i] = all;
  raw_publish(store, unit, &record);
}

/* Each is inside the heap, but they would overlap: who reads such a job would make room
   for four times the store. */
static void blobs_are_not_longer_than_the_store_together(void) {
  for (int blobs = 1; blobs <= RAW_BLOBS; blobs++) {
    jt_store *store = region_make(4, 4000), view = region_view(store, true);
    job_id id = id_of("forged", 1);
    jt_job *ours, *theirs;
    forge(store, &id, blobs);
    jt_code code = blobs == 1 ? JT_OK : JT_CORRUPT;
    CHECK_CODE(get(store, &id, &ours), code);
    CHECK_CODE(get(&view, &id, &theirs), code);
    free(ours), free(theirs);
    region_free(store);
  }
}

static const check_case cases[] = {
  CASE(every_set_of_blobs), CASE(blobs_are_not_longer_than_the_store_together),
};
CHECK_MAIN(cases)
