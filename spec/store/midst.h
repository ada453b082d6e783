/*
** midst.h - a look at what a call has done so far: a page is taken away, and who first
** touches it is interrupted just then.
*/
#ifndef MIDST_H
#define MIDST_H

#include "region.h"

/* 'look' is called once, at the next access to the page of 'at' that is not 'allowed'
   (PROT_READ, PROT_NONE). The call goes on afterwards. */
void midst_look(void *at, int allowed, void (*look)(void));

/* Whether it has been called. */
bool midst_happened(void);

#endif
