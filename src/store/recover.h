/*
** recover.h - one pass over the cells that rebuilds what follows from them.
*/
#ifndef JT_RECOVER_H
#define JT_RECOVER_H

#include "layout.h"

typedef enum jt_doubt {
  JT_TRUST,     /* a writer was killed: the cells are right, and what they refer
                   to is whole */
  JT_VERIFY     /* a file from before a reboot, or from anywhere: check also
                   every checksum, and that every job can be found */
} jt_doubt;

/*
** Rebuilds the bitmap, the counters and the version. A cell whose record is
** damaged is marked deleted and counted in 'damaged'. Under the lock, or where
** nobody else can be writing. May be cut short anywhere and begun again.
*/
void jt_recover(jt_store *store, jt_doubt doubt);

#endif
