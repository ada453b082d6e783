/*
** calls_test.c - what store.h says of each call, one sentence at a time: names,
** lifecycle, buffers, lists.
*/
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"

/* ----------------------------------------------------------------------- names */

static void every_code_has_a_name(void) {
  static const char *const names[JT_CODES] = {
    [JT_OK] = "ok", [JT_NOT_FOUND] = "not_found",
    [JT_INVALID_TRANSITION] = "invalid_transition", [JT_FULL] = "full",
    [JT_BUSY] = "busy", [JT_READONLY] = "readonly",
    [JT_CLAIMED] = "claimed", [JT_TAKEN] = "taken",
    [JT_TOO_SMALL] = "too_small", [JT_TIMEOUT] = "timeout",
    [JT_INTERRUPTED] = "interrupted", [JT_IO] = "io", [JT_NOT_READY] = "not_ready",
    [JT_INCOMPATIBLE] = "incompatible", [JT_CORRUPT] = "corrupt",
    [JT_NO_SPACE] = "no_space", [JT_IN_USE] = "in_use"
  };
  static const char *const statuses[JT_STATUSES] = { "pending", "running", "completed",
                                                     "failed" };
  for (int i = 0; i < JT_CODES; i++) {
    CHECK_TEXT(text_of(jt_code_name((jt_code)i)), text_of(names[i]));
    CHECK(strlen(jt_code_message((jt_code)i)) > 0);
  }
  for (int i = 0; i < JT_STATUSES; i++)
    CHECK_TEXT(text_of(jt_status_name((jt_status)i)), text_of(statuses[i]));
  CHECK(jt_code_name((jt_code)99) != NULL && jt_code_message((jt_code)99) != NULL);
  CHECK(jt_code_name((jt_code)-1) != NULL && jt_status_name((jt_status)99) != NULL);
}

static bool may_be_in_a_type(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != 0 && strchr("._~-", c) != NULL);
}

static void types_are_valid_or_not(void) {
  char type[JT_TYPE_MAX + 2];
  memset(type, 'a', sizeof type);
  CHECK(!jt_type_valid(type, 0));
  CHECK(jt_type_valid(type, 1) && jt_type_valid(type, JT_TYPE_MAX));
  CHECK(!jt_type_valid(type, JT_TYPE_MAX + 1) && !jt_type_valid(type, SIZE_MAX));
  for (int c = 0; c < 256; c++)
    for (size_t at = 0; at < 3; at++) {
      char three[] = "abc";
      three[at] = (char)c;
      CHECK_INT(jt_type_valid(three, 3), may_be_in_a_type(c));
    }
}

static void check_id(const char *type, uint32_t number, const char *expected) {
  char id[JT_ID_MAX + 1];
  CHECK_INT(jt_id_format(type, strlen(type), number, id), strlen(expected));
  CHECK_TEXT(text_of(id), text_of(expected));
}

static void ids_are_formatted(void) {
  check_id("a", 0, "a_00000000");
  check_id("chapter", 0x12ab, "chapter_000012ab");
  check_id("x_y.z", UINT32_MAX, "x_y.z_ffffffff");
  check_id("~", UINT32_C(0x80000001), "~_80000001");
}

static void created_ids_are_found(void) {
  jt_store *store = region_make(1000, 4000);
  for (int i = 0; i < 1000; i++) {
    job_id id;
    CHECK_CODE(jt_create(store, "some.type", 9, id.text), JT_OK);
    id.length = strlen(id.text);
    CHECK_INT(id.length, 9 + 9);
    CHECK(strspn(id.text + 10, "0123456789abcdef") == 8);
    CHECK(exists(store, &id));
  }
  CHECK_AUDIT(store);
  region_free(store);
}

/* ------------------------------------------------------------------- lifecycle */

static job_id job_in(jt_store *store, jt_status status, uint32_t number) {
  job_id id = create(store, "job", number);
  if (status != JT_PENDING) CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  if (jt_status_finished(status)) CHECK_CODE(set_status(store, &id, status), JT_OK);
  return id;
}

static void check_transition(jt_store *store, jt_status from, jt_status to, bool allowed,
                             uint32_t number) {
  job_id id = job_in(store, from, number);
  jt_job *before, *after;
  jt_change change = { .fields = JT_SET_STATUS | JT_SET_STEP | JT_SET_META, .status = to,
                       .step = text_of("a step"), .meta = text_of("{}") };
  CHECK_CODE(get(store, &id, &before), JT_OK);
  CHECK_CODE(update(store, &id, &change), allowed ? JT_OK : JT_INVALID_TRANSITION);
  CHECK_CODE(get(store, &id, &after), JT_OK);
  if (allowed) {
    CHECK_INT(after->status, to);
    CHECK_TEXT(jt_job_part(after, JT_STEP), text_of("a step"));
    CHECK(after->updated_at > before->updated_at);
    if (from == to) CHECK_INT(after->started_at, before->started_at);
    if (from == to) CHECK_INT(after->finished_at, before->finished_at);
  } else {
    CHECK(job_same(before, after));       /* nothing of that call */
  }
  free(before);
  free(after);
}

static void status_goes_one_way(void) {
  static const bool allowed[JT_STATUSES][JT_STATUSES] = {
    [JT_PENDING] = { true, true, true, true },
    [JT_RUNNING] = { false, true, true, true },
    [JT_COMPLETED] = { false, false, true, false },
    [JT_FAILED] = { false, false, false, true },
  };
  jt_store *store = region_make(100, 2000);
  uint32_t number = 0;
  for (int from = 0; from < JT_STATUSES; from++)
    for (int to = 0; to < JT_STATUSES; to++)
      check_transition(store, (jt_status)from, (jt_status)to, allowed[from][to],
                       number++);
  CHECK_AUDIT(store);
  region_free(store);
}

static double progress_of(jt_store *store, const job_id *id) {
  jt_job *job;
  CHECK_CODE(get(store, id, &job), JT_OK);
  double progress = job != NULL ? job->progress : -1;
  free(job);
  return progress;
}

static jt_code set_both(jt_store *store, const job_id *id, jt_status status,
                        double progress) {
  return update(store, id, &(jt_change){ .fields = JT_SET_STATUS | JT_SET_PROGRESS,
                                         .status = status, .progress = progress });
}

static bool is(double left, double right) {
  return left >= right && left <= right;
}

static void progress_follows_the_status(void) {
  jt_store *store = region_make(100, 2000);
  job_id completed = create(store, "job", 1), failed = create(store, "job", 2);
  job_id given = create(store, "job", 3);
  CHECK(is(progress_of(store, &completed), 0));
  CHECK_CODE(set_both(store, &completed, JT_RUNNING, 0.25), JT_OK);
  CHECK_CODE(set_both(store, &failed, JT_RUNNING, 0.25), JT_OK);
  CHECK_CODE(set_status(store, &completed, JT_COMPLETED), JT_OK);
  CHECK_CODE(set_status(store, &failed, JT_FAILED), JT_OK);
  CHECK_CODE(set_both(store, &given, JT_COMPLETED, 0.75), JT_OK);
  CHECK(is(progress_of(store, &completed), 1));
  CHECK(is(progress_of(store, &failed), 0.25));
  CHECK(is(progress_of(store, &given), 0.75));
  CHECK_CODE(set_result(store, &given, 10, 'x'), JT_OK);   /* other fields go on */
  CHECK(is(progress_of(store, &given), 0.75));
  region_free(store);
}

static void times_are_set_on_every_path(void) {
  jt_store *store = region_make(100, 2000);
  uint32_t number = 0;
  for (int through = 0; through < 2; through++)
    for (int end = JT_COMPLETED; end <= JT_FAILED; end++) {
      job_id id = create(store, "job", number++);
      jt_job *job;
      if (through) CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
      CHECK_CODE(set_status(store, &id, (jt_status)end), JT_OK);
      CHECK_CODE(get(store, &id, &job), JT_OK);
      CHECK(job->created_at > 0 && job->finished_at >= job->created_at);
      CHECK(job->finished_at <= job->updated_at);
      CHECK(through ? job->started_at > 0 : job->started_at == 0);
      CHECK(job->started_at <= job->finished_at);
      free(job);
    }
  region_free(store);
}

static void updated_at_always_increases(void) {
  jt_store *store = region_make(10, 200);
  job_id id = create(store, "job", 1);
  int64_t last = 0;
  for (int i = 0; i < 2000; i++) {
    jt_job *job;
    CHECK_CODE(update(store, &id, &(jt_change){ .fields = 0 }), JT_OK);
    CHECK_CODE(get(store, &id, &job), JT_OK);
    CHECK(job->updated_at > last);
    last = job->updated_at;
    free(job);
  }
  region_free(store);
}

/* As many reports as move updated_at half a second ahead, a microsecond each. */
static void a_burst_does_not_lengthen_a_job(void) {
  jt_store *store = region_make(10, 200);
  job_id id = create(store, "job", 1);
  jt_job *job;
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  for (int i = 0; i < 500000; i++)
    CHECK_CODE(update(store, &id, &(jt_change){ .fields = 0 }), JT_OK);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  int64_t now = jt_now();
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK(job->started_at <= job->finished_at && job->finished_at <= now);
  free(job);
  region_free(store);
}

/* --------------------------------------------------------------------- buffers */

static void get_says_what_it_needs(void) {
  static _Alignas(jt_job) unsigned char buffer[4096], before[4096];
  jt_job *job = (jt_job *)(void *)buffer;
  jt_store *store = region_make(10, 200);
  job_id id = create(store, "job", 1), none = id_of("none", 1);
  CHECK_CODE(set_result(store, &id, 777, 'r'), JT_OK);
  size_t needed = 0, same = 0;
  CHECK_CODE(jt_get(store, id.text, id.length, job, 0, &needed), JT_TOO_SMALL);
  size_t texts = id.length + 1 + strlen("Initializing") + 1 + sizeof(size_t) + 778;
  CHECK(needed >= sizeof(jt_job) + texts && needed <= sizeof(jt_job) + texts + 3 * 8);
  for (size_t capacity = 0; capacity < sizeof buffer; capacity += 61) {
    memset(buffer, 0x5a, sizeof buffer);
    memcpy(before, buffer, sizeof buffer);
    jt_code code = jt_get(store, id.text, id.length, job, capacity, &same);
    CHECK_CODE(code, capacity < needed ? JT_TOO_SMALL : JT_OK);
    CHECK_INT(same, needed);
    size_t written = code == JT_OK ? needed : 0;
    CHECK(memcmp(buffer + written, before + written, sizeof buffer - written) == 0);
  }
  CHECK_CODE(jt_get(store, id.text, id.length, job, needed, &same), JT_OK);
  CHECK_CODE(jt_get(store, none.text, none.length, job, 4096, &same), JT_NOT_FOUND);
  region_free(store);
}

/* Jobs around the length that is copied in one piece, to blocks around that size. */
static void get_writes_no_more_than_there_is_room_for(void) {
  static _Alignas(jt_job) unsigned char buffer[256], before[256];
  jt_job *job = (jt_job *)(void *)buffer;
  jt_store *store = region_make(10, 200);
  job_id id = create(store, "job", 1);
  char step[64];
  memset(step, 's', sizeof step);
  memset(before, 0x5a, sizeof before);
  for (size_t length = 0; length <= sizeof step; length++) {
    jt_change change = { .fields = JT_SET_STEP, .step = { step, length } };
    CHECK_CODE(update(store, &id, &change), JT_OK);
    size_t whole = sizeof(jt_job) + jt_text_room(id.length) + jt_text_room(length);
    for (size_t capacity = 64; capacity < 200; capacity++) {
      size_t needed = 0;
      memset(buffer, 0x5a, sizeof buffer);
      jt_code code = jt_get(store, id.text, id.length, job, capacity, &needed);
      CHECK_CODE(code, capacity < whole ? JT_TOO_SMALL : JT_OK);
      CHECK_INT(needed, whole);
      size_t written = code == JT_OK ? capacity : 0;
      CHECK(memcmp(buffer + written, before, sizeof buffer - written) == 0);
      if (code == JT_OK) CHECK_TEXT(jt_job_part(job, JT_STEP), change.step);
    }
  }
  region_free(store);
}

/* Another id of that length and end, whose search meets the first's job. */
static bool find_like(const jt_store *store, const job_id *id, job_id *like) {
  *like = *id;
  for (uint32_t i = 0; i < 26 * 26 * 26 * 26; i++) {
    put_letters(like->text, i);
    if (memcmp(like->text, id->text, 4) != 0 && ids_meet(store, id, like)) return true;
  }
  return false;
}

static void an_id_is_compared_from_its_beginning(void) {
  jt_store *store = region_make(4, 100);
  job_id id = create(store, "type", 1), like;
  jt_job *job;
  if (CHECK(find_like(store, &id, &like)))
    CHECK_CODE(get(store, &like, &job), JT_NOT_FOUND);
  region_free(store);
}

/* Moved by memcpy, as a binding does. */
static void a_job_may_be_moved(void) {
  jt_store *store = region_make(10, 200);
  job_id id = create(store, "job", 1);
  CHECK_CODE(set_result(store, &id, 100, 'r'), JT_OK);
  jt_job *job;
  size_t needed;
  CHECK_CODE(get(store, &id, &job), JT_OK);
  jt_get(store, id.text, id.length, job, 0, &needed);
  jt_job *moved = check_memory(needed);
  memcpy(moved, job, needed);
  CHECK(job_same(job, moved));
  memset(job, 0, sizeof *job);
  free(job);
  CHECK_INT(jt_job_part(moved, JT_RESULT).length, 100);
  free(moved);
  region_free(store);
}

static void ids_that_cannot_be_are_not_found(void) {
  jt_store *store = region_make(10, 200);
  char longer[2 * JT_ID_MAX];
  jt_job job;
  size_t needed;
  memset(longer, 'x', sizeof longer);
  create(store, "job", 1);
  for (size_t length = 0; length <= sizeof longer; length++) {
    CHECK_CODE(jt_get(store, longer, length, &job, 0, &needed), JT_NOT_FOUND);
    CHECK_CODE(jt_delete(store, longer, length), JT_NOT_FOUND);
    CHECK_CODE(jt_update(store, longer, length, &(jt_change){ 0 }), JT_NOT_FOUND);
    CHECK_CODE(jt_wait(store, longer, length, NULL, 0), JT_NOT_FOUND);
  }
  CHECK_CODE(jt_get(store, "job_0000000", 11, &job, 0, &needed), JT_NOT_FOUND);
  CHECK_CODE(jt_get(store, "job_000000011", 13, &job, 0, &needed), JT_NOT_FOUND);
  CHECK_CODE(jt_get(store, "job_00000001", 12, &job, 0, &needed), JT_TOO_SMALL);
  region_free(store);
}

/* Any bytes at all are kept as they are. */
static void texts_are_any_bytes(void) {
  jt_store *store = region_make(10, 400);
  job_id id = create(store, "job", 1);
  char bytes[256];
  jt_job *job;
  for (int i = 0; i < 256; i++) bytes[i] = (char)i;
  jt_text all = { bytes, sizeof bytes }, empty = { bytes, 0 }, zero = { "\0", 1 };
  jt_change change = { .fields = 63 & ~1u, .progress = 1.0 / 3, .step = all,
                       .result = empty, .error = zero, .meta = all };
  CHECK_CODE(update(store, &id, &change), JT_OK);
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_STEP), all);
  CHECK_TEXT(jt_job_part(job, JT_RESULT), empty);
  CHECK_TEXT(jt_job_part(job, JT_ERROR), zero);
  CHECK_TEXT(jt_job_part(job, JT_META), all);
  CHECK(is(job->progress, 1.0 / 3));
  free(job);
  jt_text absent = { NULL, 0 };
  change = (jt_change){ .fields = JT_SET_RESULT | JT_SET_ERROR | JT_SET_STEP,
                        .step = empty, .result = absent, .error = absent };
  CHECK_CODE(update(store, &id, &change), JT_OK);
  CHECK_CODE(get(store, &id, &job), JT_OK);
  CHECK_TEXT(jt_job_part(job, JT_STEP), empty);
  CHECK_TEXT(jt_job_part(job, JT_RESULT), absent);
  CHECK_TEXT(jt_job_part(job, JT_META), all);
  free(job);
  CHECK_AUDIT(store);
  region_free(store);
}

/* ----------------------------------------------------------------------- lists */

/* A listed job that has gone, has changed its status, is past its retention, or whose
   cell is another's by now. */
static void what_was_listed_may_be_gone(void) {
  jt_store *store = region_make(1, 100);      /* few cells: they are used again */
  jt_filter pending = { JT_PENDING, { NULL, 0 }, 0 }, all = { -1, { NULL, 0 }, 0 };
  jt_key keys[2], wild = { .sequence = 1, .cell = UINT32_MAX };
  size_t count, needed;
  jt_job job;
  job_id id = create(store, "job", 1);
  CHECK_CODE(jt_list(store, &pending, keys, 2, &count), JT_OK);
  CHECK_INT(count, 1);
  CHECK_CODE(jt_get_listed(store, keys, &pending, &job, 0, &needed), JT_TOO_SMALL);
  CHECK_CODE(set_status(store, &id, JT_RUNNING), JT_OK);
  CHECK_CODE(jt_get_listed(store, keys, &pending, &job, 0, &needed), JT_NOT_FOUND);
  CHECK_CODE(jt_get_listed(store, keys, &all, &job, 0, &needed), JT_TOO_SMALL);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  CHECK_CODE(jt_store_set_retention(store, 0), JT_OK);
  CHECK_CODE(jt_get_listed(store, keys, &all, &job, 0, &needed), JT_NOT_FOUND);
  CHECK_CODE(jt_store_set_retention(store, JT_KEEP), JT_OK);
  CHECK_CODE(erase(store, &id), JT_OK);
  CHECK_CODE(jt_get_listed(store, keys, &all, &job, 0, &needed), JT_NOT_FOUND);
  create(store, "job", 1);
  CHECK_CODE(jt_get_listed(store, keys, &all, &job, 0, &needed), JT_NOT_FOUND);
  CHECK_CODE(jt_get_listed(store, &wild, &all, &job, 0, &needed), JT_NOT_FOUND);
  CHECK_CODE(jt_list(store, &all, NULL, 0, &count), JT_OK);
  CHECK_INT(count, 0);
  region_free(store);
}

/* A type that begins like another's id. */
static void types_are_not_mixed_up(void) {
  jt_store *store = region_make(10, 200);
  jt_key keys[10];
  size_t count;
  create(store, "a", 1);
  create(store, "a_0000000b", 2);
  create(store, "a_", 3);
  const char *types[] = { "a", "a_0000000b", "a_", "a_0", "", "b" };
  const size_t counts[] = { 1, 1, 1, 0, 0, 0 };
  for (int i = 0; i < 6; i++) {
    jt_filter filter = { -1, text_of(types[i]), 0 };
    CHECK_CODE(jt_list(store, &filter, keys, 10, &count), JT_OK);
    CHECK_INT(count, counts[i]);
  }
  region_free(store);
}

/* --------------------------------------------------------------- the version */

static void every_change_makes_a_new_version(void) {
  jt_store *store = region_make(4, 100);
  uint64_t last = jt_store_version(store), removed;
  CHECK_INT(last, 0);
  for (uint32_t i = 0; i < 50; i++) {
    job_id id = create(store, "job", i);
    CHECK(jt_store_version(store) > last);
    last = jt_store_version(store);
    CHECK_CODE(set_result(store, &id, i, 'x'), JT_OK);
    CHECK(jt_store_version(store) > last);
    last = jt_store_version(store);
    if (i % 3 == 0) CHECK_CODE(erase(store, &id), JT_OK);
    else CHECK_CODE(jt_clear(store, &removed), JT_OK);
    CHECK(jt_store_version(store) > last);
    last = jt_store_version(store);
  }
  region_free(store);
}

static const check_case cases[] = {
  CASE(every_code_has_a_name), CASE(types_are_valid_or_not), CASE(ids_are_formatted),
  CASE(created_ids_are_found), CASE(status_goes_one_way),
  CASE(progress_follows_the_status), CASE(times_are_set_on_every_path),
  CASE(updated_at_always_increases), CASE(a_burst_does_not_lengthen_a_job),
  CASE(get_says_what_it_needs),
  CASE(get_writes_no_more_than_there_is_room_for),
  CASE(an_id_is_compared_from_its_beginning),
  CASE(a_job_may_be_moved), CASE(ids_that_cannot_be_are_not_found),
  CASE(texts_are_any_bytes), CASE(what_was_listed_may_be_gone),
  CASE(types_are_not_mixed_up), CASE(every_change_makes_a_new_version),
};
CHECK_MAIN(cases)
