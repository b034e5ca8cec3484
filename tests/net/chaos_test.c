/*
 * Everything at once: handlers, timers and peers that do anything they may, at any moment, drawn from the
 * seed. What is checked holds whatever happens: each connection is closed once, nothing is called after its
 * end or while it is paused, what arrives is whole, in order and only at an orderly end complete, and nobody
 * spins (the simulated kernel looks at that).
 */
#include "rig.h"

#include "base/alloc.h"
#include "net/task.h"

#include <errno.h>

#define PLACES 6u
#define STEPS 600u
#define HELD_MAX (4 * PLACES)
#define PIECE_MAX 40000u

/* What the handler sends, so that the peer can tell pieces apart. */
struct piece {
	uint32_t by_task, number, size;
};

struct place {
	struct peer *peer;
	struct gb_conn *conn;       /* NULL before on_open and after on_close */
	unsigned sent[2];           /* pieces taken by gb_conn_send: of the loop's thread, of tasks */
	bool ended, paused, at_eof; /* as the handler knows it */
	bool left, aborted;         /* by the peer, respectively the handler: anything may be lost */
	bool failed;                /* a send met a limit or found no memory: the end must not look orderly */
	int reason;                 /* -1: not closed yet */
};

static struct place places[PLACES];
static struct gb__job *held[HELD_MAX];
static unsigned held_count;
static struct rig *world;
static struct place *opening;
static bool finishing;

static unsigned chance(unsigned bound)
{
	return (unsigned)(test_random(&world->random) % bound);
}

static void hold(void *arg, struct gb__job *job)
{
	CHECK(held_count < HELD_MAX);
	held[held_count++] = job;
}

static struct place *place_of(const struct gb_conn *conn)
{
	return *(struct place **)gb_conn_state((struct gb_conn *)(uintptr_t)conn);
}

static void sent(struct place *place, struct gb_conn *conn, int result)
{
	const bool task =
		gb__conn_is_task(conn); /* it does not know what became of the connection meanwhile */

	CHECK(result == 0 || result == -EAGAIN || result == -EPIPE || result == -GB_ELIMIT ||
		result == -ENOMEM);
	CHECK(result != 0 || task || !place->ended);
	if (result == 0)
		place->sent[task]++;
	else if (!task && result != -EAGAIN && result != -EPIPE)
		place->failed = place->ended = true;
}

static void send_piece(struct place *place, struct gb_conn *conn)
{
	static unsigned char bytes[sizeof(struct piece) + PIECE_MAX];
	struct piece piece = { gb__conn_is_task(conn), place->sent[gb__conn_is_task(conn)],
		chance(chance(8) ? 600 : PIECE_MAX) };
	struct gb_buffer *buffer;

	memcpy(bytes, &piece, sizeof(piece));
	for (uint32_t i = 0; i < piece.size; i++)
		bytes[sizeof(piece) + i] = pattern_at(piece.number + i);
	switch (chance(4)) {
	case 0:
		sent(place, conn, gb_conn_try_send(conn, bytes, sizeof(piece) + piece.size));
		break;
	case 1:
		if (gb_buffer_create(bytes, sizeof(piece) + piece.size, &buffer) < 0)
			break;
		sent(place, conn, gb_conn_send_ref(conn, buffer));
		gb_buffer_unref(buffer);
		break;
	default:
		sent(place, conn, gb_conn_send(conn, bytes, sizeof(piece) + piece.size));
	}
}

static void pause_or_resume(struct place *place, struct gb_conn *conn, bool pause)
{
	if (pause)
		gb_conn_pause(conn);
	else
		gb_conn_resume(conn);
	if (!gb__conn_is_task(conn))
		place->paused = pause;
}

/* Anything that may be done to a connection, be it from its own callback or not. */
static void act_on(struct place *place, struct gb_conn *conn)
{
	const bool task = gb__conn_is_task(conn); /* what it does takes effect later, if at all */

	switch (chance(finishing ? 4 : 60)) {
	case 0 ... 1:
		gb_conn_close(conn);
		place->ended |= !task;
		break;
	case 2:
		gb_conn_fail(conn, GB_CLOSE_BAD_FRAME);
		place->ended |= !task;
		break;
	case 3:
		gb_conn_abort(conn);
		place->aborted = true;
		place->ended |= !task;
		break;
	case 4 ... 8:
		pause_or_resume(place, conn, true);
		break;
	case 9 ... 20:
		pause_or_resume(place, conn, false);
		break;
	case 21 ... 45:
		send_piece(place, conn);
		break;
	default:
		CHECK(!place->peer || gb_conn_user(conn) == place->peer);
		gb_conn_cancelled(conn);
		gb_conn_output_size(conn);
	}
}

/* From a callback of `conn`: on it, or on others. On a pool thread on its facade only. */
static void act(struct gb_conn *conn)
{
	for (unsigned i = chance(4); i > 0; i--) {
		struct place *other = &places[chance(PLACES)];

		if (gb__conn_is_task(conn) || chance(4) || !other->conn)
			act_on(place_of(conn), conn);
		else
			act_on(other, other->conn);
	}
}

static int on_open(struct gb_conn *conn)
{
	struct place *place = opening;

	CHECK(!place->conn && place->reason == -1);
	*(struct place **)gb_conn_state(conn) = place;
	place->conn = conn;
	act(conn);
	count_open(conn);
	if (chance(50))
		return 0;
	place->ended = true;
	return -EACCES;
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct place *place = place_of(conn);

	CHECK(!place->at_eof);
	if (!gb__conn_is_task(conn))
		CHECK(!place->ended && !place->paused);
	for (size_t i = 0; i < message.size; i++)
		CHECK(message.data[i] == 'm');
	act(conn);
}

static void on_writable(struct gb_conn *conn)
{
	CHECK(!place_of(conn)->ended);
	act(conn);
}

static void on_eof(struct gb_conn *conn)
{
	struct place *place = place_of(conn);

	CHECK(!place->ended && !place->at_eof);
	CHECK(!(conn->flags & GB__CONN_PAUSED));
	place->at_eof = true;
	act(conn);
}

static void on_close(struct gb_conn *conn, int reason)
{
	struct place *place = place_of(conn);

	CHECK(place->conn == conn && place->reason == -1);
	act(conn);
	place->conn = NULL;
	place->reason = reason;
	count_close(conn, reason);
}

static const struct gb_service with_eof = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "chaos",
	.codec = &gb_codec_line, .conn_state_size = sizeof(struct place *), .on_open = on_open,
	.on_message = on_message, .on_writable = on_writable, .on_eof = on_eof, .on_close = on_close };
static const struct gb_service without_eof = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "chaos",
	.codec = &gb_codec_line, .conn_state_size = sizeof(struct place *), .on_open = on_open,
	.on_message = on_message, .on_writable = on_writable, .on_close = on_close };

/* What arrived is a beginning of what was sent; all of it when the end was orderly. */
static void check_arrived(const struct place *place)
{
	const struct peer *peer = place->peer;
	unsigned seen[2] = { 0 };
	size_t at = 0;

	while (peer->got_size - at >= sizeof(struct piece)) {
		struct piece piece;

		memcpy(&piece, peer->got + at, sizeof(piece));
		CHECK(piece.by_task < 2 && piece.size <= PIECE_MAX);
		CHECK_INT(piece.number, seen[piece.by_task]);
		if (piece.size > peer->got_size - at - sizeof(piece))
			break;
		for (uint32_t i = 0; i < piece.size; i++)
			if (peer->got[at + sizeof(piece) + i] != pattern_at(piece.number + i))
				test_fail(__FILE__, __LINE__, "byte %zu of what arrived differs", at + i);
		seen[piece.by_task]++;
		at += sizeof(piece) + piece.size;
	}
	if (!peer->at_end || peer->was_reset || place->left || place->aborted)
		return;
	CHECK(!place->failed);
	CHECK_INT(at, peer->got_size);
	CHECK_INT(seen[0], place->sent[0]);
	CHECK(seen[1] <= place->sent[1]);
}

static void place_open(struct place *place)
{
	*place = (struct place){ .reason = -1 };
	opening = place;
	place->peer = rig_peer(world, chance(2) ? &with_eof : &without_eof);
}

static void place_close(struct place *place)
{
	peer_read(place->peer);
	check_arrived(place);
	peer_close(place->peer);
	place->peer = NULL;
}

static void peer_acts(struct place *place)
{
	static const char text[] = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm\nmm\nm\n\nmmm";
	struct peer *peer = place->peer;
	unsigned from = chance(sizeof(text) - 1);

	switch (chance(40)) {
	case 0:
		sim_client_shutdown(peer->client);
		break;
	case 1:
		if (chance(3) == 0) {
			sim_client_reset(peer->client);
			place->left = true;
		}
		break;
	case 2 ... 4:
		peer->read_max = peer->got_size;
		break;
	case 5 ... 10:
		peer->read_max = PEER_BYTES_MAX;
		break;
	case 11:
		for (int i = 0; i < 50; i++)
			sim_client_send(peer->client, "mmmmmmmmmmmmmmmmmmmm", 20);
		break;
	default:
		sim_client_send(peer->client, text + from, chance((unsigned)sizeof(text) - from));
	}
}

static void run_any(void)
{
	unsigned at = chance(held_count);
	struct gb__job *job = held[at];

	held[at] = held[--held_count];
	gb__task_run(job);
}

static uint64_t timeout_drawn(void)
{
	return chance(2) ? 0 : 200 + chance(3000);
}

NET_TEST(whatever_happens_each_connection_is_served_in_order_and_closed_once)
{
	world = rig;
	finishing = false;
	held_count = 0;
	memset(places, 0, sizeof(places));
	rig->limits.idle_timeout_ms = timeout_drawn();
	rig->limits.read_timeout_ms = timeout_drawn();
	rig->limits.write_timeout_ms = timeout_drawn();
	rig->limits.linger_timeout_ms = timeout_drawn();
	rig->limits.message_bytes_max = 700;
	rig->limits.turn_messages = 1 + chance(8);
	rig->limits.output_high = 1000 + chance(60000);
	rig->limits.output_low = chance((unsigned)rig->limits.output_high);
	rig->limits.output_bytes_max = chance(4) ? 1u << 20 : 100000;
	if (rig->round % 2)
		gb__net_submit_to(&rig->net, hold, NULL, 1 + chance(PLACES));
	for (unsigned step = 0; step < STEPS; step++) {
		struct place *place = &places[chance(PLACES)];

		if (!place->peer && step < STEPS * 3 / 4)
			place_open(place);
		else if (place->peer && place->reason >= 0)
			place_close(place);
		else if (place->peer)
			peer_acts(place);
		if (chance(5) == 0 && place->conn)
			act_on(place, place->conn); /* as a timer would */
		if (held_count > 0 && chance(2))
			run_any();
		if (chance(20) == 0)
			gb__alloc_fail_at(1 + chance(4));
		rig_step(rig, place->peer);
		gb__alloc_fail_at(0);
		if (chance(10) == 0)
			rig_pass(rig, chance(400));
		if (step == STEPS * 3 / 4 && chance(2))
			gb__net_drain(&rig->net);
	}
	/* All that is left comes to an end by itself, once everybody goes on. */
	finishing = true;
	rig->limits.idle_timeout_ms = 0;
	rig_calm(rig);
	for (unsigned i = 0; i < PLACES; i++) {
		struct place *place = &places[i];

		if (!place->peer)
			continue;
		place->peer->read_max = PEER_BYTES_MAX;
		sim_client_shutdown(place->peer->client);
		for (unsigned steps = 0; place->reason < 0; steps++) {
			CHECK(steps < 100000);
			if (held_count > 0)
				run_any();
			if (place->conn && (place->conn->flags & GB__CONN_PAUSED))
				pause_or_resume(place, place->conn, false);
			if (place->conn && place->at_eof)
				act_on(place, place->conn);
			rig_step(rig, place->peer);
		}
		place_close(place);
	}
}
