/*
** version.h - the project's version, in the one place that states it. The
** rockspec's name and the changelog repeat it, and a spec compares them.
*/
#ifndef JT_VERSION_H
#define JT_VERSION_H

#define JT_VERSION "0.1.0"

#endif
