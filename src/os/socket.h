/** Listening sockets and options of sockets; not part of the simulated table, since no engine calls it. */
#ifndef OS_SOCKET_H
#define OS_SOCKET_H

#include "os/socket_option.h"

/**
 * Bind and listen: O_NONBLOCK, close-on-exec, SO_REUSEADDR. A stale Unix socket file is replaced, a live
 * one is in use; of several who start at the same time one listens. A port that is in use is tried for half a second:
 * that of a server on io_uring which was killed is free some milliseconds later.
 *
 * Returns the descriptor, with `*address` as it is now (port 0 replaced), or a negative errno with a text that names
 * the address and what would help.
 */
int gb__socket_listen(
	struct gb__address *address, const struct gb__socket_options *options, struct gb_error *error);
/** Whether somebody listens there: who binds, or to a Unix socket connects, is told. */
bool gb__socket_is_taken(const struct gb__address *address);
/** Bind a socket of TCP there that does not listen, with `*address` as it is now (port 0 replaced): as long as it is open its port
 *  is no other program's, and servers that are told of it listen there (SO_REUSEADDR). Returns it, or a negative errno. */
int gb__socket_reserve(struct gb__address *address);
/** Take over a listening socket of connections that somebody else made: made as ours are. Returns 0 with its address, or a
 *  negative errno with what it is instead. */
int gb__socket_passed(int fd, struct gb__address *ret, struct gb_error *error);
/** Whether it is a connected stream socket of IP or Unix, or one of packets of Unix. Returns 0, or a negative errno with the reason. */
int gb__socket_check_connected(int fd, struct gb_error *error);
/** Make it as those that we accept: blocking (every operation says how it waits), closed at exec, tuned. */
void gb__socket_take_over(int fd, const struct gb__socket_options *options);
/**
 * How many connections wait to be accepted; where the kernel tells only whether any do (Unix sockets), 0 or
 * `guess`.
 */
unsigned gb__socket_waiting(int fd, unsigned guess);
/** close(2): never retried, the descriptor is gone even after EINTR. */
void gb__socket_close(int fd);
/** Names the file of a Unix socket. */
struct gb__socket_file {
	uint64_t device, number; /* 0: there is none */
};
struct gb__socket_file gb__socket_file(const char *path);
/** Remove the file of a Unix socket, unless another has taken its place. Before the socket is closed: once it is,
 *  others take the file for stale. */
void gb__socket_unlink(const char *path, struct gb__socket_file file);
int gb__socket_local(int fd, struct gb__address *ret);
int gb__socket_peer(int fd, struct gb__address *ret);
/** Who connected a Unix socket, as of then. Returns 0 or a negative errno. */
int gb__socket_peer_process(int fd, pid_t *ret_pid, uid_t *ret_uid);

#endif
