/** What the raw loops and the peers share: the socket they listen on. All that a ratio measures is theirs alone. */
#ifndef RAW_LISTEN_H
#define RAW_LISTEN_H

#include <stddef.h>

enum { BACKLOG = 4096 };

/**
 * Listen on 127.0.0.1, port from the command line (default 0: any).
 *
 * With `--loops N` this returns in N processes, each with a socket of its own on the one port, over which the
 * kernel spreads connections; the others end with the first. With `--one-table` behind it they share their table
 * of descriptors, as threads do (CLONE_FILES, clone(2)), and nothing else. TCP_NODELAY is set here and inherited by what
 * is accepted. The soft descriptor limit is raised to the hard one. `flags` (SOCK_NONBLOCK or 0) are those of
 * the listening socket. Exits with a message on failure.
 *
 * Returns the socket; `ret_fds_max` is one more than the highest descriptor this process can get.
 */
int raw_listen(int argc, char **argv, int flags, size_t *ret_fds_max);

/** The loop is ready: the first process prints the port on stdout. */
void raw_announce(int fd);

#endif
