/*
** bury.c - the pass that writes off, and others that ask which slots jobs name.
**
** Each job is a commit of its own, and a slot is freed only when the pass has met
** nobody who names it: a process killed anywhere in it leaves some jobs written
** off, and the next pass does the rest.
*/
#include "bury.h"

#include "cells.h"
#include "lock.h"
#include "notify.h"
#include "owner.h"
#include "publish.h"
#include "recover.h"
#include "replace.h"

#define AHEAD 16                  /* cells between prefetching and reading */

/* ------------------------------------------------------------ who is named */

/* The owner that the job in that cell names; 0: nobody, or it is finished. */
static uint32_t owner_at(const jt_store *store, uint32_t at) {
  jt_glance glance;
  uint64_t cell = jt_word_load(&store->cells[at]);
  if (at + AHEAD < store->geometry.cells)
    jt_record_prefetch(store, jt_cell_unit(jt_word_load(&store->cells[at + AHEAD])), 1);
  if (!jt_cell_is_job(cell) || !jt_record_glance(store, jt_cell_unit(cell), &glance) ||
      jt_status_finished(glance.status))
    return 0;
  return glance.owner;
}

/* For every owner, and 0. */
static void find_named(const jt_store *store, bool named[JT_OWNERS + 1]) {
  memset(named, 0, JT_OWNERS + 1);
  for (uint32_t at = 0; at < store->geometry.cells; at++)
    named[owner_at(store, at)] = true;
}

/* ------------------------------------------------------------- writing off */

/* A version that is no job's. */
static void skip_version(jt_store *store) {
  jt_word *version = &store->header->version;
  atomic_store_explicit(version, jt_word_load(version) + 1, memory_order_release);
}

/* Readers who could not write have shown the version after the stored one, with
   other times: what is written now is to be told from that. */
static jt_code bury(jt_store *store, uint32_t at) {
  char epitaph[JT_EPITAPH_MAX];
  jt_blob_plan plan = { 0 };
  jt_glance old;
  jt_sight job;
  jt_code code = jt_sight_at(store, at, &job);
  if (code != JT_OK || !job.orphaned) return JT_NOT_FOUND;
  int64_t now = jt_now();
  jt_renew(&job, now, &old);
  size_t length = jt_epitaph(job.pid, jt_words_step(&job.words), epitaph);
  jt_plan_blob(&plan, JT_ERROR, (jt_text){ epitaph, length });
  jt_enter(&job.words, JT_FAILED, now);
  if (jt_next_version(store) == jt_sight_version(&job)) skip_version(store);
  return jt_replace(store, &job, &old, &plan);
}

/* As they are now: an owner that dies during the pass waits for the next. Returns how
   many. */
static uint32_t find_dead(const jt_store *store, bool dead[JT_OWNERS + 1]) {
  uint32_t count = 0;
  dead[0] = false;
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++) {
    dead[owner] = jt_owner_is_dead(store, owner);
    count += dead[owner];
  }
  return count;
}

/* 'dead' becomes: those of them whom no job names any more. */
static uint64_t bury_all(jt_store *store, bool dead[JT_OWNERS + 1]) {
  bool named[JT_OWNERS + 1] = { false }, room = true;
  uint64_t buried = 0;
  for (uint32_t at = 0; at < store->geometry.cells; at++) {
    uint32_t owner = owner_at(store, at);
    if (!dead[owner]) continue;
    jt_code code = room ? bury(store, at) : JT_FULL;
    if (code == JT_FULL) room = false;
    if (code == JT_OK) buried++;
    else named[owner] = true;
  }
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    dead[owner] = dead[owner] && !named[owner];
  return buried;
}

/* Whoever polls the version and the number of the dead is to notice that these are
   others, even if it is the same number again. */
static uint32_t free_slots(jt_store *store, const bool unnamed[JT_OWNERS + 1]) {
  uint32_t freed = 0;
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++) {
    if (!unnamed[owner]) continue;
    jt_owner_free(store, owner);
    freed++;
  }
  if (freed > 0) skip_version(store);
  return freed;
}

/* The store's version and how many are dead, of whom the pass knew: while both are the
   same, what found no room will not find any. */
static uint64_t state_of(const jt_store *store, uint32_t dead) {
  return jt_word_load(&store->header->version) * (2 * JT_OWNERS) + dead;
}

bool jt_write_off(jt_store *store) {
  bool gone[JT_OWNERS + 1];
  jt_word *unsettled = &store->header->unsettled;
  uint32_t dead = jt_owners_dead(store);
  if (dead == 0 || jt_word_load(unsettled) == state_of(store, dead)) return false;
  dead = find_dead(store, gone);
  uint64_t buried = bury_all(store, gone);
  uint32_t freed = free_slots(store, gone);
  jt_word_store(unsettled, dead > freed ? state_of(store, dead - freed) : 0);
  return buried + freed > 0;
}

bool jt_settle(jt_store *store) {
  if (store->readonly) return false;
  uint32_t dead = jt_owners_dead(store);
  if (dead == 0 ||
      jt_word_load(&store->header->unsettled) == state_of(store, dead) ||
      jt_lock_now(store) != JT_OK)
    return false;
  bool done = jt_write_off(store);
  jt_unlock(store);
  jt_notify_wake(store);
  return done;
}

/* ------------------------------------------------------ beginning and parting */

jt_code jt_begin_anew(jt_store *store, jt_error *error) {
  bool named[JT_OWNERS + 1];
  jt_code code = jt_locks_make(store, error);
  if (code != JT_OK) return code;
  jt_word_store(&store->header->unsettled, 0);
  jt_recover(store, JT_VERIFY);
  find_named(store, named);
  jt_owners_renew(store, named);
  jt_write_off(store);
  return JT_OK;
}

static bool anybody_hangs_here(const jt_store *store) {
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    if (jt_owner_hangs_here(store, owner)) return true;
  return false;
}

bool jt_owners_part(jt_store *store) {
  bool named[JT_OWNERS + 1];
  if (store->readonly || !anybody_hangs_here(store)) return true;
  if (jt_lock(store) != JT_OK) return false;
  uint32_t self = jt_owner_self(store);
  if (self != 0 && jt_owner_hangs_here(store, self)) {
    find_named(store, named);
    if (!named[self]) jt_owner_leave(store, self);
  }
  bool free = !anybody_hangs_here(store);
  jt_unlock(store);
  return free;
}
