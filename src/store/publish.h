/*
** publish.h - the moment in which a change becomes true, and the bookkeeping
** that follows it. All under the lock.
*/
#ifndef JT_PUBLISH_H
#define JT_PUBLISH_H

#include "record.h"

/* The version that the next change gets. */
uint64_t jt_next_version(const jt_store *store);

/*
** Gives the record the next version and its checksum, writes it into the run at 'unit',
** which nobody refers to yet, and lets the cell 'at' refer to it: the job changes in that
** one store. 'tagged': see jt_cell_make. 'old' is what the job held until now, and its
** units stay taken; NULL for a new job, which gets its sequence too.
*/
void jt_publish(jt_store *store, uint32_t at, uint64_t tagged, uint32_t unit,
                jt_record_words *words, const jt_glance *old);

/* Removes the job in that cell, whose record is at 'unit', and frees all that it
   holds. */
void jt_remove(jt_store *store, uint32_t at, uint32_t unit, const jt_glance *held);

/* Writes a blob into a run that nobody refers to yet. */
jt_blob jt_blob_write(jt_store *store, uint32_t unit, jt_text text);

#endif
