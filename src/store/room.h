/*
** room.h - units for what is to be published, made free by eviction if need be.
** Under the lock. Until something is published, giving up costs nothing.
*/
#ifndef JT_ROOM_H
#define JT_ROOM_H

#include "record.h"

/*
** Takes a place for each run, or for none, making room in ever larger shares until
** it is enough. 'keep': see jt_evict. 'held': units of the job in hand that are
** not counted as pinned. JT_FULL.
*/
jt_code jt_room_take(jt_store *store, jt_run *runs, int count, uint32_t keep,
                     uint64_t held);

/* Whether there are jobs that may be evicted. */
bool jt_room_has_finished(const jt_store *store);

#endif
