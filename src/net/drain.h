/**
 * Draining: each connection is ended as soon as nothing of it is under way.
 *
 * By themselves these are under way: input kept, output, a task in the pool, a pause, a FIN that was told and not
 * answered, a hold. Of a connection whose answers come from elsewhere (a message was not answered where it was
 * delivered, or bytes were sent outside its callbacks: a stream, a proxy, a job) nobody can tell, so that it must have
 * been quiet for GB__DRAIN_QUIET_MS. Those that handlers made themselves go last: others may live on them.
 */
#ifndef NET_DRAIN_H
#define NET_DRAIN_H

#include "net/conn.h"

/** While draining, turns that only take in what has arrived before what is idle is told. */
#define GB__DRAIN_TURNS 3u
/** And how long, from its beginning, those who have come and said nothing yet may still do so. */
#define GB__DRAIN_GRACE_MS 100u
/** How long nothing moves on a connection whose answers come from elsewhere before it is taken to be idle. */
#define GB__DRAIN_QUIET_MS 1000u

/** The net drains and has taken in what had arrived: tell on_drain, once, and end it if nothing is under way. */
void gb__conn_drain(struct gb_conn *conn);
/** The last connection that was accepted has gone. */
void gb__net_drain_outgoing(struct gb__net *net);
/** Before a turn while draining: count, now and then, what is still there. Returns the timeout of the turn. */
int64_t gb__net_drain_count(struct gb__net *net, int64_t timeout_ns);

/** Let others read what was counted. */
void gb__net_census_publish(struct gb__net *net);

#endif
