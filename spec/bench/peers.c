/*
** peers.c - which stores were built in; see peer.h.
*/
#include "peer.h"

const bench_peer *const bench_peers[BENCH_PEERS] = {
  &peer_job_tracker,
#ifdef BENCH_LMDB
  &peer_lmdb,
#endif
};

void bench_name_peers(void) {
  for (int i = 0; i < BENCH_PEERS; i++)
    if (bench_peers[i]->version != NULL)
      bench_fact(bench_peers[i]->name, "%s", bench_peers[i]->version());
}
