/*
** owner.c - taking and giving slots; see owner.h.
*/
#include "owner.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

_Static_assert(offsetof(pthread_mutex_t, __data.__lock) == 0,
               "a mutex begins with its futex word");

static void set_state(jt_slot *slot, uint32_t state) {
  atomic_store_explicit(&slot->state, state, memory_order_release);
}

uint32_t jt_owners_dead(const jt_store *store) {
  uint32_t dead = 0;
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    dead += jt_owner_is_dead(store, owner);
  return dead;
}

/* A word alone could be left of another thread of that number, which the kernel could
   not mark (owner.h): what this one owned by it, nobody would see dead. */
uint32_t jt_owner_self(const jt_store *store) {
  uint32_t self = (uint32_t)gettid(), process = (uint32_t)getpid();
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    if ((jt_slot_word(&store->slots[owner - 1]) & FUTEX_TID_MASK) == self &&
        jt_owner_pid(store, owner) == process)
      return owner;
  return 0;
}

static bool hold(pthread_mutex_t *life) {
  int failed = pthread_mutex_trylock(life);
  if (failed == EOWNERDEAD) failed = pthread_mutex_consistent(life);
  return failed == 0;
}

static bool take(jt_store *store, jt_slot *slot) {
  /* Pairs with the acquire in jt_owner_lives: before this slot was free, the jobs
     of its last owner had been changed. */
  atomic_thread_fence(memory_order_seq_cst);
  if (!hold(&slot->life)) return false;
  atomic_store_explicit(&slot->pid, (uint32_t)getpid(), memory_order_relaxed);
  jt_word_store(&slot->base, (uint64_t)(uintptr_t)store->base);
  set_state(slot, JT_SLOT_USED);
  return true;
}

uint32_t jt_owner_take(jt_store *store) {
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    if (!jt_owner_is_used(store, owner) && take(store, &store->slots[owner - 1]))
      return owner;
  return 0;
}

void jt_owner_leave(jt_store *store, uint32_t owner) {
  set_state(&store->slots[owner - 1], JT_SLOT_FREE);
  pthread_mutex_unlock(&store->slots[owner - 1].life);
}

void jt_owner_free(jt_store *store, uint32_t owner) {
  set_state(&store->slots[owner - 1], JT_SLOT_FREE);
}

bool jt_owner_hangs_here(const jt_store *store, uint32_t owner) {
  const jt_slot *slot = &store->slots[owner - 1];
  return jt_owner_is_used(store, owner) && jt_owner_lives(store, owner) &&
         jt_owner_pid(store, owner) == (uint32_t)getpid() &&
         jt_word_load(&slot->base) == (uint64_t)(uintptr_t)store->base;
}

void jt_owners_renew(jt_store *store, const bool named[JT_OWNERS + 1]) {
  jt_word *incarnation = &store->header->incarnation;
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++)
    set_state(&store->slots[owner - 1], named[owner] ? JT_SLOT_USED : JT_SLOT_FREE);
  /* Release: pairs with jt_owners_doubted. */
  atomic_store_explicit(incarnation, jt_word_load(incarnation) + 1, memory_order_release);
}

size_t jt_epitaph(uint32_t pid, jt_text step, char text[JT_EPITAPH_MAX]) {
  char who[32] = "";
  if (pid != 0) snprintf(who, sizeof who, " (pid %u)", (unsigned)pid);
  int length = snprintf(text, JT_EPITAPH_MAX, "the process working on this job%s died%s",
                        who, step.length > 0 ? " during: " : "");
  if (step.length > 0) memcpy(text + length, step.bytes, step.length);
  return (size_t)length + step.length;
}
