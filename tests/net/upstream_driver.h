/** A pool of connections in the rig, and the peer that it connects to. */
#ifndef TESTS_NET_UPSTREAM_DRIVER_H
#define TESTS_NET_UPSTREAM_DRIVER_H

#include "rig.h"

#include "net/upstream.h"

static int listener;
static struct gb__address address;

static inline void listen_anew(struct rig *rig, unsigned backlog)
{
	listener = sim_listen(rig->sim, 0, backlog);
	CHECK(listener >= 0);
	address.size = sizeof(address.v4);
	address.v4 = sim_address(rig->sim, listener);
}

static inline void stop_listening(struct rig *rig)
{
	struct gb__os *os = sim_os(rig->sim);

	os->ops->close(os, listener);
}

static inline struct gb_upstream *pool_of(struct rig *rig, const struct gb_service *service,
	struct gb_upstream_options options, const struct gb__upstream_style *style)
{
	static const struct gb__socket_options socket;
	const struct gb__target target = { .kind = GB__TARGET_ADDRESS, .address = address };
	struct gb__upstream_terms terms = {
		.targets = &target, .count = 1, .socket = &socket, .options = &options, .style = style
	};
	struct gb_upstream *upstream;

	options.service = service;
	CHECK_INT(gb__upstream_create(&rig->net, &terms, &upstream), 0);
	return upstream;
}

static inline struct gb_upstream_stats stats(const struct gb_upstream *upstream)
{
	struct gb_upstream_stats ret;

	gb_upstream_stats(upstream, &ret);
	return ret;
}

/* The other end of the connection that came first and was not accepted yet. */
static inline struct peer far_end(struct rig *rig)
{
	struct peer peer = { .rig = rig, .got = malloc(PEER_BYTES_MAX), .read_max = PEER_BYTES_MAX };

	CHECK(peer.got);
	UNTIL(rig, NULL, (peer.client = sim_client_accept(rig->sim, listener)) != NULL);
	return peer;
}

static inline void far_close(struct peer *peer)
{
	sim_client_close(peer->client);
	free(peer->got);
}

/* Ends in order, each for as long as its peer does not end. */
static inline void rest_goes(struct rig *rig)
{
	rig_calm(rig);
	for (unsigned i = 0; rig->net.connections > 0; i++) {
		rig_pass(rig, 500);
		CHECK(i < 100);
	}
}

static inline void finish(struct rig *rig, struct gb_upstream *upstream)
{
	gb_upstream_destroy(upstream);
	rest_goes(rig);
	CHECK_INT(rig->loop.timers.count, 0);
	stop_listening(rig);
}

#endif
