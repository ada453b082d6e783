/*
** midst.c - see midst.h.
*/
#include "midst.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct {
  unsigned char *page;
  void (*look)(void);
  volatile sig_atomic_t happened;
} midst;

static void touched(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  unsigned char *at = info->si_addr;
  if (midst.happened || at < midst.page || at >= midst.page + JT_PAGE) abort();
  midst.happened = 1;
  mprotect(midst.page, JT_PAGE, PROT_READ | PROT_WRITE);
  midst.look();
}

void midst_look(void *at, int allowed, void (*look)(void)) {
  struct sigaction action = { .sa_sigaction = touched, .sa_flags = SA_SIGINFO };
  midst.page = (unsigned char *)at - (uintptr_t)at % JT_PAGE;
  midst.look = look;
  midst.happened = 0;
  CHECK_INT(sigaction(SIGSEGV, &action, NULL), 0);
  CHECK_INT(mprotect(midst.page, JT_PAGE, allowed), 0);
}

bool midst_happened(void) {
  return midst.happened;
}
