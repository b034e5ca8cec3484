/**
 * One engine in one world, real or simulated, for the conformance suite: the same case runs on every
 * engine by the name it gets here.
 *
 *	ENGINE_TEST(half_close) { struct rig_peer *peer; struct probe *probe = probe_pair(rig, &peer); … }
 *
 * registers half_close_on_epoll, half_close_on_sim_proactor and so on. On a simulated kernel a case
 * runs many rounds: the first without faults, the others with faults drawn from the test's seed.
 * SIM_ROUNDS says how many. An engine that this machine refuses is reported as skipped, with the reason.
 */
#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

#include "engine/engine.h"
#include "harness.h"
#include "sim/client.h"
#include "sim/kernel.h"

struct probe;

struct rig {
	const char *variant; /* "epoll", "sim_proactor" … */
	struct gb__os *os;
	struct gb__engine *engine;
	struct sim_kernel *sim; /* NULL: the real kernel */
	struct sim_profile profile;
	uint64_t random; /* for the case's own choices */
	int64_t step_ns; /* how long a step waits at most */
	unsigned round;  /* 0: no faults */
	unsigned inside; /* engine calls other than wait that have not returned */
	bool waiting;    /* inside wait: where callbacks may happen */
	int failure;     /* what a wait may answer, as the case expects, or 0: nothing negative */
	unsigned failed; /* waits that did */
	struct rig_peer *peers;
	unsigned probes; /* alive */
	uint64_t steps;
	uint64_t since_ns; /* when the present wait for a condition began; real */
};

enum { RIG_REAL = 1u, RIG_SIM = 2u };

void rig_run(const char *variant, unsigned where, void (*body)(struct rig *rig));
/** On a simulated kernel that makes no faults but those that the case scripts: one round. */
void rig_run_calm(const char *variant, void (*body)(struct rig *rig));

/* The suite is built in three programs, one for each of these; they run beside each other. */
#if defined(RIG_REACTORS)
#define RIG_VARIANTS_REAL(X, name) \
	X(name, blocking) \
	X(name, blocking_receives) \
	X(name, select) \
	X(name, poll) \
	X(name, epoll) \
	X(name, epoll_exclusive) \
	X(name, busy)
#define RIG_VARIANTS_SIM(X, name)
#elif defined(RIG_PROACTORS)
#define RIG_VARIANTS_REAL(X, name) \
	X(name, io_uring) \
	X(name, io_uring_shared) \
	X(name, io_uring_every_mask) \
	X(name, io_uring_few_buffers)
#define RIG_VARIANTS_SIM(X, name)
#else
#define RIG_VARIANTS_REAL(X, name)
#define RIG_VARIANTS_SIM(X, name) \
	X(name, sim_blocking) \
	X(name, sim_reactor) \
	X(name, sim_reactor_exclusive) \
	X(name, sim_reactor_first) \
	X(name, sim_proactor) \
	X(name, sim_proactor_first) \
	X(name, sim_proactor_every_mask) \
	X(name, sim_proactor_few_buffers)
#endif
#define RIG_TEST_REAL(name, variant) \
	TEST(name##_on_##variant) \
	{ \
		rig_run(#variant, RIG_REAL, name); \
	}
#define RIG_TEST_SIM(name, variant) \
	TEST(name##_on_##variant) \
	{ \
		rig_run(#variant, RIG_SIM, name); \
	}

#define RIG_BODY(name) __attribute__((unused)) static void name(struct rig *rig)
#define ENGINE_TEST(name) \
	RIG_BODY(name); \
	RIG_VARIANTS_REAL(RIG_TEST_REAL, name) \
	RIG_VARIANTS_SIM(RIG_TEST_SIM, name) \
	static void name(struct rig *rig)
#define ENGINE_TEST_REAL(name) \
	RIG_BODY(name); \
	RIG_VARIANTS_REAL(RIG_TEST_REAL, name) \
	static void name(struct rig *rig)
#define ENGINE_TEST_SIM(name) \
	RIG_BODY(name); \
	RIG_VARIANTS_SIM(RIG_TEST_SIM, name) \
	static void name(struct rig *rig)

#define STEP_TEST_ON(name, variant) \
	TEST(name##_on_##variant) \
	{ \
		rig_run_calm(#variant, name); \
	}
/* Step by step: on one kind of engine, respectively on both. */
#define STEP_TEST(name, variant) \
	static void name(struct rig *rig); \
	STEP_TEST_ON(name, variant) \
	static void name(struct rig *rig)
#define STEP_TEST_BOTH(name) \
	static void name(struct rig *rig); \
	STEP_TEST_ON(name, sim_reactor) \
	STEP_TEST_ON(name, sim_proactor) \
	static void name(struct rig *rig)

/** One wait, after every peer has read what it wants to. */
void rig_step(struct rig *rig);
/** The same without waiting: one turn of the simulated kernel. */
void rig_turn(struct rig *rig);
/** Steps until nothing in flight can be left that needs no more than time. */
void rig_settle(struct rig *rig);
/** As rig_step; fails the test when it was called too often in a row for one condition. */
void rig_step_until(struct rig *rig, uint64_t *steps, const char *file, int line, const char *condition);
/** Wait a while in which nothing happens: the engine must sleep, not turn round and round. */
void rig_rest(struct rig *rig);
/** A number below `bound`. */
unsigned rig_random(struct rig *rig, unsigned bound);
/** No more descriptors than are open now, respectively again as many as before. */
void rig_exhaust_fds(struct rig *rig);
void rig_restore_fds(struct rig *rig);
/** From now on the simulated kernel makes no faults, respectively reports readiness only where it is. */
void rig_faults_off(struct rig *rig);
void rig_exact_readiness(struct rig *rig);

#define UNTIL(rig, condition) \
	do { \
		uint64_t until_steps = 0; \
		while (!(condition)) \
			rig_step_until(rig, &until_steps, __FILE__, __LINE__, #condition); \
	} while (0)

/** Bytes that grow. */
struct bytes {
	unsigned char *data;
	size_t size, capacity;
};
void bytes_append(struct bytes *bytes, const void *data, size_t size);

/* What is sent is this sequence from some offset on, so that order and loss show at once. */
unsigned char pattern_at(size_t offset);
void pattern_fill(unsigned char *data, size_t size, size_t offset);
void pattern_check(const unsigned char *data, size_t size, size_t offset, const char *file, int line);
#define CHECK_PATTERN(data, size, offset) pattern_check(data, size, offset, __FILE__, __LINE__)

/** The other end of a stream. */
struct rig_peer {
	struct rig *rig;
	struct rig_peer *next;
	int fd;                    /* real: non-blocking; -1: closed */
	struct sim_client *client; /* simulated; NULL: closed */
	struct bytes got;          /* everything read so far */
	size_t read_max;           /* it reads up to so many bytes in all */
	size_t sent;               /* bytes of the pattern that were taken */
	bool packets;              /* `got` has each behind its size, as they lie in queues */
	bool at_end, was_reset;    /* seen while reading */
};

/** A connected pair: a peer and a descriptor for the engine. */
struct rig_peer *rig_pair(struct rig *rig, int *ret_fd);
/** The same on sockets of packets. */
struct rig_peer *rig_packets(struct rig *rig, int *ret_fd);
/** A listening descriptor (O_NONBLOCK) for the engine. */
int rig_listen(struct rig *rig, struct sockaddr_in *ret_address);
struct rig_peer *rig_connect(struct rig *rig, const struct sockaddr_in *address);
/** The peer of an outgoing connection, from a listening descriptor nobody else serves; waits for it. */
struct rig_peer *rig_accept(struct rig *rig, int listener);
/** An address that refuses connections. */
struct sockaddr_in rig_dead_address(struct rig *rig);

/** Send up to `size` more bytes of the pattern; returns those taken. */
size_t peer_send_some(struct rig_peer *peer, size_t size);
/** Send exactly `size` more, stepping the engine as needed. */
void peer_send(struct rig_peer *peer, size_t size);
/** The next `size` bytes of the pattern as a packet. Returns whether it was taken. */
bool peer_send_packet(struct rig_peer *peer, size_t size);
void peer_read(struct rig_peer *peer);
void peer_shutdown(struct rig_peer *peer);
void peer_reset(struct rig_peer *peer);
/** Plain close; the peer's record stays until the rig goes. */
void peer_close(struct rig_peer *peer);

#endif
