#include "rig.h"
#include "base/macros.h"

#include "base/alloc.h"
#include "tls/certificate_test_driver.h"

#include <errno.h>

#define STEPS_MAX 200000u
#define ROUNDS 10u

static const struct gb__limits default_limits = {
	.connections_max = 1000,
	.message_bytes_max = 1u << 16,
	.idle_timeout_ms = 0,
	.read_timeout_ms = 0,
	.write_timeout_ms = 0,
	.linger_timeout_ms = 2000,
	.linger_max_ms = 30000,
	.connect_timeout_ms = 5000,
	.handshake_timeout_ms = 10000,
	.output_high = 64u << 10,
	.output_low = 16u << 10,
	.output_bytes_max = 1u << 20,
	.replies_max = 16,
	.turn_messages = 64,
};

unsigned char pattern_at(size_t offset)
{
	return (unsigned char)(offset * 7 + offset / 253);
}

struct rig *rig_of(const struct gb_conn *conn)
{
	return gb__container_of(conn->net, struct rig, net);
}

int count_open(struct gb_conn *conn)
{
	rig_of(conn)->opened++;
	rig_of(conn)->current = conn;
	return 0;
}

void count_close(struct gb_conn *conn, int reason)
{
	struct rig *rig = rig_of(conn);

	rig->closed++;
	rig->last_reason = reason;
	if (rig->current == conn)
		rig->current = NULL;
}

static struct gb__engine *engine_create(struct rig *rig, const char *name)
{
	struct gb__engine_options options = { .os = sim_os(rig->sim),
		.buffers = 16,
		.buffer_size = 512,
		.bulk_buffers = 4,
		.bulk_buffer_size = 2048 };
	const struct gb__engine_ops *ops = &gb__engine_reactor;
	struct gb__engine *engine;
	struct gb_error error;

	if (strcmp(name, "blocking") == 0)
		ops = &gb__engine_blocking;
	if (strncmp(name, "proactor", 8) == 0) {
		ops = &gb__engine_proactor;
		options.ring = &sim_ring;
		if (strcmp(name, "proactor_bare") == 0)
			options.ring_mask = ~0u;
	} else {
		options.poller = rig->round % 2 ? &sim_poller_unforgetting : &sim_poller;
	}
	if (ops->create(&options, &engine, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", name, error.text);
	return engine;
}

void rig_run(const char *engine, void (*body)(struct rig *rig))
{
	const char *given = getenv("NET_ROUNDS");
	unsigned rounds = given ? (unsigned)strtoul(given, NULL, 0) : ROUNDS;
	uint64_t random = test_seed();

	for (unsigned round = 0; round < rounds; round++) {
		struct rig rig = { .limits = default_limits, .random = test_random(&random), .round = round };

		rig.profile = sim_profile_calm;
		if (round > 0)
			sim_profile_draw(&rig.profile, &random);
		/* Accepting is not what these tests are about. */
		rig.sim = sim_kernel_create(test_random(&random), &rig.profile);
		gb__loop_init(&rig.loop, engine_create(&rig, engine));
		gb__net_init(&rig.net, &rig.loop, &rig.limits, &rig.counters, &rig.connections_total);
		gb__places_init(&rig.places);
		rig.net.places = &rig.places;
		gb__streams_init(&rig.streams, &rig.net, 0);
		body(&rig);
		for (unsigned steps = 0; rig.net.connections > 0 || rig.net.coroutines > 0; steps++) {
			gb__net_abort_all(&rig.net, GB_CLOSE_DRAIN);
			rig_step(&rig, NULL);
			CHECK(steps < STEPS_MAX);
		}
		CHECK_INT(rig.opened, rig.closed);
		CHECK_INT(rig.connections_total, 0);
		CHECK_INT(rig.counters.stats.connections, 0);
		gb__streams_finish(&rig.streams);
		gb__net_finish(&rig.net);
		gb__loop_finish(&rig.loop);
		gb__places_finish(&rig.places);
		sim_kernel_destroy(rig.sim);
	}
}

static struct peer *peer_create(struct rig *rig)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	CHECK(peer);
	peer->rig = rig;
	peer->got = malloc(PEER_BYTES_MAX);
	CHECK(peer->got);
	peer->read_max = PEER_BYTES_MAX;
	return peer;
}

struct peer *rig_peer(struct rig *rig, const struct gb_service *service)
{
	return rig_peer_on(rig, service, NULL);
}

struct peer *rig_peer_on(struct rig *rig, const struct gb_service *service, const struct gb__front *front)
{
	struct peer *peer = peer_create(rig);
	int fd;

	peer->client = sim_client_pair(rig->sim, &fd);
	peer->packets = front && front->packets;
	if (peer->packets)
		sim_client_set_packets(peer->client);
	gb__net_adopt(&rig->net, fd, service, peer, front);
	return peer;
}

#define RECORDS_MAX (4u << 20)

const struct gb__front *rig_front(void)
{
	static struct gb__front front;

	if (!front.tls)
		front.tls = tls_server();
	return &front;
}

static int take_records(void *arg, const void *data, size_t size)
{
	struct peer *peer = arg;

	CHECK(peer->records_size + size <= RECORDS_MAX);
	memcpy(peer->records + peer->records_size, data, size);
	peer->records_size += size;
	return 0;
}

/* As far as there is room. */
static void records_leave(struct peer *peer)
{
	size_t taken = sim_client_send(peer->client, peer->records, peer->records_size);

	memmove(peer->records, peer->records + taken, peer->records_size - taken);
	peer->records_size -= taken;
}

static const struct gb__tls_sink sink = { .emit = take_records };
static struct gb__tls_pool *peers_pool;

static void begin_session(struct peer *peer, struct gb__tls *tls)
{
	peer->records = malloc(RECORDS_MAX);
	CHECK(peer->records);
	if (!peers_pool)
		CHECK_INT(gb__tls_pool_create(&peers_pool), 0);
	CHECK_INT(gb__tls_session_create(tls, peers_pool, NULL, &sink, peer, &peer->session), 0);
}

void peer_tls(struct peer *peer)
{
	static struct gb__tls *tls;

	if (!tls)
		tls = tls_client();
	begin_session(peer, tls);
	CHECK_INT(gb__tls_session_handshake(peer->session), 0);
}

struct peer *rig_tls_taken(struct rig *rig, int listener)
{
	struct peer *peer = peer_create(rig);

	UNTIL(rig, NULL, (peer->client = sim_client_accept(rig->sim, listener)) != NULL);
	begin_session(peer, rig_front()->tls);
	return peer;
}

struct peer *rig_tls_peer(struct rig *rig, const struct gb_service *service)
{
	struct peer *peer = rig_peer_on(rig, service, rig_front());

	peer_tls(peer);
	return peer;
}

static void read_records(struct peer *peer)
{
	unsigned char bytes[4096], *data;
	size_t size;

	while (peer->got_size < peer->read_max && !peer->failed &&
		(size = sim_client_read(peer->client, bytes, sizeof(bytes))) > 0) {
		ssize_t got = 0;

		gb__tls_session_input(peer->session, bytes, size);
		if (!peer->open) {
			got = gb__tls_session_handshake(peer->session);
			peer->open = got == 1;
		}
		/* It may be more than it wants: what is in a record comes with it. */
		while (peer->open && got >= 0 && (got = gb__tls_session_read(peer->session, &data)) > 0) {
			CHECK((size_t)got <= PEER_BYTES_MAX - peer->got_size);
			memcpy(peer->got + peer->got_size, data, (size_t)got);
			peer->got_size += (size_t)got;
		}
		peer->failed = got < 0;
	}
	peer->ended = gb__tls_session_ended(peer->session);
	records_leave(peer);
}

static void packets_read(struct peer *peer)
{
	const size_t header = sizeof(uint32_t);
	size_t size;

	while (peer->got_size < peer->read_max &&
		(size = sim_client_read(peer->client, peer->got + peer->got_size + header,
			 PEER_BYTES_MAX - peer->got_size - header)) > 0) {
		memcpy(peer->got + peer->got_size, &(uint32_t){ (uint32_t)size }, header);
		peer->got_size += header + size;
	}
	peer->was_reset = sim_client_was_reset(peer->client);
	peer->at_end = sim_client_at_end(peer->client);
}

void peer_read(struct peer *peer)
{
	size_t size;

	if (peer->packets) {
		packets_read(peer);
		return;
	}

	if (peer->session) {
		read_records(peer);
		peer->was_reset = sim_client_was_reset(peer->client);
		peer->at_end = peer->ended || sim_client_at_end(peer->client);
		return;
	}
	do {
		size = sim_client_read(
			peer->client, peer->got + peer->got_size, peer->read_max - peer->got_size);
		peer->got_size += size;
	} while (size > 0);
	peer->was_reset = sim_client_was_reset(peer->client);
	peer->at_end = sim_client_at_end(peer->client);
}

static void read_both(struct peer *peer)
{
	if (!peer)
		return;
	peer_read(peer);
	if (peer->beside)
		peer_read(peer->beside);
}

void rig_step(struct rig *rig, struct peer *peer)
{
	read_both(peer);
	/* A microsecond: time passes when the test says so, yet a loop that spins is told from one that sleeps. */
	gb__net_turn(&rig->net, 1000);
	read_both(peer);
}

void rig_step_until(struct rig *rig, struct peer *peer, unsigned *steps, const char *file, int line,
	const char *condition)
{
	if (++*steps > STEPS_MAX)
		test_fail(file, line, "round %u: never came true: %s", rig->round, condition);
	rig_step(rig, peer);
}

void rig_pass(struct rig *rig, uint64_t ms)
{
	sim_clock_advance(rig->sim, ms * 1000000u);
	rig_step(rig, NULL);
	rig_step(rig, NULL);
}

void rig_calm(struct rig *rig)
{
	sim_kernel_set_profile(rig->sim, &sim_profile_calm);
}

void peer_send(struct peer *peer, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	unsigned steps = 0;

	if (peer->session) {
		while (!peer->open)
			rig_step_until(peer->rig, peer, &steps, __FILE__, __LINE__, "the handshake");
		CHECK_INT(gb__tls_session_write(peer->session, data, size), size);
		while (records_leave(peer), peer->records_size > 0)
			rig_step_until(peer->rig, peer, &steps, __FILE__, __LINE__, "room to send");
		return;
	}
	while (size > 0) {
		size_t taken = sim_client_send(peer->client, bytes, size);

		bytes += taken;
		size -= taken;
		if (taken == 0)
			rig_step_until(peer->rig, peer, &steps, __FILE__, __LINE__, "room to send");
	}
}

void peer_shutdown(struct peer *peer)
{
	unsigned steps = 0;

	if (peer->session)
		gb__tls_session_close(peer->session);
	while (peer->session && (records_leave(peer), peer->records_size > 0))
		rig_step_until(peer->rig, peer, &steps, __FILE__, __LINE__, "room to send");
	sim_client_shutdown(peer->client);
}

void peer_close(struct peer *peer)
{
	sim_client_close(peer->client);
	gb__tls_session_destroy(peer->session);
	free(peer->records);
	free(peer->got);
	free(peer);
}

static void echo_on(struct rig *rig, struct peer *peer)
{
	static unsigned char data[200000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern_at(i);
	for (size_t sent = 0; sent < sizeof(data);) {
		size_t size = test_random(&rig->random) % 9000 + 1;

		size = size < sizeof(data) - sent ? size : sizeof(data) - sent;
		peer_send(peer, data + sent, size);
		sent += size;
		if (test_random(&rig->random) % 2)
			rig_step(rig, peer);
	}
	UNTIL(rig, peer, peer->got_size == sizeof(data));
	CHECK(memcmp(peer->got, data, sizeof(data)) == 0);
	peer_shutdown(peer);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK(!peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_EOF);
	CHECK_INT(rig->counters.stats.bytes_in, sizeof(data));
	CHECK_INT(rig->counters.stats.bytes_out, sizeof(data));
	peer_close(peer);
}

void rig_echo(struct rig *rig, const struct gb_service *service)
{
	echo_on(rig, rig_peer(rig, service));
}

void rig_tls_echo(struct rig *rig, const struct gb_service *service)
{
	echo_on(rig, rig_tls_peer(rig, service));
}
