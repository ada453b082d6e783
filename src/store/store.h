/*
** store.h - the public face of the job store: what a C program, or a binding,
** may call. It knows no Lua. The mechanism is told in src/README.md; the rooms
** behind this door are named there.
**
** A store is one region of shared memory, anonymous or in a file, that every
** process maps. Readers take no lock and write nothing. Writers serialise on
** a robust mutex inside the region; a process killed at any instruction
** leaves each job as it was before its update or as it is after it.
**
** Conventions
**  - Times are microseconds since 1970-01-01T00:00:00Z (int64_t); 0: not yet.
**  - Texts are a pointer and a length in bytes: any bytes, also NUL.
**  - Every call that can fail at run time returns a jt_code; JT_OK is 0.
**    Nothing here prints, exits, raises a signal or touches errno's meaning.
**  - All calls may be made from several threads at once on one jt_store,
**    except jt_store_close, which must be the last.
**  - A read-only store whose file others truncate goes on: whatever it is asked is
**    JT_CORRUPT, or nothing, from the first look at what is gone. For that the process
**    gets a handler of SIGBUS (guard.h). A store that may be written has none.
**  - A changing call waits for the writers' lock for at most JT_LOCK_SECONDS
**    and then returns JT_BUSY; it returns JT_READONLY on a read-only store, and
**    JT_CORRUPT where it meets a damaged record and does not find the job elsewhere.
**
** Owners
**    A thread may claim jobs: it is their owner until they finish or it ends, in
**    whatever way (exit, kill -9, the end of its process; exec, but only that of the
**    process's first thread: see owner.h). From then on an
**    unfinished job of its is *orphaned*: every call takes it for failed, with the
**    error "the process working on this job (pid 1234) died during: <step>". Calls
**    on a store that may be written make it so (JT_FAILED, a new version,
**    finished_at is when it was noticed). Where that cannot be (read-only, no room
**    for the text, the lock is taken) they only say so: status, error, the version
**    that is stored + 1, finished_at as updated_at. That version is no stored one of
**    the job's, neither before nor after. A job that nobody claimed is never
**    orphaned, nor is a living owner's.
*/
#ifndef JT_STORE_H
#define JT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JT_TYPE_MAX 64u                     /* bytes of a task type */
#define JT_ID_MAX (JT_TYPE_MAX + 1u + 8u)   /* "<task type>_<8 hex digits>" */
#define JT_ID_MIN (1u + 1u + 8u)            /* of a type of one byte */
#define JT_STEP_MAX 4096u                   /* bytes of a current_step */
#define JT_REASON_MAX 4096u                 /* of a reason to cancel */
#define JT_OWNERS 256u                      /* threads that own jobs at once */
#define JT_LOCK_SECONDS 1                   /* how long a writer waits */
#define JT_READ_TRIES 64                    /* copies a reader attempts */

/* ------------------------------------------------------------------ codes */

typedef enum jt_code {
  JT_OK = 0,
  JT_NOT_FOUND,          /* no job of that id */
  JT_INVALID_TRANSITION, /* a finished job never changes its status, nor does
                            any job go back to pending */
  JT_FULL,               /* no room, and nothing finished that could make it */
  JT_BUSY,               /* the lock's holder was stopped; or, on a read-only
                            store, the job changed under every try */
  JT_READONLY,           /* a changing call on a read-only store */
  JT_CLAIMED,            /* another process or thread, which lives, owns it */
  JT_TAKEN,              /* jt_create_numbered: draw another number */
  JT_TOO_SMALL,          /* the caller's buffer: see 'needed' */
  JT_TIMEOUT,            /* jt_wait: it timed out */
  JT_INTERRUPTED,        /* jt_wait: look after your own affairs, call again */
  JT_IO,                 /* the operating system said no: see jt_error */
  JT_NOT_READY,          /* another process is still initialising the file */
  JT_INCOMPATIBLE,       /* another layout, ABI, geometry or pid namespace */
  JT_CORRUPT,            /* not a store, or damaged beyond serving */
  JT_NO_SPACE,           /* the file system has no room for the file */
  JT_IN_USE,             /* the in-memory store has been used already */
  JT_CODES               /* how many there are */
} jt_code;

/* The code's stable name ("not_found") and a sentence for people. */
const char *jt_code_name(jt_code code);
const char *jt_code_message(jt_code code);

/* What went wrong where a code alone does not tell: names the path, both
   versions, the system's own words. 'message' is always terminated. */
typedef struct jt_error {
  jt_code code;
  char message[512];
} jt_error;

/* ------------------------------------------------------------------- jobs */

typedef enum jt_status {
  JT_PENDING, JT_RUNNING, JT_COMPLETED, JT_FAILED,
  JT_STATUSES
} jt_status;

/* "pending", "running", "completed", "failed". */
const char *jt_status_name(jt_status status);
static inline bool jt_status_finished(jt_status status) {
  return status == JT_COMPLETED || status == JT_FAILED;
}

typedef struct jt_text {
  const char *bytes;     /* NULL: absent */
  size_t length;
} jt_text;

/* A status's name as a text, of which so many bytes can be read, whatever its length. */
#define JT_STATUS_ROOM 16u
jt_text jt_status_text(jt_status status);

/* What all times of jobs are taken from: microseconds since the epoch, by the
   system's clock; from 1 to JT_TIME_SAFE, whatever the clock says. */
int64_t jt_now(void);

/* The texts of a job. The last four are its blobs: stored apart from the
   record, so that a progress update beside a large result does not move it.
   result and meta are JSON texts, which the store keeps without looking; cancel
   is the reason of a cancel that was asked for. */
typedef enum jt_part {
  JT_ID, JT_STEP, JT_RESULT, JT_ERROR, JT_META, JT_CANCEL,
  JT_PARTS
} jt_part;

/* A job at one instant: a flat copy, owned by the caller, that may be moved
   with memcpy and freed as one block. */
typedef struct jt_job {
  uint64_t version;      /* the store's counter at the job's last update */
  jt_status status;
  uint8_t id_length;
  uint8_t blobs;         /* a bit for each part from JT_RESULT on that there is */
  uint16_t step_length;
  uint64_t sequence;     /* the store's counter at its creation: newer, larger */
  int64_t created_at, updated_at, started_at, finished_at;
  double progress;       /* 0 to 1 */
  /* the id and the step follow, padded to whole words; then the blobs, each a size_t,
     its length, and its text, see jt_blob_room */
} jt_job;

_Static_assert(JT_ID_MAX <= UINT8_MAX && JT_STEP_MAX <= UINT16_MAX,
               "lengths of texts fit");

/* Of the id and of the step, which are not terminated. */
static inline size_t jt_text_room(size_t length) {
  return (length + 7) & ~(size_t)7;
}

/* Each blob has a NUL that its length does not count, and begins at a multiple of
   eight bytes. */
static inline size_t jt_blob_room(size_t length) {
  return (length + 8) & ~(size_t)7;
}

/* A job without blobs fits into JT_JOB_PLAIN bytes if id and step take 56 together, each
   padded; into JT_JOB_MAX always. */
#define JT_JOB_PLAIN (sizeof(jt_job) + 56u)
#define JT_JOB_MAX (sizeof(jt_job) + JT_ID_MAX + 7 + JT_STEP_MAX + 7)

/* bytes NULL: there is no such blob. */
static inline jt_text jt_job_part(const jt_job *job, jt_part part) {
  jt_text text = { (const char *)(job + 1), job->id_length };
  if (part == JT_ID) return text;
  text.bytes += jt_text_room(text.length);
  text.length = job->step_length;
  if (part == JT_STEP) return text;
  if (!(job->blobs & 1u << (part - JT_RESULT))) return (jt_text){ NULL, 0 };
  const char *at = text.bytes + jt_text_room(text.length);
  for (jt_part blob = JT_RESULT; blob <= part; blob++) {
    if (!(job->blobs & 1u << (blob - JT_RESULT))) continue;
    memcpy(&text.length, at, sizeof text.length);
    text.bytes = at + sizeof text.length;
    at = text.bytes + jt_blob_room(text.length);
  }
  return text;
}

/* The task type: the id without its last nine bytes. Not terminated. */
static inline jt_text jt_job_type(const jt_job *job) {
  jt_text text = jt_job_part(job, JT_ID);
  text.length = text.length > 9 ? text.length - 9 : 0;
  return text;
}

/* ---------------------------------------------------- opening and closing */

typedef struct jt_store jt_store;  /* this process's view of a store */

#define JT_KEEP (-1)               /* retention: until the room is needed */

typedef struct jt_options {
  uint64_t size;         /* bytes of the whole region; 0: default */
  uint64_t max_jobs;     /* 0: default, one for every 512 bytes of size */
  bool has_retention;    /* false: what the store says already */
  int64_t retention;     /* microseconds a finished job is kept, or JT_KEEP */
  unsigned mode;         /* permission bits of a new file; 0: 0600 */
  bool readonly;
} jt_options;

/* False, with the reason, where no store at all has that size and max_jobs; what is
   left open (0) is whatever suits best. */
bool jt_options_possible(const jt_options *options, jt_error *error);

#define JT_FILE_SIZE (UINT64_C(64) << 20)   /* default size of a file store */
#define JT_MEMORY_SIZE (UINT64_C(1) << 30)  /* of the in-memory store, which
                                               reserves it without touching */
#define JT_MEMORY_JOBS UINT64_C(1000000)    /* and its max_jobs */

/*
** The process's own store in anonymous shared memory: one for all threads and
** all users in the process, and for children forked after the first call. Never
** closed. Ask for it each time: jt_store_configure may have replaced it. NULL
** with *error set (JT_NO_SPACE, JT_IO) when it cannot be mapped.
*/
jt_store *jt_store_memory(jt_error *error);

/*
** Options of the in-memory store, before its first use: creates it, or
** replaces the one that no job was ever created in. Repeating the options in
** force is fine at any time, and retention may change at any time. JT_IN_USE:
** another size or max_jobs for a store that has had jobs, or that was there
** when the process forked.
*/
jt_code jt_store_configure(const jt_options *options, jt_error *error);

/*
** Opens the store file 'path', or makes it (unless readonly). *store is the
** caller's, to be closed. Whoever opens a file that nobody else has open for
** writing first verifies it: damaged jobs are dropped and counted in
** jt_stats.damaged. Writers must share one pid namespace. May block for up to
** a few seconds while another process initialises or verifies the file, then
** JT_NOT_READY.
*/
jt_code jt_store_open(const char *path, const jt_options *options,
                      jt_store **store, jt_error *error);

/* How long finished jobs are kept from now on: microseconds, or JT_KEEP. For
   all who use the store. JT_READONLY. */
jt_code jt_store_set_retention(jt_store *store, int64_t retention);

/*
** Unmaps. Never removes or resets anything: other processes go on. Not for the
** in-memory store. 'store' is not to be used any more.
**
** A thread that has claimed jobs by this store and leaves one of them unfinished
** stays its owner until it ends: then the region stays mapped, and the file open,
** as long as the process lives. (What it owns hangs in a list that the C library
** keeps in the region; and so a script that ends by an error, and closes its
** stores on the way, shows its job as dead when its process is.) The same if
** another thread has claimed by it and still lives.
*/
void jt_store_close(jt_store *store);

bool jt_store_is_readonly(const jt_store *store);

/* --------------------------------------------------------------- changing */

/* Whether 'type' is a task type: 1 to JT_TYPE_MAX bytes of
   "A-Z a-z 0-9 . _ ~ -" (the characters that a URL leaves as they are). */
bool jt_type_valid(const char *type, size_t length);

/* Whether 'id' is what jt_id_format writes for a valid type. */
bool jt_id_valid(const char *id, size_t length);

/* A number for jt_create_numbered: 32 bits of a random (version 4) UUID from
   libuuid. Thread-safe, and different in forked children. */
uint32_t jt_draw_number(void);

/* Writes "<type>_<8 lowercase hex digits>" and a NUL; returns its length. */
size_t jt_id_format(const char *type, size_t length, uint32_t number,
                    char id[JT_ID_MAX + 1]);

/*
** Creates a pending job: progress 0, current_step "Initializing". 'type' must
** be valid. JT_TAKEN: a job of that id exists, nothing happened, draw another
** number. JT_FULL: no room can be made.
*/
jt_code jt_create_numbered(jt_store *store, const char *type, size_t length,
                           uint32_t number);

/* jt_create_numbered with drawn numbers until one is free. */
jt_code jt_create(jt_store *store, const char *type, size_t length,
                  char id[JT_ID_MAX + 1]);

/* Bits of jt_change.fields. */
enum {
  JT_SET_STATUS = 1, JT_SET_PROGRESS = 2, JT_SET_STEP = 4,
  JT_SET_RESULT = 8, JT_SET_ERROR = 16, JT_SET_META = 32
};

/* What an update changes. Only members whose bit is set are read. Texts stay
   the caller's. result, error and meta with bytes NULL are cleared. */
typedef struct jt_change {
  unsigned fields;
  jt_status status;      /* one of the four, checked by the caller */
  double progress;       /* 0 to 1, checked by the caller */
  jt_text step;          /* at most JT_STEP_MAX bytes, checked by the caller */
  jt_text result, error, meta;
} jt_change;

/*
** Applies all of 'wanted' at one instant, or nothing. The lifecycle is kept
** here: pending -> running -> completed | failed, pending -> completed |
** failed, each to itself; started_at on first running, finished_at on
** completed or failed; a job that becomes completed gets progress 1 unless
** 'wanted' has one.
** JT_NOT_FOUND, JT_INVALID_TRANSITION, JT_FULL.
*/
jt_code jt_update(jt_store *store, const char *id, size_t length,
                  const jt_change *wanted);

/*
** Makes this thread the job's owner. JT_OK too if it is that already. JT_NOT_FOUND;
** JT_INVALID_TRANSITION: it is finished; JT_CLAIMED: it has another owner, who
** lives; JT_FULL: no room, or JT_OWNERS threads own jobs. Being the owner is
** nothing but being watched: others may update the job as before. A forked child
** owns nothing.
*/
jt_code jt_claim(jt_store *store, const char *id, size_t length);

/*
** Asks whoever works on the job to stop, by setting its JT_CANCEL to 'reason' (at
** most JT_REASON_MAX bytes, checked by the caller). If nobody has claimed it and it
** is pending, it is failed at once, with the error "cancelled: <reason>". Asked
** again: JT_OK, and the first reason stays. JT_NOT_FOUND; JT_INVALID_TRANSITION: it
** is finished; JT_FULL.
*/
jt_code jt_cancel(jt_store *store, const char *id, size_t length, jt_text reason);

jt_code jt_delete(jt_store *store, const char *id, size_t length);

/* Removes all jobs; *removed says how many. */
jt_code jt_clear(jt_store *store, uint64_t *removed);

/* ---------------------------------------------------------------- reading */

/*
** Copies the job to 'out', a block of 'capacity' bytes aligned for jt_job.
** Takes no lock and never blocks, but for one case: a job that changed under
** JT_READ_TRIES copies is read under the lock (read-only store: JT_BUSY).
** JT_NOT_FOUND. JT_TOO_SMALL: *needed bytes would do now (the job may grow
** meanwhile: call again). JT_CORRUPT: a read-only store met a damaged job.
** 'needed' is set on JT_OK too: what is behind so many bytes of 'out' means
** nothing, nor does any of it with another code.
*/
jt_code jt_get(jt_store *store, const char *id, size_t length,
               jt_job *out, size_t capacity, size_t *needed);

/* Which jobs jt_list names. */
typedef struct jt_filter {
  int status;            /* a jt_status, or -1: any */
  jt_text type;          /* bytes NULL: any */
  uint64_t before;       /* only those whose sequence is less; 0: any */
} jt_filter;

typedef struct jt_key {
  uint64_t sequence;     /* of the last one named: 'before' of the next page */
  uint64_t version;      /* as it is stored */
  uint32_t cell;
} jt_key;

/*
** Names up to 'capacity' jobs, newest first; *count says how many. Jobs that
** come, go or change meanwhile may or may not be among them. Reads every job
** once, each as jt_get does: JT_BUSY likewise. Fetch them with jt_get_listed.
*/
jt_code jt_list(jt_store *store, const jt_filter *filter,
                jt_key *keys, size_t capacity, size_t *count);

/*
** Names up to 'capacity' jobs whose version is greater than 'after', the oldest
** change first; *count says how many. *upto is what to pass as 'after' the next
** time: the store's version from before the scan or, where capacity cut, the last
** named one's. Deleted jobs are not among them. Orphaned jobs that could not be
** written off come behind, each time again (the newest of them, if there are more
** than find room). Follows only cells that may have changed, so that it is fast
** even for a million jobs. JT_BUSY as for jt_list. Fetch them with jt_get_listed,
** by a filter of { -1 }.
*/
jt_code jt_changes(jt_store *store, uint64_t after, jt_key *keys, size_t capacity,
                   size_t *count, uint64_t *upto);

/* jt_get for a listed job. JT_NOT_FOUND: gone, or no longer in 'filter'. */
jt_code jt_get_listed(jt_store *store, const jt_key *key,
                      const jt_filter *filter,
                      jt_job *out, size_t capacity, size_t *needed);

/* ---------------------------------------------------------------- waiting */

#define JT_FOREVER (-1)

/*
** Blocks until the job is completed or failed or, where 'after' is not NULL,
** until its version is greater than *after; JT_OK then. The end of its owner is
** noticed within a twentieth of a second. timeout: microseconds
** of monotonic time, or JT_FOREVER. JT_NOT_FOUND: there is no such job (any
** more). JT_TIMEOUT. JT_INTERRUPTED: a signal handler ran, or may have run: at
** least that often, every quarter of a second, the caller gets its chance to
** see to signals and the like. Call again with what is left of the time.
*/
jt_code jt_wait(jt_store *store, const char *id, size_t length,
                const uint64_t *after, int64_t timeout);

/* ------------------------------------------------------------- statistics */

typedef struct jt_stats {
  uint64_t by_status[JT_STATUSES];
  uint64_t jobs, max_jobs;
  uint64_t bytes_used, bytes_available;   /* of the heap, in use and free */
  uint64_t evictions;    /* finished jobs removed to make room */
  uint64_t recoveries;   /* writers that died holding the lock */
  uint64_t damaged;      /* jobs dropped because their bytes were damaged */
  uint64_t version;      /* of the store: increases with every change */
  int64_t retention;     /* microseconds, or JT_KEEP */
  uint64_t size;         /* bytes of the region */
} jt_stats;

/* Takes no lock: the counts are each right, though not of one instant.
   Finished jobs past their retention count until their room is taken. Orphaned
   jobs count as failed; those that could not be written off cost a look at all. */
void jt_store_stats(jt_store *store, jt_stats *stats);

/* How long finished jobs took is told by classes: of these bounds each is a class's
   longest time, in microseconds; the last class has no bound. */
enum { JT_BOUNDS = 14 };
extern const int64_t jt_bounds[JT_BOUNDS];   /* 0.1 seconds to 6 hours */

/* The jobs of one task type. */
typedef struct jt_type_summary {
  char type[JT_TYPE_MAX + 1];         /* terminated */
  uint64_t by_status[JT_STATUSES];
  uint64_t took[JT_BOUNDS + 1];       /* finished jobs by the time from their start, or
                                         creation if they never ran, to their end */
  uint64_t duration;                  /* of all these together, microseconds */
  int64_t last_success;               /* when the last one was completed; 0: none was */
} jt_type_summary;

#define JT_SUMMARY_TYPES 100u

typedef struct jt_summary {
  size_t count;
  jt_type_summary types[JT_SUMMARY_TYPES];   /* sorted by type, its bytes */
  jt_type_summary others;             /* the jobs of all other types; its type is "" */
} jt_summary;

/*
** Counts the jobs by type, as jt_list with any filter would name them: orphaned jobs
** are failed, those past their retention are none. Each type's counts are whole or it
** is among the others, which are empty unless there are more types than
** JT_SUMMARY_TYPES. Ids lie in no order, so the types with many jobs are met, and get
** a place, first. Looks at every job once, without the lock; each is counted as it is
** at some instant of the call. JT_BUSY, JT_CORRUPT as for jt_list: *summary is then of
** no use.
*/
jt_code jt_summarize(jt_store *store, jt_summary *summary);

/* The store's version: larger after every change of any job. */
uint64_t jt_store_version(const jt_store *store);

/*
** For those who poll: the store's version, and how many owners are dead that
** nobody has cleared away yet. There can be something new only if one of the two
** has changed. On a store that may be written, dead owners' jobs are written off
** first. Else no lock, and 256 words to look at.
*/
void jt_store_pulse(jt_store *store, uint64_t *version, uint32_t *dead);

#endif
