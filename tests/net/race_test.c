/* Connecting to whichever of several addresses answers first: in which order, what of the losers, what ends it. */
#include "rig.h"

#include "net/race.h"
#include "os/address.h"
#include "stream/stream.h"

#include <errno.h>

static struct gb_connecting_any any;
static struct gb_conn *current;
static unsigned done;
static int result;

static int note_open(struct gb_conn *conn)
{
	CHECK_INT(done, 1); /* the operation is complete before it opens */
	return count_open(conn);
}

static void note_close(struct gb_conn *conn, int reason)
{
	current = NULL;
	count_close(conn, reason);
}

static void echo(struct gb_conn *conn, struct gb_bytes message)
{
	gb_conn_send(conn, message.data, message.size);
}

static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "outgoing",
	.on_open = note_open, .on_message = echo, .on_close = note_close };

static void note_done(struct gb_operation *operation, void *user)
{
	CHECK(operation == &any.operation);
	done++;
	result = gb_operation_result(operation);
	current = any.conn;
	if (user)
		gb_conn_abort(current);
}

static void race_gated(
	struct rig *rig, const struct gb__address *addresses, size_t count, gb__gates gates, void *user)
{
	static const struct gb__socket_options options;
	const struct gb__race_terms terms = {
		.options = &options, .service = &service, .who = GB__FOR_HANDLER
	};

	done = 0;
	result = 1;
	current = NULL;
	CHECK_INT(gb__race_begin(&rig->net, &any, addresses, count, gates, &terms, note_done, user), 0);
	CHECK_INT(done, 0);
	CHECK(gb_operation_pending(&any.operation));
}

static void race(struct rig *rig, const struct gb__address *addresses, size_t count, void *user)
{
	race_gated(rig, addresses, count, 0, user);
}

struct target {
	int fd;
	struct gb__address address;
	struct sim_client *filler; /* its backlog is full: nobody answers */
};

static struct target listening(struct rig *rig, unsigned backlog)
{
	struct target target = { .fd = sim_listen(rig->sim, 0, backlog),
		.address.size = sizeof(target.address.v4) };

	CHECK(target.fd >= 0);
	target.address.v4 = sim_address(rig->sim, target.fd);
	return target;
}

static struct target mute(struct rig *rig)
{
	struct target target = listening(rig, 1);

	target.filler = sim_client_connect(rig->sim, ntohs(target.address.v4.sin_port));
	CHECK(target.filler);
	return target;
}

static void stop(struct rig *rig, struct target *target)
{
	struct gb__os *os = sim_os(rig->sim);

	sim_client_close(target->filler);
	os->ops->close(os, target->fd);
}

static struct gb__address refusing(struct rig *rig)
{
	struct target target = listening(rig, 1);

	stop(rig, &target);
	return target.address;
}

/* The simulated kernel has no such family: socket() fails. */
static struct gb__address foreign(void)
{
	struct gb__address address;
	struct gb_error error;

	CHECK_INT(gb__address_parse("[::1]:7000", false, &address, &error), 0);
	return address;
}

/* The winner echoes; of the others nobody was told, and none is left. */
static void check_won(struct rig *rig, struct target *target)
{
	struct peer peer = { .rig = rig, .got = malloc(PEER_BYTES_MAX), .read_max = PEER_BYTES_MAX };

	CHECK_INT(result, 0);
	UNTIL(rig, NULL, (peer.client = sim_client_accept(rig->sim, target->fd)) != NULL);
	CHECK_INT(rig->opened, 1);
	peer_send(&peer, "echo", 4);
	UNTIL(rig, &peer, peer.got_size == 4);
	UNTIL(rig, &peer, rig->net.outgoing == 1);
	CHECK_INT(rig->closed, 0);
	sim_client_close(peer.client);
	free(peer.got);
	UNTIL(rig, NULL, rig->closed == 1 && rig->net.outgoing == 0);
	CHECK_INT(done, 1);
}

static void check_lost(struct rig *rig, int code)
{
	UNTIL(rig, NULL, done == 1 && rig->net.outgoing == 0);
	CHECK_INT(result, code);
	CHECK(!gb_operation_pending(&any.operation));
	CHECK_INT(rig->opened + rig->closed, 0);
	CHECK_INT(rig->loop.timers.count, 0);
}

NET_TEST(the_first_address_is_taken_when_it_answers)
{
	struct target first = listening(rig, 4), second = listening(rig, 4);
	const struct gb__address addresses[] = { first.address, second.address };

	race(rig, addresses, 2, NULL);
	UNTIL(rig, NULL, done == 1);
	check_won(rig, &first);
	CHECK_INT(rig->counters.stats.connected, 1); /* the second was not tried */
	CHECK_INT(rig->loop.timers.count, 0);
	stop(rig, &first);
	stop(rig, &second);
}

NET_TEST(one_that_fails_has_the_next_begin_at_once)
{
	struct target target = listening(rig, 4);
	const struct gb__address addresses[] = { refusing(rig), foreign(), refusing(rig), target.address };

	uint32_t began_ms = gb__net_now(&rig->net);

	race(rig, addresses, 4, NULL);
	UNTIL(rig, NULL, done == 1);
	CHECK(gb__net_elapsed(&rig->net, began_ms) < GB__RACE_DELAY_MS);
	check_won(rig, &target);
	stop(rig, &target);
}

NET_TEST(one_that_says_nothing_has_company_after_the_delay)
{
	struct target silent = mute(rig), target = listening(rig, 4);
	const struct gb__address addresses[] = { silent.address, target.address };

	rig_calm(rig);
	race(rig, addresses, 2, NULL);
	rig_pass(rig, GB__RACE_DELAY_MS - 10);
	CHECK_INT(rig->counters.stats.connected, 1);
	rig_pass(rig, 20);
	CHECK_INT(rig->counters.stats.connected, 2);
	UNTIL(rig, NULL, done == 1);
	check_won(rig, &target);
	stop(rig, &silent);
	stop(rig, &target);
}

/* RFC 2782: of the higher priority somebody may answer yet. */
NET_TEST(a_lower_priority_waits_for_a_higher_one_that_is_silent_for_its_share_of_the_time)
{
	struct target silent = mute(rig), target = listening(rig, 4);
	const struct gb__address addresses[] = { silent.address, refusing(rig), target.address };

	rig_calm(rig);
	rig->limits.connect_timeout_ms = 4250;
	race_gated(rig, addresses, 3, 1u << 2, NULL);
	rig_pass(rig, GB__RACE_DELAY_MS + 10);
	rig_pass(rig, 10);
	CHECK_INT(rig->counters.stats.connected, 2);
	rig_pass(rig, 1900);
	CHECK_INT(rig->counters.stats.connected, 2);
	CHECK_INT(done, 0);
	rig_pass(rig, 200);
	CHECK_INT(rig->counters.stats.connected, 3);
	UNTIL(rig, NULL, done == 1);
	check_won(rig, &target);
	stop(rig, &silent);
	stop(rig, &target);
}

NET_TEST(a_lower_priority_begins_at_once_when_all_of_the_higher_have_failed)
{
	struct target target = listening(rig, 4);
	const struct gb__address addresses[] = { refusing(rig), foreign(), refusing(rig), target.address };
	uint32_t began_ms = gb__net_now(&rig->net);

	race_gated(rig, addresses, 4, 1u << 2 | 1u << 3, NULL);
	UNTIL(rig, NULL, done == 1);
	CHECK(gb__net_elapsed(&rig->net, began_ms) < GB__RACE_DELAY_MS);
	check_won(rig, &target);
	stop(rig, &target);
}

/* Has the backlog take the next one: nobody looks at the filler any more. */
static void answer(struct rig *rig, struct target *target)
{
	sim_client_close(target->filler);
	sim_client_close(sim_client_accept(rig->sim, target->fd));
	target->filler = NULL;
}

/* The one that was tried first answers last, but before the other. */
NET_TEST(whoever_answers_first_wins_and_the_others_are_cancelled)
{
	struct target slow = mute(rig), silent = mute(rig);
	const struct gb__address addresses[] = { slow.address, silent.address, silent.address };

	rig_calm(rig);
	race(rig, addresses, 3, NULL);
	rig_pass(rig, GB__RACE_DELAY_MS + 1);
	rig_pass(rig, GB__RACE_DELAY_MS + 1);
	CHECK_INT(rig->net.outgoing, 3);
	answer(rig, &slow);
	UNTIL(rig, NULL, done == 1);
	check_won(rig, &slow);
	stop(rig, &slow);
	stop(rig, &silent);
}

NET_TEST(when_none_is_left_the_last_failure_is_the_result)
{
	const struct gb__address addresses[] = { foreign(), refusing(rig), refusing(rig) };

	race(rig, addresses, 3, NULL);
	check_lost(rig, -ECONNREFUSED);
}

NET_TEST(when_none_can_be_begun_nothing_follows)
{
	static const struct gb__socket_options options;
	const struct gb__race_terms terms = {
		.options = &options, .service = &service, .who = GB__FOR_HANDLER
	};
	const struct gb__address addresses[] = { foreign(), foreign() };

	done = 0;
	CHECK_INT(gb__race_begin(&rig->net, &any, addresses, 2, 0, &terms, note_done, NULL), -EAFNOSUPPORT);
	CHECK(!gb_operation_pending(&any.operation));
	rig_step(rig, NULL);
	CHECK_INT(done + rig->counters.stats.connected, 0);
}

NET_TEST(the_timeout_is_one_for_all_and_leaves_those_that_were_not_tried)
{
	struct target silent = mute(rig);
	const struct gb__address addresses[] = { silent.address, silent.address, silent.address };

	rig_calm(rig);
	rig->limits.connect_timeout_ms = 400;
	race(rig, addresses, 3, NULL);
	rig_pass(rig, 260);
	CHECK_INT(rig->net.outgoing, 2);
	rig_pass(rig, 130);
	CHECK_INT(done, 0);
	rig_pass(rig, 20);
	check_lost(rig, -ETIMEDOUT);
	CHECK_INT(rig->counters.stats.connected, 2);
	stop(rig, &silent);
}

/* All is told late, in one turn. */
NET_TEST(one_that_is_there_beats_the_timeout)
{
	struct target silent = mute(rig), target = mute(rig);
	const struct gb__address addresses[] = { target.address, silent.address };

	rig_calm(rig);
	rig->limits.connect_timeout_ms = 1000;
	race(rig, addresses, 2, NULL);
	rig_pass(rig, GB__RACE_DELAY_MS + 1);
	CHECK_INT(rig->net.outgoing, 2);
	answer(rig, &target);
	sim_turn(rig->sim);
	rig_pass(rig, 5000);
	UNTIL(rig, NULL, done == 1);
	check_won(rig, &target);
	stop(rig, &silent);
	stop(rig, &target);
}

NET_TEST(cancelling_ends_all_attempts_and_tells_so_once)
{
	struct target silent = mute(rig);
	const struct gb__address addresses[] = { silent.address, silent.address, silent.address };

	rig_calm(rig);
	race(rig, addresses, 3, NULL);
	rig_pass(rig, GB__RACE_DELAY_MS + 1);
	CHECK_INT(rig->net.outgoing, 2);
	gb_operation_cancel(&any.operation);
	gb_operation_cancel(&any.operation);
	CHECK_INT(done, 0);
	check_lost(rig, -ECANCELED);
	rig_step(rig, NULL);
	CHECK_INT(done, 1);
	stop(rig, &silent);
}

NET_TEST(a_worker_that_ends_ends_it)
{
	struct target silent = mute(rig);
	const struct gb__address addresses[] = { silent.address, silent.address };

	rig_calm(rig);
	race(rig, addresses, 2, NULL);
	rig_pass(rig, 10);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	check_lost(rig, -ECANCELED);
	stop(rig, &silent);
}

/* It is the handler's from on_done on, so its end is told. */
NET_TEST(the_winner_may_be_ended_where_it_is_told_of)
{
	struct target target = listening(rig, 4);

	race(rig, &target.address, 1, &target);
	UNTIL(rig, NULL, rig->closed == 1 && rig->net.outgoing == 0);
	CHECK_INT(done, 1);
	CHECK_INT(rig->opened, 0);
	CHECK_INT(rig->last_reason, GB_CLOSE_LOCAL);
	rig->opened = rig->closed;
	stop(rig, &target);
}

static struct gb_conn *served;

static int join_both(struct gb_conn *conn)
{
	served = conn;
	return count_open(conn);
}

static const struct gb_service front = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "front",
	.on_open = join_both, .on_message = echo, .on_close = count_close };

static void relay_it(struct gb_operation *operation, void *user)
{
	done++;
	CHECK_INT(gb_operation_result(operation), 0);
	CHECK_INT(gb_relay(served, any.conn), 0);
}

/* A relay that begins where the connection is told of, before it opens. */
NET_TEST(the_winner_may_be_relayed_where_it_is_told_of)
{
	static const struct gb__socket_options options;
	const struct gb__race_terms terms = {
		.options = &options, .service = &service, .who = GB__FOR_HANDLER
	};
	struct target target = listening(rig, 4);
	struct peer *client = rig_peer(rig, &front);
	struct peer far = { .rig = rig, .got = malloc(PEER_BYTES_MAX), .read_max = PEER_BYTES_MAX };

	done = 0;
	gb_conn_pause(served);
	peer_send(client, "early", 5);
	CHECK_INT(gb__race_begin(&rig->net, &any, &target.address, 1, 0, &terms, relay_it, NULL), 0);
	UNTIL(rig, client, (far.client = sim_client_accept(rig->sim, target.fd)) != NULL);
	peer_send(&far, "hello", 5);
	UNTIL(rig, &far, far.got_size == 5);
	UNTIL(rig, client, client->got_size == 5);
	CHECK(memcmp(far.got, "early", 5) == 0 && memcmp(client->got, "hello", 5) == 0);
	sim_client_shutdown(client->client);
	UNTIL(rig, &far, far.at_end);
	peer_send(&far, "more", 4);
	sim_client_shutdown(far.client);
	UNTIL(rig, client, client->at_end);
	CHECK_INT(client->got_size, 9);
	UNTIL(rig, NULL, rig->closed == 2);
	sim_client_close(far.client);
	free(far.got);
	peer_close(client);
	stop(rig, &target);
}

static struct gb__address named(const char *text)
{
	struct gb__address address;
	struct gb_error error;

	CHECK_INT(gb__address_parse(text, false, &address, &error), 0);
	return address;
}

TEST(families_take_turns_and_keep_their_order)
{
	const char *given[] = { "[::1]:1", "[::1]:2", "[::1]:3", "127.0.0.1:4", "127.0.0.1:5", "unix:/6" };
	const char *expected[] = { "[::1]:1", "127.0.0.1:4", "[::1]:2", "127.0.0.1:5", "[::1]:3", "unix:/6" };
	struct gb__address addresses[6];
	char text[GB__ADDRESS_TEXT];

	for (size_t i = 0; i < 6; i++)
		addresses[i] = named(given[i]);
	gb__race_order(addresses, 6);
	for (size_t i = 0; i < 6; i++) {
		CHECK_INT(gb__address_format(&addresses[i], text, sizeof(text)), 0);
		CHECK_STR(text, expected[i]);
	}
	gb__race_order(addresses, 0);
	gb__race_order(addresses, 1);
}
