/** TLS of outgoing connections: whose service says so (gb_service.tls). */
#ifndef NET_SECURE_H
#define NET_SECURE_H

#include "net/net.h"
#include "os/address.h"

#include <gearbox/tls.h>

/**
 * Give a connection TLS, if its service wants it. `host`: what the user calls the server, for who has no other name for it, be
 * it that of a service (_service._proto.NAME); NULL: its address.
 *
 * Before it is attached. Returns 0, -ENOMEM, or -EDESTADDRREQ: a Unix socket, which has no name to check a certificate for.
 */
int gb__conn_secure(struct gb_conn *conn, const struct gb__address *address, const char *host);

/** The same of one that has been given it, and is not established: the user calls its server so. Returns 0 or -ENOMEM. */
int gb__conn_secure_as(struct gb_conn *conn, const char *host);

/** Keep why a connect has failed with `code`, in words, for who looks right after: by its operation. */
void gb__net_note(
	struct gb__net *net, const struct gb_conn *conn, const struct gb_operation *operation, int code);
/** An attempt of a whole has failed for that. */
void gb__net_note_whole(
	struct gb__net *net, const struct gb_operation *attempt, const struct gb_operation *whole);
/** Of the operation that has failed with `code`: those words, or those for the code. */
const char *gb__net_noted(const struct gb__net *net, const struct gb_operation *operation, int code);

#endif
