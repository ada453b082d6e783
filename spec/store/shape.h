/*
** shape.h - what shape a region is in: how much memory it holds, how far searches go in
** the index, in how many pieces the heap lies. Knows the layout; reads, while nobody
** writes.
*/
#ifndef SHAPE_H
#define SHAPE_H

#include "region.h"

typedef struct region_shape {
  uint64_t resident;              /* bytes of the region that memory holds */
  uint64_t used;                  /* bytes of the heap in use */
  uint32_t jobs, deleted;         /* cells */
  double hit, miss;               /* cells that a search looks at, on average */
  uint32_t longest_hit, longest_miss;
  uint32_t longest_search;        /* the header's word */
  uint32_t free_units, pieces, largest;   /* pieces: runs of free units */
  uint32_t mark;                  /* units below it have been used */
} region_shape;

region_shape shape_of(const jt_store *store);

/* Prints it as a line of a series. */
void shape_say(const char *when, const region_shape *s);

#endif
