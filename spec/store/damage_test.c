/*
** damage_test.c - regions and files damaged bit by bit and at random. Opening
** drops the damaged jobs and counts them, the others stay; a reader who opens a
** file that nobody has repaired gets an intact job or an error. The regions are
** walled in: to touch a byte outside is a crash, and a failure.
*/
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "exercise.h"
#include "runs.h"

enum { JOBS = 6 };

typedef struct scene {
  jt_store *store;                /* undamaged */
  job_id ids[JOBS];
  jt_job *jobs[JOBS];
} scene;

static void fill(jt_store *store, job_id ids[JOBS]) {
  ids[0] = create(store, "chapter", 1);
  ids[1] = create(store, "chapter", 2);
  ids[2] = create(store, "a.much-longer~type.of_job", 3);
  ids[3] = create_finished(store, "done", 4);
  ids[4] = create(store, "x", 5);
  ids[5] = create(store, "x", 6);
  CHECK_CODE(set_status(store, &ids[1], JT_RUNNING), JT_OK);
  CHECK_CODE(set_result(store, &ids[1], 150, 'r'), JT_OK);
  CHECK_CODE(set_result(store, &ids[3], 64, 'd'), JT_OK);
  jt_change all = { .fields = 63, .status = JT_FAILED, .progress = 0.5,
                    .step = text_of("half way"), .result = text_of("[1,2]"),
                    .error = text_of("no ink"), .meta = text_of("") };
  CHECK_CODE(update(store, &ids[2], &all), JT_OK);
  CHECK_CODE(erase(store, &ids[4]), JT_OK);
  ids[4] = create(store, "x", 7);
}

static scene make_scene(void) {
  scene s = { .store = region_make(8, 48) };
  fill(s.store, s.ids);
  for (int i = 0; i < JOBS; i++) CHECK_CODE(get(s.store, &s.ids[i], &s.jobs[i]), JT_OK);
  CHECK_AUDIT(s.store);
  return s;
}

static void free_scene(scene *s, jt_store *damaged) {
  for (int i = 0; i < JOBS; i++) free(s->jobs[i]);
  region_free(s->store);
  if (damaged != NULL) region_free(damaged);
}

static jt_geometry geometry(void) {
  jt_store *store = region_make(8, 48);
  jt_geometry g = store->geometry;
  region_free(store);
  return g;
}

/* How many of the jobs are gone; those that are there must be as they were. */
static int count_lost(const scene *s, jt_store *store, bool may_be_corrupt) {
  int lost = 0;
  for (int i = 0; i < JOBS; i++) {
    jt_job *job;
    jt_code code = get(store, &s->ids[i], &job);
    if (code == JT_OK) CHECK(job_same(job, s->jobs[i]));
    else lost++;
    if (code != JT_OK && !(may_be_corrupt && code == JT_CORRUPT))
      CHECK_CODE(code, JT_NOT_FOUND);
    free(job);
  }
  return lost;
}

/* A read-only view without repair, then a first opening, then use. */
static void check_damaged(const scene *s, jt_store *damaged, int may_be_lost) {
  jt_store view = region_view(damaged, true);
  count_lost(s, &view, true);
  exercise_reading(&view);
  jt_word_store(&damaged->header->damaged, 0);
  region_verify(damaged);
  CHECK_AUDIT(damaged);
  int lost = count_lost(s, damaged, false);
  CHECK(lost <= may_be_lost);
  /* Many bytes may make a cell empty, and then nobody knows of a job. */
  if (may_be_lost < JOBS)
    CHECK(jt_word_load(&damaged->header->damaged) >= (uint64_t)lost);
  exercise(damaged);
  CHECK_AUDIT(damaged);
}

/* ---------------------------------------------------------------- each bit */

static void flip_each_bit(uint64_t from, uint64_t to, int may_be_lost) {
  scene s = make_scene();
  jt_store *damaged = region_clone(s.store);
  for (uint64_t bit = from * 8; bit < to * 8; bit++) {
    unsigned failures = check_failures();
    region_copy(damaged, s.store);
    damaged->base[bit / 8] ^= (unsigned char)(1u << bit % 8);
    check_damaged(&s, damaged, may_be_lost);
    if (check_failures() > failures)
      check_say("with bit %llu of byte %llu flipped", (unsigned long long)bit % 8,
                (unsigned long long)bit / 8);
  }
  free_scene(&s, damaged);
}

static void each_bit_of_the_cells(void) {
  jt_geometry g = geometry();
  flip_each_bit(g.cells_at, g.scratch_at, 1);
}

static void each_bit_of_the_bitmap(void) {
  jt_geometry g = geometry();
  flip_each_bit(g.bitmap_at, (uint64_t)g.first_unit * JT_UNIT, 0);
}

static void each_bit_of_the_heap(void) {
  jt_geometry g = geometry();
  flip_each_bit((uint64_t)g.first_unit * JT_UNIT, (uint64_t)g.end_unit * JT_UNIT, 1);
}

/* Behind the identity, which opening a file checks (see below). */
static void each_bit_of_the_counters(void) {
  flip_each_bit(offsetof(jt_header, retention) + 8, sizeof(jt_header), 0);
}

/* ---------------------------------------------------------------- at random */

static void damage_once(unsigned char *bytes, uint64_t size) {
  uint64_t at = check_below(size), length = 1 + check_below(check_below(2) ? 16 : 600);
  if (length > size - at) length = size - at;
  switch (check_below(4)) {
    case 0:
      memset(bytes + at, 0, length);
      break;
    case 1:
      memset(bytes + at, 0xff, length);
      break;
    case 2:
      memmove(bytes + at, bytes + check_below(size - length + 1), length);
      break;
    default:
      for (uint64_t i = 0; i < length; i++) bytes[at + i] = (unsigned char)check_random();
  }
}

/* Where it hurts: cells and heap more often than the unused rest. */
static void damage_somewhere(jt_store *store, uint64_t from) {
  const jt_geometry *g = &store->geometry;
  uint64_t places[4][2] = { { from, sizeof(jt_header) }, { g->cells_at, g->scratch_at },
                            { g->bitmap_at, g->size },
                            { (uint64_t)g->first_unit * JT_UNIT, g->size } };
  for (uint64_t n = 1 + check_below(4); n > 0; n--) {
    const uint64_t *place = places[check_below(4)];
    damage_once(store->base + place[0], place[1] - place[0]);
  }
}

static void regions_at_random(void) {
  scene s = make_scene();
  jt_store *damaged = region_clone(s.store);
  for (uint64_t i = 0; i < check_times(RUNS_DAMAGE_RANDOM); i++) {
    unsigned failures = check_failures();
    region_copy(damaged, s.store);
    damage_somewhere(damaged, offsetof(jt_header, retention) + 8);
    check_damaged(&s, damaged, JOBS);
    if (check_failures() > failures) check_say("at try %llu", (unsigned long long)i);
  }
  free_scene(&s, damaged);
}

/* A store in use is not verified again: a writer that runs wild may have written
   anywhere. Nothing is promised then, but that no other process crashes. */
static void regions_in_use_at_random(void) {
  scene s = make_scene();
  jt_store *damaged = region_clone(s.store);
  jt_error error;
  for (uint64_t i = 0; i < check_times(RUNS_DAMAGE_RANDOM); i++) {
    region_copy(damaged, s.store);
    damage_somewhere(damaged, offsetof(jt_header, retention) + 8);
    /* A lock that is no lock hangs or crashes in glibc: not ours to test. */
    CHECK_CODE(jt_locks_make(damaged, &error), JT_OK);
    exercise(damaged);
    uint64_t removed;
    jt_clear(damaged, &removed);
    exercise(damaged);
  }
  free_scene(&s, damaged);
}

/* --------------------------------------------------------------- the files */

static void write_file(const char *path, const unsigned char *bytes, size_t size) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK_INT(write(file, bytes, size), size);
  close(file);
}

static jt_code open_code(const char *path, bool readonly, jt_store **store) {
  const jt_options options = { .readonly = readonly };
  jt_error error = { JT_OK, "" };
  jt_code code = jt_store_open(path, &options, store, &error);
  if (code != JT_OK) {
    CHECK(*store == NULL);
    CHECK_CODE(error.code, code);
    CHECK(strstr(error.message, path) != NULL);
    CHECK(code == JT_CORRUPT || code == JT_INCOMPATIBLE || code == JT_NOT_READY);
  }
  return code;
}

/* Opens it for reading, then for writing, and uses what opened. */
static bool try_file(const char *path) {
  jt_store *store;
  if (open_code(path, true, &store) == JT_OK) {
    exercise_reading(store);
    jt_store_close(store);
  }
  if (open_code(path, false, &store) != JT_OK) return false;
  CHECK_AUDIT(store);
  exercise(store);
  CHECK_AUDIT(store);
  jt_store_close(store);
  return true;
}

/* An error, or all jobs: never a store that has silently lost them. */
static void each_bit_of_a_files_identity(void) {
  scene s = make_scene();
  uint64_t size = s.store->geometry.size;
  const char *path = check_path("store");
  unsigned lost_all = 0, shown = 0;
  for (uint64_t bit = 0; bit < (offsetof(jt_header, retention) + 8) * 8; bit++) {
    jt_store *store;
    s.store->base[bit / 8] ^= (unsigned char)(1u << bit % 8);
    write_file(path, s.store->base, size);
    if (open_code(path, false, &store) == JT_OK) {
      bool expiring = bit / 8 >= offsetof(jt_header, retention);
      if (count_lost(&s, store, false) > (expiring ? JOBS / 2 : 0) && lost_all++ < 3)
        check_say("with bit %llu of byte %llu flipped it opened with max_jobs %llu and "
                  "jobs were gone", (unsigned long long)bit % 8,
                  (unsigned long long)bit / 8,
                  (unsigned long long)store->geometry.max_jobs);
      jt_store_close(store);
      shown++;
    }
    s.store->base[bit / 8] ^= (unsigned char)(1u << bit % 8);
  }
  check_say("%u flips were no error", shown);
  CHECK_INT(lost_all, 0);
  free_scene(&s, NULL);
}

static void files_at_random(void) {
  scene s = make_scene();
  jt_store *damaged = region_clone(s.store);
  const char *path = check_path("store");
  unsigned opened = 0;
  for (uint64_t i = 0; i < check_times(RUNS_DAMAGE_FILES); i++) {
    unsigned failures = check_failures();
    region_copy(damaged, s.store);
    damage_somewhere(damaged, check_below(4) ? sizeof(jt_word) : 0);
    write_file(path, damaged->base, damaged->geometry.size);
    if (check_below(10) == 0)
      CHECK_INT(truncate(path, (off_t)check_below(damaged->geometry.size + 5000)), 0);
    opened += try_file(path);
    if (check_failures() > failures) check_say("at try %llu", (unsigned long long)i);
  }
  check_say("%u were opened", opened);
  CHECK(opened > 0);
  free_scene(&s, damaged);
}

static void files_of_noise(void) {
  enum { SIZE = 40000 };
  static unsigned char noise[SIZE];
  const char *path = check_path("store");
  for (uint64_t i = 0; i < check_times(RUNS_DAMAGE_FILES) / 4 + 1; i++) {
    for (int k = 0; k < SIZE; k++) noise[k] = (unsigned char)check_random();
    write_file(path, noise, SIZE);
    CHECK(!try_file(path));
    jt_header header;
    memcpy(&header, noise, sizeof header);
    header.magic = JT_MAGIC_READY;
    header.layout = JT_LAYOUT_VERSION;
    header.abi = JT_ABI;
    header.size = 20000 + check_below(20000);
    header.max_jobs = 1 + check_below(30);
    memcpy(noise, &header, sizeof header);
    write_file(path, noise, SIZE);
    try_file(path);
  }
}

static const check_case cases[] = {
  CASE(each_bit_of_the_cells), CASE(each_bit_of_the_bitmap), CASE(each_bit_of_the_heap),
  CASE(each_bit_of_the_counters), CASE(regions_at_random), CASE(regions_in_use_at_random),
  CASE(each_bit_of_a_files_identity), CASE(files_at_random), CASE(files_of_noise),
};
CHECK_MAIN(cases)
