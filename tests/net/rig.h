/**
 * Connections on a simulated kernel: a loop, a net and clients, stepped by the test. The same case runs
 * under every engine, first without faults, then with faults drawn from the test's seed.
 *
 *	NET_TEST(half_close) { struct peer *peer = rig_peer(rig, &service); … }
 *
 * registers half_close_on_reactor, half_close_on_proactor and so on. NET_ROUNDS says how many rounds.
 */
#ifndef TESTS_NET_RIG_H
#define TESTS_NET_RIG_H

#include "harness.h"
#include "net/conn.h"
#include "sim/client.h"
#include "stream/coroutine.h"
#include "tls/tls.h"

#define PEER_BYTES_MAX (1u << 20)

struct rig {
	struct sim_kernel *sim;
	struct sim_profile profile;
	struct gb__loop loop;
	struct gb__net net;
	struct gb__streams streams;
	struct gb__places places;
	struct gb__limits limits;
	struct gb__counters counters;
	_Atomic uint64_t connections_total;
	uint64_t random;
	unsigned round; /* 0: no faults */
	unsigned opened, closed;
	int last_reason;
	struct gb_conn *current; /* the last that opened, until it closes */
};

struct peer {
	struct rig *rig;
	struct sim_client *client;
	unsigned char *got; /* everything read so far */
	size_t got_size;
	size_t read_max; /* it reads up to so many bytes in all */
	bool at_end, was_reset;
	struct peer *beside; /* reads as well where this one waits; NULL: nobody */
	bool packets;        /* `got` has each behind its size, as they lie in queues */
	/* Where it speaks TLS: `got` is what was said, `at_end` that it was said to be all, or the end of the bytes. */
	struct gb__tls_session *session;
	unsigned char *records; /* to be sent */
	size_t records_size;
	bool open, ended, failed;
};

void rig_run(const char *engine, void (*body)(struct rig *rig));
/** A connection to be served, and its other end. Destroyed with peer_close. */
struct peer *rig_peer(struct rig *rig, const struct gb_service *service);
/** The same with a front that the peer does not know of; NULL: none. */
struct peer *rig_peer_on(struct rig *rig, const struct gb_service *service, const struct gb__front *front);
/** The same with TLS in front: peer_send, peer_read and peer_shutdown encrypt, decrypt, and say the end. */
struct peer *rig_tls_peer(struct rig *rig, const struct gb_service *service);
/** The front that rig_tls_peer gives; it stays. */
const struct gb__front *rig_front(void);
/** A client's session, on what this peer is connected by. */
void peer_tls(struct peer *peer);
/** A server's, of one that has connected to `listener`, once it has. Destroyed with peer_close. */
struct peer *rig_tls_taken(struct rig *rig, int listener);
/** One turn of the loop after every given peer has read. */
void rig_step(struct rig *rig, struct peer *peer);
void rig_step_until(struct rig *rig, struct peer *peer, unsigned *steps, const char *file, int line,
	const char *condition);
/** Let time pass. */
void rig_pass(struct rig *rig, uint64_t ms);
/** From here on no faults. */
void rig_calm(struct rig *rig);

/** A service that sends everything back: all that is sent in pieces comes back in order, and then the end. */
void rig_echo(struct rig *rig, const struct gb_service *service);
void rig_tls_echo(struct rig *rig, const struct gb_service *service);

/** Send everything, stepping as needed. */
void peer_send(struct peer *peer, const void *data, size_t size);
void peer_read(struct peer *peer);
/** It says all: by FIN, with TLS by close_notify and FIN. */
void peer_shutdown(struct peer *peer);
void peer_close(struct peer *peer);

/* Handlers may use these as they are, or call them first. They keep the rig's counts, and `current`. */
int count_open(struct gb_conn *conn);
void count_close(struct gb_conn *conn, int reason);
struct rig *rig_of(const struct gb_conn *conn);

unsigned char pattern_at(size_t offset);

#define UNTIL(rig, peer, condition) \
	do { \
		unsigned until_steps = 0; \
		while (!(condition)) \
			rig_step_until(rig, peer, &until_steps, __FILE__, __LINE__, #condition); \
	} while (0)

#define NET_TEST_ON(name, engine) \
	TEST(name##_on_##engine) \
	{ \
		rig_run(#engine, name); \
	}
#define NET_TEST(name) \
	static void name(struct rig *rig); \
	NET_TEST_ON(name, blocking) \
	NET_TEST_ON(name, reactor) \
	NET_TEST_ON(name, proactor) \
	NET_TEST_ON(name, proactor_bare) \
	static void name(struct rig *rig)

#endif
