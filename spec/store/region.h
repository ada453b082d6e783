/*
** region.h - store regions for the tests: in plain shared memory, of an exact
** number of units, walled in by pages that nobody may touch. And shorthands for
** store calls that every test makes. Knows the layout.
*/
#ifndef REGION_H
#define REGION_H

#include "check.h"
#include "store/layout.h"

/* The smallest size of a region for so many jobs whose heap has so many units
   (16 at least). */
uint64_t region_size(uint64_t max_jobs, uint32_t units);

/*
** A new store in anonymous shared memory, inherited by children. Its last byte
** is the last of a page, and a page without access follows; another is before
** its first page. Its lock is made; it says READY.
*/
jt_store *region_make(uint64_t max_jobs, uint32_t units);
/* What this thread claimed in it has no owner any more, here and in the next two. */
void region_free(jt_store *store);

/* A second store of the same shape with the same bytes. */
jt_store *region_clone(const jt_store *store);
void region_copy(jt_store *to, const jt_store *from);

/* What the first to open a file does: a fresh lock, and verification. */
void region_verify(jt_store *store);

/* Another view of the same region, as a process has that may only read. */
jt_store region_view(const jt_store *store, bool readonly);

/* A store file of that shape in the case's folder, opened. */
jt_store *file_store(const char *name, uint64_t size, uint64_t max_jobs);

/* Opens an existing file with default options; fails the case if it cannot. */
jt_store *file_open(const char *path, bool readonly);

/* A child that is stopped while it holds the store's lock. */
pid_t stopped_holder(jt_store *store);

/* ------------------------------------------------------------- shorthands */

typedef struct job_id {
  size_t length;
  char text[JT_ID_MAX + 1];
} job_id;

/* "<type>_<number>". */
job_id id_of(const char *type, uint32_t number);

/* Four letters, others for each number below 26^4. */
void put_letters(char at[4], uint32_t number);

/* Whether a search for the one looks at the other's record: of one home and one tag. */
bool ids_meet(const jt_store *store, const job_id *a, const job_id *b);

/* Creates that job, which must succeed, and returns its id. */
job_id create(jt_store *store, const char *type, uint32_t number);

/* jt_update and jt_delete by id. */
jt_code update(jt_store *store, const job_id *id, const jt_change *change);
jt_code set_status(jt_store *store, const job_id *id, jt_status status);
jt_code erase(jt_store *store, const job_id *id);

/* jt_claim, jt_cancel by id; and claiming that must succeed. */
jt_code claim_job(jt_store *store, const job_id *id);
jt_code cancel_job(jt_store *store, const job_id *id, const char *reason);
job_id create_claimed(jt_store *store, const char *type, uint32_t number);

/* Creates a finished job, or one with a result of so many bytes. */
job_id create_finished(jt_store *store, const char *type, uint32_t number);
jt_code set_result(jt_store *store, const job_id *id, size_t bytes, char fill);

/* jt_get into a block of its own, to be freed; NULL where the code is not OK. */
jt_code get(jt_store *store, const job_id *id, jt_job **job);

/* Whether there is such a job; damage counts as a failure. */
bool exists(jt_store *store, const job_id *id);

/* Whether all that the two say is the same. NULL: no job. */
bool job_same(const jt_job *a, const jt_job *b);
/* The same but for the times and the version. */
bool job_same_state(const jt_job *a, const jt_job *b);
bool text_same(jt_text a, jt_text b);

jt_text text_of(const char *text);
jt_text text_filled(size_t bytes, char fill);   /* of a buffer of its own */

#endif
