/*
** farm.c - see farm.h.
*/
#include "farm.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBER_BITS 28            /* below the worker's */

static const jt_text absent = { NULL, 0 };
static char pattern[4096 + FARM_LONGEST];

/* ------------------------------------------------------------- what a job is to be */

/* The end of MurmurHash3 of 64 bits: anything from two numbers. */
static uint64_t draw(uint32_t number, uint32_t update) {
  uint64_t x = (uint64_t)number << 32 | update;
  x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
  x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
  return x ^ x >> 33;
}

/* One in 64 is with us for long. */
static uint32_t updates_of(uint32_t number) {
  uint64_t drawn = draw(number, 0);
  return (drawn & 63) == 0 ? 200 : 1 + (uint32_t)(drawn >> 8) % 6;
}

static bool is_owned(uint32_t number) { return (draw(number, 0) >> 16 & 3) == 0; }
static bool is_to_fail(uint32_t number) { return (draw(number, 0) >> 20 & 3) == 0; }
static bool is_deleted(uint32_t number) { return (draw(number, 0) >> 28 & 15) == 0; }

/* Before its last update; one that is pending would fail at once. */
static bool is_cancelled(uint32_t number) {
  return updates_of(number) > 1 && (draw(number, 0) >> 24 & 15) == 0;
}

static jt_text some_text(uint64_t drawn, size_t length) {
  return (jt_text){ pattern + (drawn >> 40) % 4096, length };
}

/* Half are short, few are very long. */
static size_t length_of(uint64_t drawn) {
  uint32_t kind = drawn >> 8 & 15;
  size_t most = kind < 8 ? 256 : kind < 14 ? 4096 : kind == 14 ? 16384
              : (drawn >> 12 & 31) == 0 ? FARM_LONGEST : 8192;
  return (size_t)(drawn >> 20) % most;
}

static bool sets_result(uint32_t number, uint32_t update) {
  return update == updates_of(number) || (draw(number, update) & 3) == 0;
}

/* As the last update that set it has left it. */
static jt_text result_after(const farm *f, uint32_t number, uint32_t updates) {
  while (updates > 0 && !sets_result(number, updates)) updates--;
  if (updates == 0) return absent;
  uint64_t drawn = draw(number, updates);
  return some_text(drawn, length_of(drawn) / f->part);
}

static jt_text meta_of(uint32_t number) {
  uint64_t drawn = draw(number, 0);
  return some_text(drawn, (size_t)(drawn >> 32) % 200);
}

/* Its number, and then, of one in 16, much more. */
static jt_text step_of(uint32_t number, uint32_t update, char room[JT_STEP_MAX]) {
  uint64_t drawn = draw(number, update);
  size_t most = (drawn >> 16 & 15) == 0 ? JT_STEP_MAX - 16 : 60;
  int digits = snprintf(room, 16, "%u ", update);
  jt_text rest = some_text(drawn, (size_t)(drawn >> 24) % most);
  memcpy(room + digits, rest.bytes, rest.length);
  return (jt_text){ room, (size_t)digits + rest.length };
}

static jt_change change_of(const farm *f, uint32_t number, uint32_t update,
                           char room[JT_STEP_MAX]) {
  bool last = update == updates_of(number);
  jt_change change = { .fields = JT_SET_STATUS | JT_SET_PROGRESS | JT_SET_STEP,
                       .status = JT_RUNNING,
                       .progress = (double)(update % 101) / 100,
                       .step = step_of(number, update, room) };
  if (last) change.status = is_to_fail(number) ? JT_FAILED : JT_COMPLETED;
  if (update == 1) change.fields |= JT_SET_META;
  if (last && is_to_fail(number)) change.fields |= JT_SET_ERROR;
  if (sets_result(number, update)) change.fields |= JT_SET_RESULT;
  change.meta = change.error = meta_of(number);
  change.result = result_after(f, number, update);
  return change;
}

/* ------------------------------------------------------------------- what it is */

static bool has_died(const jt_job *job) {
  static const char death[] = "the process working on this job";
  jt_text error = jt_job_part(job, JT_ERROR);
  return error.bytes != NULL && strncmp(error.bytes, death, sizeof death - 1) == 0;
}

/* What is said in digits there. */
static uint32_t read_number(const jt_job *job, jt_part part, size_t from, int base) {
  jt_text text = jt_job_part(job, part);
  CHECK(text.length >= from);
  if (text.bytes == NULL) return 0;
  return (uint32_t)strtoul(text.bytes + from, NULL, base);
}

uint32_t farm_number(const jt_job *job) {
  return read_number(job, JT_ID, sizeof FARM_TYPE, 16);
}

static void check_error(const jt_job *job, uint32_t number, bool last) {
  if (has_died(job)) {
    CHECK(is_owned(number));
    CHECK_INT(job->status, JT_FAILED);
  } else {
    CHECK_TEXT(jt_job_part(job, JT_ERROR), last && is_to_fail(number)
                                             ? meta_of(number) : absent);
    CHECK_INT(jt_status_finished(job->status), last);
  }
}

uint32_t farm_check(const farm *f, const jt_job *job) {
  char room[JT_STEP_MAX];
  uint32_t number = farm_number(job);
  uint32_t updates = read_number(job, JT_STEP, 0, 10);
  bool last = updates == updates_of(number);
  jt_text reason = jt_job_part(job, JT_CANCEL);
  CHECK_TEXT(jt_job_part(job, JT_STEP), updates > 0 ? step_of(number, updates, room)
                                                    : text_of("Initializing"));
  CHECK_TEXT(jt_job_part(job, JT_RESULT), result_after(f, number, updates));
  CHECK_TEXT(jt_job_part(job, JT_META), updates > 0 ? meta_of(number)
                                                    : absent);
  CHECK_INT((int)(job->progress * 100 + 0.5), updates % 101);
  if (reason.bytes != NULL || (last && is_cancelled(number)))
    CHECK_TEXT(reason, meta_of(number));
  check_error(job, number, last);
  return updates;
}

/* ------------------------------------------------------------------------- working */

static job_id id_on(const farm_job *place) {
  return id_of(FARM_TYPE, atomic_load(&place->number));
}

/* Finished jobs could always go: there is no time at which the store may be full. */
static bool is_done(farm *f, jt_code code) {
  atomic_fetch_add(&f->calls, 1);
  if (code == JT_BUSY) atomic_fetch_add(&f->busy, 1);
  else CHECK_CODE(code, JT_OK);
  if (code == JT_FULL) atomic_fetch_add(&f->full, 1);
  return code == JT_OK;
}

static void has_returned(farm *f, farm_job *place, uint32_t count) {
  if (atomic_load(&place->returned) == 0) atomic_fetch_add(&f->created, 1);
  atomic_store(&place->returned, count);
}

static void leave(farm_job *place) {
  atomic_store(&place->number, 0);
}

/* A finished job may be evicted, or expire, at any time. */
static void finish(farm *f, farm_job *place) {
  job_id id = id_on(place);
  if (is_deleted(atomic_load(&place->number))) {
    jt_code code = erase(f->store, &id);
    if (code != JT_NOT_FOUND) is_done(f, code);
  }
  leave(place);
}

/* Whether what is gone has finished, or may have: its owner may have died. */
static bool may_be_gone(const farm_job *place) {
  uint32_t number = atomic_load(&place->number);
  return atomic_load(&place->returned) == 0 || is_owned(number) ||
         atomic_load(&place->begun) == 1 + updates_of(number);
}

/* A call was begun, and nobody knows whether it took place: look. */
static void settle(farm *f, farm_job *place) {
  job_id id = id_on(place);
  jt_job *job;
  jt_code code = get(f->store, &id, &job);
  if (code == JT_NOT_FOUND) {
    CHECK(may_be_gone(place));
    leave(place);
  } else if (CHECK_CODE(code, JT_OK)) {
    uint32_t count = 1 + farm_check(f, job);
    CHECK(count == atomic_load(&place->returned) || count == atomic_load(&place->begun));
    has_returned(f, place, count);
    atomic_store(&place->begun, count);
    if (jt_status_finished(job->status)) leave(place);
  }
  free(job);
}

static void begin(farm *f, uint32_t worker, farm_job *place) {
  uint32_t number = atomic_fetch_add(&f->last[worker], 1) + 1;
  job_id id = id_of(FARM_TYPE, number);
  atomic_store(&place->returned, 0);
  atomic_store(&place->begun, 1);
  atomic_store(&place->number, number);
  if (!is_done(f, jt_create_numbered(f->store, FARM_TYPE, sizeof FARM_TYPE - 1, number)))
    return;
  has_returned(f, place, 1);
  if (is_owned(number)) is_done(f, claim_job(f->store, &id));
}

/* Nobody else works on it: it is what this worker, or the one before, has left. */
static void check_own(farm *f, const farm_job *place) {
  job_id id = id_on(place);
  jt_job *job;
  if (!CHECK_CODE(get(f->store, &id, &job), JT_OK)) return;
  CHECK_INT(1 + farm_check(f, job), atomic_load(&place->returned));
  CHECK(!jt_status_finished(job->status));
  atomic_fetch_add(&f->reads, 1);
  free(job);
}

static bool cancel(farm *f, const job_id *id, uint32_t number) {
  jt_text reason = meta_of(number);
  return is_done(f, jt_cancel(f->store, id->text, id->length, reason));
}

static void go_on(farm *f, farm_job *place) {
  char room[JT_STEP_MAX];
  job_id id = id_on(place);
  uint32_t number = atomic_load(&place->number), next = atomic_load(&place->returned);
  jt_change change = change_of(f, number, next, room);
  bool last = next == updates_of(number);
  check_own(f, place);
  atomic_store(&place->begun, next + 1);
  if (last && is_cancelled(number) && !cancel(f, &id, number)) return;
  if (!is_done(f, update(f->store, &id, &change))) return;
  has_returned(f, place, next + 1);
  if (last) finish(f, place);
}

static void work_once(farm *f, uint32_t worker, farm_job *place) {
  if (atomic_load(&place->number) == 0) begin(f, worker, place);
  else if (atomic_load(&place->begun) != atomic_load(&place->returned)) settle(f, place);
  else go_on(f, place);
}

static void inherit(farm *f, uint32_t worker) {
  for (uint32_t i = 0; i < FARM_DESK; i++)
    if (atomic_load(&f->desk[worker][i].number) != 0) settle(f, &f->desk[worker][i]);
}

void farm_work(void *role) {
  const farm_role *r = role;
  check_reseed(r->life << 8 | r->worker);
  inherit(r->farm, r->worker);
  while (atomic_load(&r->farm->ending) == 0 && check_failures() == 0)
    work_once(r->farm, r->worker, &r->farm->desk[r->worker][check_below(FARM_DESK)]);
}

void farm_look_after(farm *f) {
  jt_stats stats;
  jt_store_stats(f->store, &stats);   /* writes off */
  for (uint32_t i = 0; i < FARM_WORKERS; i++) inherit(f, i);
}

/* ------------------------------------------------------------------------- reading */

/* One that is worked on, or one of those before; or one that never was. */
static job_id any_id(const farm *f) {
  uint32_t worker = (uint32_t)check_below(FARM_WORKERS);
  const farm_job *place = &f->desk[worker][check_below(FARM_DESK)];
  uint32_t first = worker << NUMBER_BITS, last = atomic_load(&f->last[worker]) - first;
  uint32_t number = atomic_load(&place->number);
  uint64_t kind = check_below(4);
  if (kind == 0) return id_of("none", number);
  if (kind == 1 && number != 0) return id_of(FARM_TYPE, number);
  uint64_t most = f->store->geometry.max_jobs, back = check_below(most);
  return id_of(FARM_TYPE, first + (back < last ? last - (uint32_t)back : 1));
}

static void read_once(farm *f, jt_store *store) {
  job_id id = any_id(f);
  jt_job *job;
  jt_code code = get(store, &id, &job);
  atomic_fetch_add(&f->reads, 1);
  if (code == JT_BUSY) atomic_fetch_add(&f->busy, 1);
  else if (code != JT_NOT_FOUND && CHECK_CODE(code, JT_OK)) farm_check(f, job);
  free(job);
}

static void list_some(farm *f, jt_store *store) {
  jt_key keys[100];
  const jt_filter running = { JT_RUNNING, text_of(FARM_TYPE), 0 };
  size_t count = 0;
  jt_code code = jt_list(store, &running, keys, 100, &count);
  if (code == JT_BUSY) atomic_fetch_add(&f->busy, 1);
  else CHECK_CODE(code, JT_OK);
  for (size_t i = 1; i < count; i++) CHECK(keys[i - 1].sequence > keys[i].sequence);
}

void farm_read(void *role) {
  const farm_role *r = role;
  jt_store view = region_view(r->farm->store, true);
  check_reseed(r->life << 8 | FARM_WORKERS);
  while (atomic_load(&r->farm->ending) == 0 && check_failures() == 0) {
    /* There may be fewer processors than processes. */
    if (atomic_load(&r->farm->reads) > 2 * atomic_load(&r->farm->calls))
      check_pause(1e-4);
    read_once(r->farm, &view);
    if (check_below(5000) == 0) list_some(r->farm, &view);
  }
}

farm *farm_make(jt_store *store, uint32_t part) {
  farm *f = check_shared(sizeof *f);
  f->store = store;
  f->part = part;
  for (uint32_t i = 0; i < FARM_WORKERS; i++) f->last[i] = i << NUMBER_BITS;
  for (uint32_t i = 0; i < sizeof pattern; i++)
    pattern[i] = (char)('a' + draw(1, i) % 26);
  return f;
}
