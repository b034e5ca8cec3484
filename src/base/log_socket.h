/** Who takes records on a socket of datagrams: syslog's daemon, and the journal's. Nobody waits for them. */
#ifndef BASE_LOG_SOCKET_H
#define BASE_LOG_SOCKET_H

#include <stddef.h>

/**
 * Records go to this path from now on, by a descriptor that is kept: one is there when none can be had. Copies.
 *
 * Before there are other threads. Returns 0, -ENAMETOOLONG or another negative errno.
 */
int gb__log_socket_open(const char *path);

/** In a child that has closed whatever its parent had: records go there by a descriptor of its own, if they went there. */
void gb__log_socket_reopen(void);

/**
 * Send a record. The path is looked up each time: a daemon that was started anew is found again.
 *
 * Thread: any. Returns 0, -EAGAIN (the daemon does not keep up: the record is lost) or another negative errno: there is
 * no daemon.
 */
int gb__log_socket_send(const void *record, size_t size);

#endif
