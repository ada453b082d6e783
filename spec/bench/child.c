/*
** child.c - see child.h.
*/
#include "child.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

pid_t child_fork(void) {
  pid_t parent = getpid(), child = fork();
  if (child < 0) bench_die("fork: %s", strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
  }
  return child;
}

int child_wait(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) bench_die("waitpid: %s", strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) bench_die("a child has failed");
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void child_kill(pid_t child) {
  kill(child, SIGKILL);
  child_wait(child);
}

void *child_share(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                      -1, 0);
  if (memory == MAP_FAILED) bench_die("mmap: %s", strerror(errno));
  return memory;
}

bool child_use_cpu(int number) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  for (size_t cpu = CPU_SETSIZE; cpu-- > 0;) {
    if (!CPU_ISSET(cpu, &allowed) || number-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0;
  }
  return false;
}
