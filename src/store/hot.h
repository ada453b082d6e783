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
** under the lock, a get. JT_ASIDE: what is seldom needed on it stays out of it.
*/
#define JT_HOT __attribute__((hot))
#define JT_WAY __attribute__((hot, flatten))
#define JT_ASIDE __attribute__((noinline))

#endif
