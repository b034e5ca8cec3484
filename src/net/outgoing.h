/** Outgoing connections. */
#ifndef NET_OUTGOING_H
#define NET_OUTGOING_H

#include "net/net.h"
#include "os/socket.h"

#include <gearbox/worker.h>

/**
 * Begin to connect; the outcome is told by on_open, or by on_close with GB_CLOSE_CONNECT_FAILED.
 *
 * Returns 0, or -EMFILE, -ENOMEM, -GB_ELIMIT… (nothing follows).
 */
int gb__net_connect(struct gb__net *net, const struct gb__address *address,
	const struct gb__socket_options *options, const struct gb_service *service, void *user,
	enum gb__for who, struct gb_conn **ret_conn);

/**
 * Make a connection, of our own making, of a socket that is connected to somebody we have begun: told by on_open in a later
 * step of the loop, as one that has connected. Takes `fd`, also when it fails. Returns 0, -ENOMEM, -GB_ELIMIT (nothing follows).
 */
int gb__net_join(struct gb__net *net, int fd, const struct gb_service *service, void *user, enum gb__for who,
	struct gb_conn **ret_conn);

/** Begin the operation that completes when `conn`, which connects, is established, or has ended before. */
void gb__connect_begin(
	struct gb_conn *conn, struct gb_connecting *connecting, gb_operation_done *on_done, void *user);
/** It is, or it has: complete the operation of its terms. */
void gb__connect_complete(struct gb_conn *conn);

#endif
