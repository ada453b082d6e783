/*
** owner.h - the slots of threads that own jobs, and whether these live. Knows
** neither cells nor records: a record says its owner by a slot's number, from 1.
**
** A thread that claims holds its slot's robust mutex from then on until it ends.
** When it ends, in whatever way, the kernel finds the mutex in the thread's list
** of those and marks the futex word, the first of a mutex: FUTEX_OWNER_DIED, and
** the thread's id is gone. So a living owner is a word that names a thread and
** is not so marked: one load, also for those who may only read. No heartbeat, no
** clock, and no pid that might be another process's by now.
**
**   FREE --take--> USED, held --thread ends--> USED, dead --written off--> FREE
**
** A slot is USED only while its mutex is held, or after the thread's end: its mutex
** is taken before it becomes USED, and given back after it became FREE, so that nobody
** who looks meanwhile counts a dead owner where there is none. Killed in between, the
** thread leaves a FREE slot whose mutex is marked, which the next one to take it makes
** consistent. A slot of the dead becomes FREE only when no job names it (bury.c).
**
** A reader who finds a record's owner dead looks once more whether the cell is
** unchanged (read.c): an owner that finished its job before it died, or a
** slot that was given to somebody else since, has changed the cell before.
**
** One end escapes the kernel: a thread that is not the first of its process and calls
** exec without a fork. It takes the first one's number before its list is looked at, so
** its word keeps the old one. The slot stays taken until somebody opens the file alone.
**
** The words are the kernel's doing only while the machine is up and the file in
** use. Who opens a file alone makes all mutexes anew, then counts a new
** incarnation. A reader who comes when no writer is there cannot know what the
** words are worth, and believes them from the next incarnation on.
*/
#ifndef JT_OWNER_H
#define JT_OWNER_H

#include <linux/futex.h>

#include "layout.h"

/* The mutex's futex word. */
static inline uint32_t jt_slot_word(const jt_slot *slot) {
  return atomic_load_explicit((const _Atomic uint32_t *)(const void *)&slot->life,
                              memory_order_acquire);
}

/* Acquire: pairs with the release in jt_owners_renew. Ask this before the word. */
static inline bool jt_owners_doubted(const jt_store *store) {
  return store->doubts &&
         atomic_load_explicit(&store->header->incarnation, memory_order_acquire) ==
         store->doubted;
}

/* Acquire: who sees that the owner has ended sees all that it published; and who
   sees another one in its place sees what was published before that was let in
   (the fence in jt_owner_take). */
static inline bool jt_owner_lives(const jt_store *store, uint32_t owner) {
  if (jt_owners_doubted(store)) return false;
  uint32_t word = jt_slot_word(&store->slots[owner - 1]);
  return (word & FUTEX_TID_MASK) != 0 && (word & FUTEX_OWNER_DIED) == 0;
}

static inline uint32_t jt_owner_pid(const jt_store *store, uint32_t owner) {
  return atomic_load_explicit(&store->slots[owner - 1].pid, memory_order_relaxed);
}

/* Acquire: pairs with the release in owner.c's set_state, after the mutex is taken. */
static inline bool jt_owner_is_used(const jt_store *store, uint32_t owner) {
  return atomic_load_explicit(&store->slots[owner - 1].state, memory_order_acquire) ==
         JT_SLOT_USED;
}

/* The word on either side of the state: one that is given back between two looks is
   FREE by the second, one that is taken is held by the third. */
static inline bool jt_owner_is_dead(const jt_store *store, uint32_t owner) {
  return !jt_owner_lives(store, owner) && jt_owner_is_used(store, owner) &&
         !jt_owner_lives(store, owner);
}

/* How many of the slots in use are dead. */
uint32_t jt_owners_dead(const jt_store *store);

/* The slot that the calling thread holds; 0: none. Under the lock. */
uint32_t jt_owner_self(const jt_store *store);

/* Takes a free slot for the calling thread, which has none; 0: there is none.
   Under the lock. */
uint32_t jt_owner_take(jt_store *store);

/* Gives the slot up that the calling thread took by this mapping. Under the
   lock. */
void jt_owner_leave(jt_store *store, uint32_t owner);

/* For slots of the dead, that no job names. Under the lock. */
void jt_owner_free(jt_store *store, uint32_t owner);

/* Whether a living thread of this process holds the slot by this very mapping:
   then its C library has a list that leads through it. */
bool jt_owner_hangs_here(const jt_store *store, uint32_t owner);

/*
** For the one who has the file alone, after jt_locks_make: 'named' tells which
** slots the jobs name, by owner. These owners are dead from now on, the others'
** slots free; and those who doubted may believe.
*/
void jt_owners_renew(jt_store *store, const bool named[JT_OWNERS + 1]);

/* What a job says whose owner died: that text, not terminated; its length. */
enum { JT_EPITAPH_MAX = JT_STEP_MAX + 128 };
size_t jt_epitaph(uint32_t pid, jt_text step, char text[JT_EPITAPH_MAX]);

#endif
