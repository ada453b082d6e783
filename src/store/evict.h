/*
** evict.h - making room: which finished jobs have to go.
*/
#ifndef JT_EVICT_H
#define JT_EVICT_H

#include "record.h"

/* The time of the kernel's last tick, which is jt_now of 1 to 10 milliseconds ago at most
   (clock_getres). To know the microsecond, a processor waits for all it has under way. */
int64_t jt_last_tick(void);

/* Whether a job is past its retention: from then on it counts as gone, though
   its room is taken only when it is needed. */
bool jt_expired(const jt_store *store, const jt_record_words *words);

/*
** Removes all expired jobs or, if there are none, the 'share'-th part of the
** finished ones, the oldest first (at least one, at most a sixteenth of
** max_jobs); never the job in the cell 'keep'. Returns how many went. One pass
** over the cells. Under the lock.
*/
uint64_t jt_evict(jt_store *store, uint32_t keep, uint64_t share);

/* For asking what could be: marks what every job that jt_evict may remove
   occupies as free (gone), or as taken again, and changes nothing else. A pass
   over the cells. Under the lock. */
void jt_evict_suppose(jt_store *store, uint32_t keep, bool gone);

#endif
