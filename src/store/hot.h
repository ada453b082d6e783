/*
** hot.h - what compilers are told of the ways that are taken a million times.
*/
#ifndef JT_HOT_H
#define JT_HOT_H

/*
** JT_HOT: on the way of every get, or of every update. The linker puts these side by
** side: where they lay by chance among the rest, the same source took 102 ns for a
** get_job or 140, by what else was compiled before it.
** JT_WAY: a hot one that is compiled as one function with all that it calls: an update
** under the lock, a get. JT_ASIDE: what is not always needed on it stays out of it.
** JT_RARE: what is hardly ever needed, so that the code which leads there stays out of it
** too. A way in fewer lines of code, one behind the other, leaves more of the processor's
** 32 KiB for the caller's: an interpreter fills half of them.
*/
#define JT_HOT __attribute__((hot))
#define JT_WAY __attribute__((hot, flatten))
#define JT_ASIDE __attribute__((noinline))
#define JT_RARE __attribute__((noinline, cold))

#endif
