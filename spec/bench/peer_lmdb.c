/*
** peer_lmdb.c - LMDB at its fastest that still lets other processes in: nothing
** is synced to a disk, pages are written in place, and each operation is one
** transaction, so that it takes effect at once and as a whole.
**
** It is spared what our store does besides: looking at the clock, at the job's
** lifecycle and at the lengths of texts, and keeping a checksum.
*/
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A job as plain bytes; its result, if there is one, follows. */
typedef struct job_value {
  uint64_t version, sequence;
  int64_t created_at, updated_at, started_at, finished_at;
  double progress;
  uint64_t status, step_length;
  char step[136];
} job_value;

_Static_assert(sizeof(job_value) == 208, "as large as most jobs that are copied out");

typedef struct lmdb {
  MDB_env *env;
  MDB_txn *reader;          /* reset between two reads, as its manual advises */
  MDB_dbi table;
} lmdb;

static void expect(int code, const char *call) {
  if (code != 0) bench_die("LMDB: %s: %s", call, mdb_strerror(code));
}

/* Reserved here as in our store: neither has to ask for room while measured. */
static void reserve(MDB_env *env, size_t size) {
  int file;
  expect(mdb_env_get_fd(env, &file), "mdb_env_get_fd");
  int code = posix_fallocate(file, 0, (off_t)size);
  if (code != 0) bench_die("LMDB: no room for its file: %s", strerror(code));
}

static MDB_env *open_file(const char *folder, size_t size) {
  char path[4096], lock[4200];
  MDB_env *env;
  unsigned flags = MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOMETASYNC | MDB_NOTLS;
  snprintf(path, sizeof path, "%s/lmdb", folder);
  snprintf(lock, sizeof lock, "%s-lock", path);
  expect(mdb_env_create(&env), "mdb_env_create");
  expect(mdb_env_set_mapsize(env, size), "mdb_env_set_mapsize");
  expect(mdb_env_open(env, path, flags, 0600), "mdb_env_open");
  reserve(env, size);
  unlink(path);
  unlink(lock);
  return env;
}

static void *open_store(const char *folder, uint32_t jobs, size_t result) {
  lmdb *self = malloc(sizeof *self);
  MDB_txn *writer;
  if (self == NULL) bench_die("not enough memory");
  /* Large values have pages of their own; those of old ones are free only two
     transactions later. */
  self->env = open_file(folder, (512 + result + result / 2) * jobs + ((size_t)8 << 20));
  expect(mdb_txn_begin(self->env, NULL, 0, &writer), "mdb_txn_begin");
  expect(mdb_dbi_open(writer, NULL, 0, &self->table), "mdb_dbi_open");
  expect(mdb_txn_commit(writer), "mdb_txn_commit");
  expect(mdb_txn_begin(self->env, NULL, MDB_RDONLY, &self->reader), "mdb_txn_begin");
  mdb_txn_reset(self->reader);
  return self;
}

static void close_store(void *from) {
  lmdb *self = from;
  mdb_txn_abort(self->reader);
  mdb_env_close(self->env);
  free(self);
}

static MDB_val key_of(const bench_id *id) {
  return (MDB_val){ BENCH_ID_LENGTH, (void *)(uintptr_t)id->text };
}

static void set_step(job_value *job, const char *step) {
  job->step_length = strlen(step);
  memcpy(job->step, step, job->step_length + 1);
}

static void create(void *from, const bench_id *id) {
  lmdb *self = from;
  job_value job = { .status = 0 };
  MDB_val key = key_of(id), value = { sizeof job, &job };
  MDB_txn *writer;
  set_step(&job, "Initializing");
  expect(mdb_txn_begin(self->env, NULL, 0, &writer), "mdb_txn_begin");
  expect(mdb_put(writer, self->table, &key, &value, MDB_NOOVERWRITE), "mdb_put");
  expect(mdb_txn_commit(writer), "mdb_txn_commit");
}

static void read_job(const lmdb *self, MDB_txn *txn, const bench_id *id,
                     job_value *job) {
  MDB_val key = key_of(id), value;
  expect(mdb_get(txn, self->table, &key, &value), "mdb_get");
  if (value.mv_size < sizeof *job) bench_die("LMDB: a value of another size");
  memcpy(job, value.mv_data, sizeof *job);
}

static void update(void *from, const bench_id *id, double progress, const char *step) {
  lmdb *self = from;
  job_value job;
  MDB_val key = key_of(id), value = { sizeof job, &job };
  MDB_txn *writer;
  expect(mdb_txn_begin(self->env, NULL, 0, &writer), "mdb_txn_begin");
  read_job(self, writer, id, &job);
  job.progress = progress;
  set_step(&job, step);
  expect(mdb_put(writer, self->table, &key, &value, 0), "mdb_put");
  expect(mdb_txn_commit(writer), "mdb_txn_commit");
}

static double get(void *from, const bench_id *id) {
  lmdb *self = from;
  job_value job;
  expect(mdb_txn_renew(self->reader), "mdb_txn_renew");
  read_job(self, self->reader, id, &job);
  mdb_txn_reset(self->reader);
  return job.progress;
}

/* MDB_RESERVE: job and result are copied straight to where they stay. */
static void replace(void *from, const bench_id *id, const char *result, size_t length) {
  lmdb *self = from;
  job_value job;
  MDB_val key = key_of(id), value = { sizeof job + length, NULL };
  MDB_txn *writer;
  expect(mdb_txn_begin(self->env, NULL, 0, &writer), "mdb_txn_begin");
  read_job(self, writer, id, &job);
  expect(mdb_put(writer, self->table, &key, &value, MDB_RESERVE), "mdb_put");
  memcpy(value.mv_data, &job, sizeof job);
  memcpy((char *)value.mv_data + sizeof job, result, length);
  expect(mdb_txn_commit(writer), "mdb_txn_commit");
}

static const char *get_result(void *from, const bench_id *id, void *out,
                              size_t capacity) {
  lmdb *self = from;
  MDB_val key = key_of(id), value;
  expect(mdb_txn_renew(self->reader), "mdb_txn_renew");
  expect(mdb_get(self->reader, self->table, &key, &value), "mdb_get");
  if (value.mv_size > capacity) bench_die("LMDB: a value of another size");
  memcpy(out, value.mv_data, value.mv_size);
  mdb_txn_reset(self->reader);
  return (char *)out + sizeof(job_value);
}

static uint64_t count(void *from) {
  lmdb *self = from;
  MDB_stat stat;
  expect(mdb_env_stat(self->env, &stat), "mdb_env_stat");
  return stat.ms_entries;
}

static const char *version(void) {
  return MDB_VERSION_STRING;
}

const bench_peer peer_lmdb = { "lmdb", version, open_store, close_store,
                               create, update, get, replace, get_result, count };
