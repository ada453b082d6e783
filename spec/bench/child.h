/*
** child.h - other processes of a measuring program, which end with it, and the memory
** that they share with it.
*/
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Forks; 0 in the child, which the kernel kills when its parent ends. */
pid_t child_fork(void);

/* Waits for its end. Returns the signal that ended it, 0 if it ended by itself; ends
   the program if it failed. */
int child_wait(pid_t child);

/* Kills it, if it has not ended yet, and waits. */
void child_kill(pid_t child);

/* Zeroed memory that children see too. */
void *child_share(size_t size);

/* Runs this process on the last CPU but so many of those that it may use; false if
   there are not so many. */
bool child_use_cpu(int number);

#endif
