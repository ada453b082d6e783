/*
** audit.h - recomputes from the cells everything that follows from them, with a
** decoder of its own, and says where the region differs.
*/
#ifndef AUDIT_H
#define AUDIT_H

#include "region.h"

typedef enum audit_allowance {
  AUDIT_STRICT = 0,
  AUDIT_LEAKS = 1,      /* units taken that no job holds: between a kill and the
                           recovery */
  AUDIT_CROWD = 2,      /* more jobs than max_jobs: a file made by malice */
  AUDIT_LIVES = 4,      /* jobs whose times do not suit their status, or whose texts
                           are not padded with zeros: likewise */
  AUDIT_FINDER = 8      /* does not call jt_cells_find */
} audit_allowance;

/*
** NULL, or the first difference in words, in a static buffer. Nobody may be
** writing. Looked at: each job's record, checksums, blobs, tag and version; that
** it can be found, by a search of its own and by jt_cells_find; that no two jobs
** share a unit or a version; bitmap, units_used, units_pinned, by_status, the
** mark and the store's version; and that no free slot is named.
*/
const char *audit(const jt_store *store);
const char *audit_allowing(const jt_store *store, unsigned allowances);

#define CHECK_AUDIT(store) CHECK_NO(audit(store))

#endif
