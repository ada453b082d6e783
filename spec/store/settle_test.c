/*
** settle_test.c - src/store/bury.c where only a part of the dead can be written off, or
** there is nothing but slots to free: what is tried again and when, who is woken, and
** what an orphan that nobody has written off lets nobody do. (Slots and files when owners
** come and go: bury_test.c.)
*/
#include <stdlib.h>

#include "audit.h"
#include "deaths.h"
#include "raw.h"
#include "store/bury.h"
#include "store/heap.h"
#include "store/notify.h"
#include "store/owner.h"

/* As one killed between the two halves of a claim leaves it: dead, and without jobs. */
static void kill_slot(jt_store *store, uint32_t owner) {
  atomic_store(&store->slots[owner - 1].state, JT_SLOT_USED);
}

/* ------------------------------------------------------------------- no room */

enum { UNITS = 24, RESERVED = UNITS - 4 };

/* A store with one job, of the dead, and room for a report of its progress, but not for
   what is said of the dead: who had reserved the rest was killed. */
typedef struct scene {
  jt_store *store;
  job_id id;
  uint32_t reserved;
} scene;

static scene make_scene(void) {
  scene s = { .store = region_make(4, UNITS) };
  s.id = orphan_make(s.store, "job", 1);
  s.reserved = jt_heap_take(s.store, RESERVED);
  CHECK(s.reserved != 0);
  return s;
}

static void what_is_not_written_off_is_not_changed(void) {
  scene s = make_scene();
  jt_job *before, *after;
  jt_change change = { .fields = JT_SET_PROGRESS, .progress = 0.5 };
  CHECK_CODE(get(s.store, &s.id, &before), JT_OK);
  CHECK_CODE(update(s.store, &s.id, &change), JT_FULL);
  CHECK_CODE(get(s.store, &s.id, &after), JT_OK);
  CHECK(job_same(before, after));
  CHECK_INT(after->status, JT_FAILED);
  CHECK_INT(jt_word_load(&s.store->header->by_status[JT_PENDING]), 1);
  CHECK_NO(audit_allowing(s.store, AUDIT_LEAKS));
  free(before), free(after);
  region_free(s.store);
}

/* Nor is it tried again when the same pass has freed another's slot; but it is when
   somebody else dies, and then for both. */
static void it_is_tried_again_for_others(void) {
  scene s = make_scene();
  kill_slot(s.store, 7);
  CHECK_INT(dead_in(s.store), 1);
  jt_heap_give(s.store, s.reserved, RESERVED);
  CHECK_INT(dead_in(s.store), 1);
  kill_slot(s.store, 7);
  CHECK_INT(dead_in(s.store), 0);
  CHECK_INT(jt_word_load(&s.store->header->by_status[JT_FAILED]), 1);
  CHECK_INT(status_of(s.store, &s.id), JT_FAILED);
  CHECK_AUDIT(s.store);
  region_free(s.store);
}

/* Who opens a file alone has its units counted anew, and that is a change. */
static void it_is_tried_again_at_an_opening(void) {
  scene s = make_scene();
  CHECK_INT(dead_in(s.store), 1);
  region_verify(s.store);
  CHECK_INT(jt_word_load(&s.store->header->by_status[JT_FAILED]), 1);
  CHECK_INT(jt_owners_dead(s.store), 0);
  CHECK_INT(status_of(s.store, &s.id), JT_FAILED);
  CHECK_AUDIT(s.store);
  region_free(s.store);
}

/* ------------------------------------------------------------------ slots alone */

/* There is nothing to write off, but who claims finds a slot by the same call. */
static void every_slot_is_a_dead_ones(void) {
  jt_store *store = region_make(4, UNITS);
  job_id id = create(store, "job", 1);
  for (uint32_t owner = 1; owner <= JT_OWNERS; owner++) kill_slot(store, owner);
  CHECK_CODE(claim_job(store, &id), JT_OK);
  CHECK(jt_owner_self(store) != 0);
  CHECK_INT(status_of(store, &id), JT_PENDING);
  CHECK_INT(dead_in(store), 0);
  CHECK_AUDIT(store);
  region_free(store);
}

/* The last slot is as good as any: its owner's store is not to be unmapped, for the C
   library's list leads through it. */
static void the_last_slot_is_one_too(void) {
  jt_store *store = region_make(4, UNITS);
  for (uint32_t owner = 1; owner < JT_OWNERS; owner++) kill_slot(store, owner);
  job_id id = create_claimed(store, "job", 1);
  CHECK_INT(jt_owner_self(store), JT_OWNERS);
  CHECK(!jt_owners_part(store));
  CHECK_INT(dead_in(store), 0);
  CHECK_INT(status_of(store, &id), JT_PENDING);
  CHECK_CODE(set_status(store, &id, JT_COMPLETED), JT_OK);
  CHECK(jt_owners_part(store));
  CHECK_INT(jt_owner_is_used(store, JT_OWNERS), false);
  region_free(store);
}

/* In a file made by malice: a slot that it names would be nobody's for ever. */
static void a_finished_job_keeps_no_slot(void) {
  jt_store *store = region_make(4, 100);
  uint32_t unit = store->geometry.end_unit - 20;
  job_id id = id_of("forged", 1);
  raw_record record = { .version = 1, .sequence = 1, .status = JT_COMPLETED, .owner = 7,
                        .created_at = 1000, .updated_at = 2000, .finished_at = 2000,
                        .id = { id.text, id.length }, .step = text_of("forged") };
  raw_publish(store, unit, &record);
  region_verify(store);
  CHECK_INT(status_of(store, &id), JT_COMPLETED);
  CHECK_INT(jt_owner_is_used(store, 7), false);
  CHECK_INT(dead_in(store), 0);
  region_free(store);
}

/* ------------------------------------------------------------------------ waking */

/* Others may wait for what is written off with the job that was asked for. */
static void who_only_looks_wakes_too(void) {
  jt_store *store = region_make(4, 100);
  job_id id = orphan_make(store, "job", 1);
  uint32_t ticket = jt_notify_prepare(store);
  CHECK_INT(status_of(store, &id), JT_FAILED);
  CHECK_INT(jt_word_load(&store->header->by_status[JT_FAILED]), 1);
  CHECK(atomic_load(&store->notice->word) != ticket);
  region_free(store);
}

static const check_case cases[] = {
  CASE(what_is_not_written_off_is_not_changed), CASE(it_is_tried_again_for_others),
  CASE(it_is_tried_again_at_an_opening), CASE(every_slot_is_a_dead_ones),
  CASE(the_last_slot_is_one_too),
  CASE(a_finished_job_keeps_no_slot), CASE(who_only_looks_wakes_too),
};
CHECK_MAIN(cases)
