#include "rig.h"
#include "base/macros.h"

#include "engine/poller/poller.h"
#include "engine/ring/ring.h"
#include "os/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIM_ROUNDS 12u
#define STEPS_MAX_SIM 2000000u
#define SECONDS_MAX_REAL 30u
#define STEP_NS 1000000
#define RECEIVE_MS 1              /* of an engine that receives without polling first */
#define STEP_RECEIVES_NS 11000000 /* and a timeout with which it does */
#define PACKETS_BYTES 73728       /* asked for, of packets: a few of the largest */
#define SOCKET_BYTES 32768        /* asked for: small, so that 150 K do not vanish into the kernel */

/* ---- variants ---- */

#define RING_FEATURES 7u /* GB__RING_… */
#define FDS_SEEN 1024

/* Feature sets that differ: without buffers no multishot receive, without single issuer no deferred work. */
static bool is_sensible_mask(unsigned mask)
{
	if ((mask & GB__RING_PROVIDED_BUFFERS) && !(mask & GB__RING_MULTISHOT_RECV))
		return false;
	/* How it is woken has to do with none of the others, nor have large buffers, which there may be with any. */
	if ((mask & GB__RING_MESSAGES) && mask != GB__RING_MESSAGES)
		return false;
	if ((mask & GB__RING_BULK) && mask != GB__RING_BULK)
		return false;
	return !((mask & GB__RING_SINGLE_ISSUER) && !(mask & GB__RING_DEFER_TASKRUN));
}

static int engine_make(
	struct rig *rig, const char *kind, struct gb__engine_options options, struct gb_error *error)
{
	options.os = rig->os;
	if (!rig->sim)
		return gb__engine_create(kind, options, &rig->engine, error);
	options.poller = rig->round % 2 ? &sim_poller_unforgetting : &sim_poller;
	options.ring = &sim_ring;
	if (strcmp(kind, "reactor") == 0)
		return gb__engine_reactor.create(&options, &rig->engine, error);
	if (strcmp(kind, "blocking") == 0)
		return gb__engine_blocking.create(&options, &rig->engine, error);
	return gb__engine_proactor.create(&options, &rig->engine, error);
}

static void peers_free(struct rig *rig)
{
	while (rig->peers) {
		struct rig_peer *peer = rig->peers;

		rig->peers = peer->next;
		peer_close(peer);
		free(peer->got.data);
		free(peer);
	}
}

/* Descriptors that are open, of the simulated kernel or of this process. */
static unsigned open_fds(const struct rig *rig)
{
	unsigned count = 0;

	if (rig->sim)
		return sim_kernel_open_fds(rig->sim);
	for (int fd = 0; fd < FDS_SEEN; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* New connections were told before all else. */
static void accepts_told(void *arg)
{
	CHECK(((struct rig *)arg)->waiting);
}

static bool round_run(
	struct rig *rig, const char *kind, struct gb__engine_options options, void (*body)(struct rig *rig))
{
	struct gb_error error = { 0 };
	unsigned fds = open_fds(rig);
	int result = engine_make(rig, kind, options, &error);

	if (result < 0) {
		/* Only a kernel may refuse; what it says is the reason. */
		CHECK(!rig->sim && strcmp(kind, "io_uring") == 0);
		fprintf(stderr, "SKIPPED %s: %s\n", rig->variant, error.text);
		return false;
	}
	rig->engine->on_accepts_told = accepts_told;
	rig->engine->on_accepts_told_arg = rig;
	body(rig);
	CHECK_INT(rig->probes, 0);
	rig->engine->ops->destroy(rig->engine);
	peers_free(rig);
	CHECK_INT(open_fds(rig), fds);
	return true;
}

static bool rounds_run(const char *variant, const char *kind, bool simulated,
	struct gb__engine_options options, unsigned rounds, void (*body)(struct rig *rig))
{
	uint64_t state = test_seed();

	for (unsigned round = 0; round < rounds; round++) {
		struct rig rig = { .variant = variant,
			.os = &gb__os_linux,
			.round = round,
			.step_ns = options.receive_ms ? STEP_RECEIVES_NS : STEP_NS };
		uint64_t seed = test_random(&state);
		bool done;

		rig.random = seed ^ 1u;
		if (simulated) {
			rig.profile = sim_profile_calm;
			if (round)
				sim_profile_draw(&rig.profile, &seed);
			rig.sim = sim_kernel_create(seed, &rig.profile);
			rig.os = sim_os(rig.sim);
		}
		done = round_run(&rig, kind, options, body);
		sim_kernel_destroy(rig.sim);
		if (!done)
			return false;
	}
	return true;
}

/* Whether `variant` has this suffix; then cuts it off the kind. */
static bool has_suffix(const char *variant, const char *suffix, char *kind, size_t kind_size)
{
	const char *found = strstr(variant, suffix);

	if (!found || found[strlen(suffix)])
		return false;
	snprintf(kind, kind_size, "%.*s", (int)(found - variant), variant);
	return true;
}

static void every_mask_run(
	const char *variant, const char *kind, bool simulated, unsigned rounds, void (*body)(struct rig *rig))
{
	for (unsigned mask = 0; mask < 1u << RING_FEATURES; mask++) {
		const struct gb__engine_options options = { .ring_mask = mask };

		if (is_sensible_mask(mask) && !rounds_run(variant, kind, simulated, options, rounds, body))
			return;
	}
}

void rig_run(const char *variant, unsigned where, void (*body)(struct rig *rig))
{
	bool simulated = where == RIG_SIM;
	const char *name = simulated ? variant + strlen("sim_") : variant, *given = getenv("SIM_ROUNDS");
	unsigned rounds = !simulated ? 1 : given ? (unsigned)strtoul(given, NULL, 0) : SIM_ROUNDS;
	struct gb__engine_options options = { 0 };
	char kind[64];

	snprintf(kind, sizeof(kind), "%s", name);
	if (has_suffix(name, "_every_mask", kind, sizeof(kind))) {
		every_mask_run(
			variant, kind, simulated, simulated ? gb__min(rounds, 2 + rounds / 20) : 1, body);
		return;
	}
	if (has_suffix(name, "_few_buffers", kind, sizeof(kind))) {
		options.buffers = 2;
		options.buffer_size = 256;
		options.bulk_buffers = 2;
		options.bulk_buffer_size = 1024;
	}
	if (has_suffix(name, "_receives", kind, sizeof(kind))) {
		options.receive_ms = RECEIVE_MS;
		if (!gb__receivers_begin())
			fprintf(stderr, "SKIPPED %s: no receiver here, it polls\n", variant);
	}
	options.accept_when_ready = has_suffix(name, "_shared", kind, sizeof(kind));
	if (has_suffix(name, "_first", kind, sizeof(kind)))
		options.accept_when_ready = options.accept_first = true;
	if (has_suffix(name, "_exclusive", kind, sizeof(kind)))
		options.accept_when_ready = options.accept_exclusive = true;
	rounds_run(variant, kind, simulated, options, rounds, body);
	if (options.receive_ms)
		gb__receivers_end();
}

void rig_run_calm(const char *variant, void (*body)(struct rig *rig))
{
	rounds_run(variant, variant + strlen("sim_"), true, (struct gb__engine_options){ 0 }, 1, body);
}

/* ---- steps ---- */

static void step(struct rig *rig, int64_t timeout_ns)
{
	int result;

	for (struct rig_peer *peer = rig->peers; peer; peer = peer->next)
		peer_read(peer);
	CHECK_INT(rig->inside, 0);
	rig->waiting = true;
	rig->steps++;
	result = rig->engine->ops->wait(rig->engine, timeout_ns);
	rig->waiting = false;
	CHECK(result >= 0 || (rig->failure && result == rig->failure));
	rig->failed += result < 0;
}

void rig_step(struct rig *rig)
{
	step(rig, rig->step_ns);
}

void rig_turn(struct rig *rig)
{
	step(rig, 0);
}

void rig_settle(struct rig *rig)
{
	for (unsigned i = 0; i < (rig->sim ? 200u : 5u); i++)
		rig_step(rig);
}

void rig_step_until(struct rig *rig, uint64_t *steps, const char *file, int line, const char *condition)
{
	uint64_t now_ns = rig->os->ops->now_ns(rig->os);
	bool over;

	if ((*steps)++ == 0)
		rig->since_ns = now_ns;
	over = rig->sim ? *steps > STEPS_MAX_SIM
			: now_ns - rig->since_ns > SECONDS_MAX_REAL * UINT64_C(1000000000);
	if (over)
		test_fail(file, line, "%s, round %u: waited in vain for: %s", rig->variant, rig->round,
			condition);
	rig_step(rig);
}

/* A few events may come late (what is not wanted any more leaves the poller when it next reports). */
void rig_rest(struct rig *rig)
{
	uint64_t before;

	rig_settle(rig);
	before = rig->engine->stats.events;
	for (unsigned i = 0; i < 10; i++)
		rig_step(rig);
	if (!rig->sim || rig->round == 0)
		CHECK_INT(rig->engine->stats.events - before, 0);
}

unsigned rig_random(struct rig *rig, unsigned bound)
{
	return (unsigned)(test_random(&rig->random) % bound);
}

void rig_faults_off(struct rig *rig)
{
	if (rig->sim)
		sim_kernel_set_profile(rig->sim, &sim_profile_calm);
}

void rig_exact_readiness(struct rig *rig)
{
	rig->profile.spurious = 0;
	if (rig->sim)
		sim_kernel_set_profile(rig->sim, &rig->profile);
}

/* Every test has a process of its own, so its limit is its own as well. */
void rig_exhaust_fds(struct rig *rig)
{
	struct rlimit limit;
	int next;

	if (rig->sim) {
		sim_kernel_set_fd_limit(rig->sim, sim_kernel_open_fds(rig->sim));
		return;
	}
	next = dup(0);
	CHECK(next >= 0);
	close(next);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)next;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

void rig_restore_fds(struct rig *rig)
{
	struct rlimit limit;

	if (rig->sim) {
		sim_kernel_set_fd_limit(rig->sim, 0);
		return;
	}
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* ---- bytes ---- */

void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
	if (!size)
		return;
	if (bytes->size + size > bytes->capacity) {
		bytes->capacity = gb__max(2 * bytes->capacity, bytes->size + size);
		bytes->data = realloc(bytes->data, bytes->capacity);
		CHECK(bytes->data);
	}
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

unsigned char pattern_at(size_t offset)
{
	return (unsigned char)((uint32_t)(offset + 1) * 2654435761u >> 19);
}

void pattern_fill(unsigned char *data, size_t size, size_t offset)
{
	for (size_t i = 0; i < size; i++)
		data[i] = pattern_at(offset + i);
}

void pattern_check(const unsigned char *data, size_t size, size_t offset, const char *file, int line)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != pattern_at(offset + i))
			test_fail(file, line, "byte %zu of the stream is %u, expected %u", offset + i,
				data[i], pattern_at(offset + i));
}

/* ---- peers ---- */

static struct rig_peer *peer_create(struct rig *rig, int fd, struct sim_client *client)
{
	struct rig_peer *peer = calloc(1, sizeof(*peer));

	CHECK(peer);
	*peer = (struct rig_peer){ rig, rig->peers, fd, client, .read_max = SIZE_MAX };
	rig->peers = peer;
	if (fd >= 0)
		CHECK_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return peer;
}

static void sizes_set(int fd)
{
	const int bytes = SOCKET_BYTES, on = 1;

	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	CHECK_INT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

static int listen_real(struct sockaddr_in *ret_address)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0);
	sizes_set(fd);
	CHECK_INT(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CHECK_INT(listen(fd, 256), 0);
	CHECK_INT(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
	return fd;
}

int rig_listen(struct rig *rig, struct sockaddr_in *ret_address)
{
	int fd;

	if (!rig->sim)
		return listen_real(ret_address);
	fd = sim_listen(rig->sim, 0, 256);
	CHECK(fd >= 0);
	*ret_address = sim_address(rig->sim, fd);
	return fd;
}

struct rig_peer *rig_connect(struct rig *rig, const struct sockaddr_in *address)
{
	struct sim_client *client;
	int fd;

	if (rig->sim) {
		client = sim_client_connect(rig->sim, ntohs(address->sin_port));
		CHECK(client);
		return peer_create(rig, -1, client);
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	sizes_set(fd);
	CHECK_INT(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
	return peer_create(rig, fd, NULL);
}

struct rig_peer *rig_pair(struct rig *rig, int *ret_fd)
{
	struct sockaddr_in address;
	struct rig_peer *peer;
	int listener;

	if (rig->sim) {
		struct sim_client *client = sim_client_pair(rig->sim, ret_fd);

		return peer_create(rig, -1, client);
	}
	listener = listen_real(&address);
	peer = rig_connect(rig, &address);
	do
		*ret_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (*ret_fd < 0 && (errno == EAGAIN || errno == EINTR));
	CHECK(*ret_fd >= 0);
	close(listener);
	return peer;
}

struct rig_peer *rig_packets(struct rig *rig, int *ret_fd)
{
	const int bytes = PACKETS_BYTES;
	struct rig_peer *peer;
	int fds[2];

	if (rig->sim) {
		peer = rig_pair(rig, ret_fd);
		sim_client_set_packets(peer->client);
	} else {
		CHECK_INT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
		for (int i = 0; i < 2; i++)
			CHECK_INT(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
		*ret_fd = fds[0];
		peer = peer_create(rig, fds[1], NULL);
	}
	peer->packets = true;
	return peer;
}

struct rig_peer *rig_accept(struct rig *rig, int listener)
{
	uint64_t steps = 0;

	for (;;) {
		struct sim_client *client = rig->sim ? sim_client_accept(rig->sim, listener) : NULL;
		int fd = rig->sim ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (client || fd >= 0)
			return peer_create(rig, fd, client);
		rig_step_until(rig, &steps, __FILE__, __LINE__, "an outgoing connection");
	}
}

struct sockaddr_in rig_dead_address(struct rig *rig)
{
	struct sockaddr_in address;
	int fd = rig_listen(rig, &address);

	rig->os->ops->close(rig->os, fd);
	return address;
}

size_t peer_send_some(struct rig_peer *peer, size_t size)
{
	unsigned char data[16384];
	ssize_t taken;

	size = gb__min(size, sizeof(data));
	pattern_fill(data, size, peer->sent);
	if (peer->client) {
		taken = (ssize_t)sim_client_send(peer->client, data, size);
	} else {
		taken = send(peer->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (taken < 0) {
			CHECK(errno == EAGAIN || errno == EINTR);
			taken = 0;
		}
	}
	peer->sent += (size_t)taken;
	return (size_t)taken;
}

bool peer_send_packet(struct rig_peer *peer, size_t size)
{
	unsigned char *data = malloc(size);
	ssize_t taken;

	CHECK(data);
	pattern_fill(data, size, peer->sent);
	if (peer->client)
		taken = (ssize_t)sim_client_send(peer->client, data, size);
	else
		taken = send(peer->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(data);
	if (taken < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
	if (taken <= 0)
		return false;
	CHECK_INT(taken, size);
	peer->sent += size;
	return true;
}

void peer_send(struct rig_peer *peer, size_t size)
{
	uint64_t steps = 0;

	while (size) {
		size_t taken = peer_send_some(peer, size);

		size -= taken;
		if (!taken)
			rig_step_until(peer->rig, &steps, __FILE__, __LINE__, "room for a peer's bytes");
	}
}

static void packets_read(struct rig_peer *peer)
{
	static unsigned char data[1u << 17];
	uint32_t size;
	ssize_t got;

	while (peer->got.size < peer->read_max) {
		if (peer->client) {
			got = (ssize_t)sim_client_read(peer->client, data, sizeof(data));
			peer->at_end |= sim_client_at_end(peer->client);
			peer->was_reset |= sim_client_was_reset(peer->client);
			if (got == 0)
				return;
		} else {
			if (peer->fd < 0 || peer->at_end || peer->was_reset)
				return;
			got = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);
			peer->at_end |= got == 0;
			peer->was_reset |= got < 0 && (errno == ECONNRESET || errno == EPIPE);
			if (got <= 0)
				return;
		}
		size = (uint32_t)got;
		bytes_append(&peer->got, &size, sizeof(size));
		bytes_append(&peer->got, data, size);
	}
}

void peer_read(struct rig_peer *peer)
{
	unsigned char data[16384];
	ssize_t got;

	if (peer->packets) {
		packets_read(peer);
		return;
	}
	while (peer->got.size < peer->read_max) {
		size_t wanted = gb__min(sizeof(data), peer->read_max - peer->got.size);

		if (peer->client) {
			got = (ssize_t)sim_client_read(peer->client, data, wanted);
			peer->at_end |= sim_client_at_end(peer->client);
			peer->was_reset |= sim_client_was_reset(peer->client);
			if (!got)
				return;
		} else {
			if (peer->fd < 0 || peer->at_end || peer->was_reset)
				return;
			got = recv(peer->fd, data, wanted, MSG_DONTWAIT);
			if (got <= 0) {
				peer->at_end |= got == 0;
				peer->was_reset |= got < 0 && (errno == ECONNRESET || errno == EPIPE);
				return;
			}
		}
		bytes_append(&peer->got, data, (size_t)got);
	}
}

void peer_shutdown(struct rig_peer *peer)
{
	if (peer->client)
		sim_client_shutdown(peer->client);
	else
		CHECK_INT(shutdown(peer->fd, SHUT_WR), 0);
}

void peer_reset(struct rig_peer *peer)
{
	const struct linger linger = { .l_onoff = 1 };

	if (peer->client) {
		sim_client_reset(peer->client);
	} else {
		CHECK_INT(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	}
	peer_close(peer);
}

void peer_close(struct rig_peer *peer)
{
	sim_client_close(peer->client);
	if (peer->fd >= 0)
		close(peer->fd);
	peer->client = NULL;
	peer->fd = -1;
}
