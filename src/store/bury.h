/*
** bury.h - writing dead owners' jobs off: what every reader says of them becomes
** what is stored.
*/
#ifndef JT_BURY_H
#define JT_BURY_H

#include "layout.h"

/*
** Publishes every orphaned job as failed, and frees the slots of the dead that no
** job names any more. What finds no room stays as it is, and so does its slot; it
** is not tried again while nothing has changed since. True: something was done.
** One pass over the cells, if anybody is dead. Under the lock.
*/
bool jt_write_off(jt_store *store);

/* For calls that only look, where they may write and the lock is free: jt_write_off.
   True: look again. */
bool jt_settle(jt_store *store);

/*
** For the one who has the file alone: jt_locks_make, whatever the words were before;
** verification; and the owners that jobs name are dead.
*/
jt_code jt_begin_anew(jt_store *store, jt_error *error);

/*
** Gives up the slot of the calling thread, if it took it by this mapping and no
** unfinished job names it. True: no living thread of this process has a slot by
** this mapping, which may go.
*/
bool jt_owners_part(jt_store *store);

#endif
