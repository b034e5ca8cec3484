/**
 * The first that comes on a connection of an address with `proxy-protocol`: a PROXY header.
 *
 * Happy path: the peer is of a trusted network, its header comes, whole or in pieces, and is kept where it tells something;
 * the connection then begins as if it had just been established, with what came behind the header: TLS, or the service.
 */
#ifndef NET_PROXY_FRONT_H
#define NET_PROXY_FRONT_H

#include "net/conn.h"
#include "net/front.h"

/** Whether its header is awaited. */
bool gb__proxy_awaited(const struct gb_conn *conn);
/** Look at who has connected. Returns -1, or the reason to refuse him and a text or NULL; by a reset, once it is told. */
int gb__proxy_admit(struct gb__net *net, int fd, const struct gb__front *front, const char **ret_problem);
/** From now on the header is awaited; gb__conn_established follows it. */
void gb__proxy_await(struct gb_conn *conn);

#endif
