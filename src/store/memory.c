/*
** memory.c - the in-memory store: one region of anonymous shared memory for the
** process, so that all Lua states, all threads and children forked later use
** the same. It is never unmapped: the library is linked with -z nodelete, so
** that it outlives a server's reload too.
**
** Until its first use 'configure' may replace it by one of another size. The
** old one stays mapped and known ('replaced'), for a thread may be looking at it,
** and costs nothing: nobody has touched it.
*/
#include "layout.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(jt_store *) memory;  /* release when made, acquire when used */
static uint64_t max_jobs_given;     /* by configure; 0: follows from the size */
static bool forked;                 /* since it was made: a child may use it */

/* ------------------------------------------------------------------ forking */

/* A child must not inherit the mutex locked by a thread that it has not. */
static void before_fork(void) {
  pthread_mutex_lock(&making);
}

static void after_fork(void) {
  forked = atomic_load_explicit(&memory, memory_order_relaxed) != NULL;
  pthread_mutex_unlock(&making);
}

static void watch_forks(void) {
  pthread_atfork(before_fork, after_fork, after_fork);
}

static void enter(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  pthread_mutex_lock(&making);
}

/* ------------------------------------------------------------------- making */

static jt_code map_region(jt_store *store, const jt_geometry *geometry,
                          jt_error *error) {
  /* Reserved, not touched: memory grows with use only. */
  void *base = mmap(NULL, geometry->size, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    return jt_fail(error, errno == ENOMEM ? JT_NO_SPACE : JT_IO,
                   "cannot map %llu bytes of shared memory: %s",
                   (unsigned long long)geometry->size, strerror(errno));
  jt_store_attach(store, geometry, base);
  jt_code code = jt_header_make(store, error);
  if (code != JT_OK) munmap(base, geometry->size);
  return code;
}

static jt_code make(const jt_geometry *geometry, jt_error *error) {
  jt_store *old = atomic_load_explicit(&memory, memory_order_relaxed);
  jt_store *made = calloc(1, sizeof *made);
  if (made == NULL) return jt_fail(error, JT_NO_SPACE, "out of memory");
  made->file = -1;
  made->unverified = true;
  made->replaced = old;
  jt_code code = map_region(made, geometry, error);
  if (code != JT_OK) {
    free(made);
    return code;
  }
  if (old != NULL)
    jt_word_store(&made->header->retention, jt_word_load(&old->header->retention));
  atomic_store_explicit(&memory, made, memory_order_release);
  return JT_OK;
}

/* -------------------------------------------------------------- configuring */

/* What the caller leaves open stays as it is, or is the default. */
static bool geometry_wanted(const jt_store *now, const jt_options *options,
                            jt_geometry *geometry, jt_error *error) {
  uint64_t size = options->size, jobs = options->max_jobs;
  if (size == 0) size = now != NULL ? now->geometry.size : JT_MEMORY_SIZE;
  if (jobs == 0) jobs = max_jobs_given;
  if (jobs == 0)
    jobs = size == JT_MEMORY_SIZE ? JT_MEMORY_JOBS : jt_default_jobs(size);
  return jt_geometry_make(size, jobs, geometry, error);
}

static jt_code replace(const jt_store *now, const jt_geometry *wanted,
                       jt_error *error) {
  if (now == NULL || (!forked && jt_store_version(now) == 0))
    return make(wanted, error);
  return jt_fail(error, JT_IN_USE,
                 "the in-memory store has %llu bytes and max_jobs %llu, and is in use: "
                 "it cannot become %llu bytes and max_jobs %llu",
                 (unsigned long long)now->geometry.size,
                 (unsigned long long)now->geometry.max_jobs,
                 (unsigned long long)wanted->size,
                 (unsigned long long)wanted->max_jobs);
}

static jt_code configure(const jt_options *options, jt_error *error) {
  jt_store *now = atomic_load_explicit(&memory, memory_order_relaxed);
  jt_geometry wanted;
  if (!geometry_wanted(now, options, &wanted, error)) return JT_INCOMPATIBLE;
  if (now == NULL || wanted.size != now->geometry.size ||
      wanted.max_jobs != now->geometry.max_jobs) {
    jt_code code = replace(now, &wanted, error);
    if (code != JT_OK) return code;
  }
  if (options->max_jobs != 0) max_jobs_given = options->max_jobs;
  if (!options->has_retention) return JT_OK;
  return jt_store_set_retention(atomic_load_explicit(&memory, memory_order_relaxed),
                                options->retention);
}

jt_code jt_store_configure(const jt_options *options, jt_error *error) {
  enter();
  jt_code code = configure(options, error);
  pthread_mutex_unlock(&making);
  return code;
}

jt_store *jt_store_memory(jt_error *error) {
  static const jt_options defaults = { 0 };
  jt_store *store = atomic_load_explicit(&memory, memory_order_acquire);
  if (store != NULL) return store;
  enter();
  if (atomic_load_explicit(&memory, memory_order_relaxed) == NULL)
    configure(&defaults, error);
  pthread_mutex_unlock(&making);
  return atomic_load_explicit(&memory, memory_order_acquire);
}
