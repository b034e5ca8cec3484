/*
 * Messages by their routes, here and through a pool that is the test itself: it holds jobs and runs them when it likes.
 */
#include "rig.h"

#include "base/macros.h"
#include "net/route.h"
#include "net/task.h"

#include <gearbox/stream.h>

#include <errno.h>

#define HELD_MAX 256u

static struct gb__job *held[HELD_MAX];
static unsigned held_count;

static void hold(void *arg, struct gb__job *job)
{
	CHECK(held_count < HELD_MAX);
	held[held_count++] = job;
}

static void pool_use(struct rig *rig, unsigned tasks_max)
{
	held_count = 0;
	gb__net_submit_to(&rig->net, hold, NULL, tasks_max);
}

static void run_held(unsigned at)
{
	struct gb__job *job = held[at];

	held[at] = held[--held_count];
	job->run(job);
}

static const struct gb_route *route_held(unsigned at)
{
	return gb__container_of(held[at], struct gb__task, job)->route;
}

/* Both styles say the same: the name of the route, and the line. */
static void tell(struct gb_conn *conn, struct gb_bytes line)
{
	CHECK(gb_conn_user(conn));
	gb_conn_printf(
		conn, "%s<%.*s>\n", gb_conn_route(conn)->name, (int)line.size, (const char *)line.data);
}

static int tell_straight(struct gb_stream *stream, struct gb_bytes line)
{
	char name[2] = { line.size ? (char)line.data[0] : '?', 0 };

	if (strcmp(name, "s") == 0)
		gb_yield(gb_stream_coro(stream)); /* the line stays */
	return gb_write_format(stream, "%s<%.*s>\n", strchr("fslu", *name) && *name ? name : "other",
		(int)line.size, (const char *)line.data);
}

static const struct gb_route rows[] = {
	{ "f", .key = 'f', .on_message = tell, .serve = tell_straight },
	{ "s", .key = 's', .on_message = tell, .serve = tell_straight, .traits = GB_TRAIT_HEAVY_COMPUTE },
	{ "l", .key = 'l', .on_message = tell, .serve = tell_straight, .traits = GB_TRAIT_MAY_BLOCK,
		.priority = GB_PRIORITY_LOW },
	{ "u", .key = 'u', .on_message = tell, .serve = tell_straight, .traits = GB_TRAIT_MAY_BLOCK,
		.priority = GB_PRIORITY_HIGH },
	{ "other", .otherwise = true, .on_message = tell, .serve = tell_straight },
	{ NULL },
};
static const struct gb_routes routes = { .by = GB_ROUTE_BY_BYTE, .table = rows };
static const struct gb_service routed = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "routed",
	.codec = &gb_codec_line, .routes = &routes, .on_open = count_open, .on_close = count_close };

/* The rig counts with callbacks. */
static void straight_serve(struct gb_stream *stream)
{
	rig_of(gb_stream_conn(stream))->opened++;
	gb_serve_routes(stream);
}

static const struct gb_service straight = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "straight",
	.codec = &gb_codec_line, .routes = &routes, .serve = straight_serve, .on_close = count_close };

#define LINES_MAX 80u

struct talk {
	struct peer *peer;
	char sent[LINES_MAX * 16], wanted[LINES_MAX * 32];
	size_t sent_size, taken, wanted_size;
	unsigned counts[gb__countof(rows)]; /* lines of each row */
};

static void talk_write(struct talk *talk, uint64_t *random, unsigned lines)
{
	static const char kinds[] = "fsluo";

	for (unsigned i = 0; i < lines; i++) {
		unsigned row = (unsigned)(test_random(random) % (sizeof(kinds) - 1));
		char line[16];

		sprintf(line, "%c%u", kinds[row], i);
		if (kinds[row] == 'o' && i % 2)
			*line = '\0';
		talk->counts[row]++;
		talk->sent_size += (size_t)sprintf(talk->sent + talk->sent_size, "%s\n", line);
		talk->wanted_size +=
			(size_t)sprintf(talk->wanted + talk->wanted_size, "%s<%s>\n", rows[row].name, line);
	}
}

static void talk_more(struct talk *talk)
{
	talk->taken +=
		sim_client_send(talk->peer->client, talk->sent + talk->taken, talk->sent_size - talk->taken);
}

static void talk_check(struct talk *talk)
{
	CHECK_INT(talk->peer->got_size, talk->wanted_size);
	CHECK(memcmp(talk->peer->got, talk->wanted, talk->wanted_size) == 0);
}

static const uint64_t *counts_of(const struct rig *rig)
{
	return rig->net.routers_own->counts;
}

/* All of several at once, as the sim and its faults split them. */
static void check_talks(struct rig *rig, const struct gb_service *service, unsigned tasks_max)
{
	enum { TALKS = 4 };
	static struct talk talks[TALKS];
	unsigned counts[gb__countof(rows)] = { 0 };
	bool one = service->serve && (rig->net.engine->ops->caps & GB__ENGINE_ONE_STREAM);
	const unsigned count = one ? 1 : TALKS;
	bool done = false;

	memset(talks, 0, sizeof(talks));
	for (unsigned i = 0; i < count; i++) {
		talk_write(&talks[i], &rig->random, LINES_MAX);
		for (unsigned j = 0; j < gb__countof(rows); j++)
			counts[j] += talks[i].counts[j];
		talks[i].peer = rig_peer(rig, service);
	}
	for (unsigned steps = 0; !done; steps++) {
		CHECK(steps < 200000);
		if (tasks_max)
			CHECK(rig->net.tasks <= tasks_max && rig->net.tasks == held_count);
		done = held_count == 0;
		for (unsigned i = 0; i < count; i++) {
			talk_more(&talks[i]);
			done = done && talks[i].peer->got_size >= talks[i].wanted_size;
		}
		if (held_count > 0 && test_random(&rig->random) % 3)
			run_held((unsigned)(test_random(&rig->random) % held_count));
		rig_step(rig, talks[test_random(&rig->random) % count].peer);
	}
	for (unsigned i = 0; i < count; i++) {
		talk_check(&talks[i]);
		peer_close(talks[i].peer);
	}
	for (unsigned j = 0; j < gb__countof(rows) - 1; j++)
		CHECK_INT(counts_of(rig)[rows[j].otherwise ? 0 : j + 1], counts[j]);
}

NET_TEST(each_message_goes_to_its_route)
{
	held_count = 0;
	check_talks(rig, &routed, 0);
}

NET_TEST(each_message_goes_to_its_straight_line_route)
{
	held_count = 0;
	check_talks(rig, &straight, 0);
}

NET_TEST(replies_by_routes_here_and_in_the_pool_keep_their_order)
{
	unsigned tasks_max = rig->round % 3 + 1;

	pool_use(rig, tasks_max);
	check_talks(rig, &routed, tasks_max);
}

/* Until what it said was handed to whom it is for. */
static void say(struct rig *rig, struct peer *peer, const char *line)
{
	uint64_t messages = rig->net.tally.messages + 1;

	peer_send(peer, line, strlen(line));
	UNTIL(rig, peer, rig->net.tally.messages == messages);
}

NET_TEST(a_slow_route_holds_up_its_own_connection_alone)
{
	struct peer *slow, *fast;

	pool_use(rig, 2);
	slow = rig_peer(rig, &routed);
	fast = rig_peer(rig, &routed);
	peer_send(slow, "s1\nf2\n", 6);
	UNTIL(rig, slow, held_count == 1);
	peer_send(fast, "f3\n", 3);
	UNTIL(rig, fast, fast->got_size == 6);
	CHECK_INT(slow->got_size, 0);
	CHECK_INT(held_count, 1);
	run_held(0);
	UNTIL(rig, slow, slow->got_size == 12);
	CHECK(memcmp(slow->got, "s<s1>\nf<f2>\n", 12) == 0);
	peer_close(slow);
	peer_close(fast);
}

NET_TEST(a_full_pool_lets_short_routes_run_and_takes_by_priority)
{
	static const char *const lines[] = { "l1\n", "l2\n", "s1\n", "u1\n", "u2\n", "s2\n" };
	static const char order[] = "uussll";
	struct peer *peers[gb__countof(lines)], *first, *fast;

	pool_use(rig, 1);
	first = rig_peer(rig, &routed);
	say(rig, first, "s0\n");
	for (unsigned i = 0; i < gb__countof(lines); i++) {
		peers[i] = rig_peer(rig, &routed);
		say(rig, peers[i], lines[i]);
	}
	CHECK_INT(held_count, 1);
	CHECK_INT(rig->net.waiting.count, gb__countof(lines));
	fast = rig_peer(rig, &routed);
	peer_send(fast, "f3\n", 3);
	UNTIL(rig, fast, fast->got_size == 6);
	for (unsigned i = 0; i < gb__countof(lines); i++) {
		run_held(0);
		UNTIL(rig, NULL, held_count == 1);
		CHECK_INT(*route_held(0)->name, order[i]);
	}
	run_held(0);
	for (unsigned i = 0; i < gb__countof(lines); i++) {
		UNTIL(rig, peers[i], peers[i]->got_size == 6);
		peer_close(peers[i]);
	}
	peer_close(first);
	peer_close(fast);
}

static void answer_plainly(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_send(conn, "plain\n", 6);
}

/* Connections of other services wait in line for room, and tasks of routes do: in turn. */
NET_TEST(routes_and_other_services_get_room_in_turn)
{
	static const struct gb_service plain = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "plain",
		.codec = &gb_codec_line, .on_message = answer_plainly, .on_open = count_open,
		.on_close = count_close };
	struct peer *first, *by_route[4], *others[4];
	unsigned in_a_row = 0;
	bool before = false;

	pool_use(rig, 1);
	first = rig_peer(rig, &routed);
	say(rig, first, "s0\n");
	for (unsigned i = 0; i < 4; i++) {
		by_route[i] = rig_peer(rig, &routed);
		others[i] = rig_peer(rig, &plain);
		say(rig, by_route[i], "u1\n");
		peer_send(others[i], "x\n", 2);
		UNTIL(rig, others[i], rig->net.parked_count == i + 1);
	}
	for (unsigned i = 0; i < 8; i++) {
		bool routed_now;

		run_held(0);
		UNTIL(rig, NULL, held_count == 1);
		routed_now = route_held(0) != NULL;
		in_a_row = i > 0 && routed_now == before ? in_a_row + 1 : 1;
		before = routed_now;
		if (rig->round ==
			0) /* else a line may be cut, and who waits in vain leaves his place to the next */
			CHECK_INT(in_a_row, 1);
	}
	run_held(0);
	for (unsigned i = 0; i < 4; i++) {
		UNTIL(rig, by_route[i], by_route[i]->got_size == 6);
		UNTIL(rig, others[i], others[i]->got_size == 6);
		peer_close(by_route[i]);
		peer_close(others[i]);
	}
	peer_close(first);
}

NET_TEST(a_connection_that_dies_while_its_task_waits_for_room_is_closed_once_that_is_back)
{
	struct peer *first, *second;

	pool_use(rig, 1);
	first = rig_peer(rig, &routed);
	say(rig, first, "s0\n");
	second = rig_peer(rig, &routed);
	say(rig, second, "s1\n");
	CHECK_INT(rig->net.waiting.count, 1);
	gb__net_abort_all(&rig->net, GB_CLOSE_DRAIN);
	for (int i = 0; i < 20; i++)
		rig_step(rig, NULL);
	CHECK_INT(rig->closed, 0);
	while (rig->closed < 2) {
		if (held_count > 0)
			run_held(0);
		rig_step(rig, NULL);
	}
	CHECK_INT(rig->net.waiting.count, 0);
	peer_close(first);
	peer_close(second);
}

NET_TEST(a_drain_waits_for_tasks_that_wait_for_room)
{
	struct peer *first, *second;

	pool_use(rig, 1);
	first = rig_peer(rig, &routed);
	say(rig, first, "s0\n");
	second = rig_peer(rig, &routed);
	say(rig, second, "s1\n");
	rig_calm(rig);
	gb__net_drain(&rig->net);
	for (int i = 0; i < 50; i++)
		rig_step(rig, second);
	CHECK(!second->at_end);
	while (!second->at_end || !first->at_end) {
		if (held_count > 0)
			run_held(0);
		rig_step(rig, second);
		peer_read(first);
	}
	CHECK_INT(second->got_size, 6);
	CHECK_INT(first->got_size, 6);
	sim_client_shutdown(first->client);
	sim_client_shutdown(second->client);
	UNTIL(rig, second, rig->closed == 2);
	peer_close(first);
	peer_close(second);
}

static char problem[64];

static void complain(struct gb_conn *conn, int reason)
{
	CHECK_INT(reason, GB_CLOSE_BAD_FRAME);
	snprintf(problem, sizeof(problem), "%s", gb_conn_frame(conn)->problem);
	gb_conn_send(conn, "what?\n", 6);
}

static const struct gb_routes strict_routes = { .by = GB_ROUTE_BY_WORD,
	.table = (const struct gb_route[]){
		{ "get", .text = "get", .on_message = tell, .serve = tell_straight }, { NULL } } };

NET_TEST(what_no_route_takes_is_an_error_of_the_peer)
{
	static const struct gb_service strict = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "strict",
		.codec = &gb_codec_line, .routes = &strict_routes, .on_open = count_open,
		.on_close = count_close, .on_error = complain };
	struct peer *peer = rig_peer(rig, &strict);

	*problem = '\0';
	peer_send(peer, "get 1\ngot 2\nget 3\n", 18);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 17);
	CHECK(memcmp(peer->got, "get<get 1>\nwhat?\n", 17) == 0);
	CHECK_STR(problem, "no route takes this message");
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_BAD_FRAME);
	peer_close(peer);
}

NET_TEST(what_no_route_takes_ends_a_straight_line_handler)
{
	static const struct gb_service strict = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "strict",
		.codec = &gb_codec_line, .routes = &strict_routes, .serve = straight_serve,
		.on_close = count_close };
	struct peer *peer = rig_peer(rig, &strict);

	peer_send(peer, "get 1\ngot 2\nget 3\n", 18);
	UNTIL(rig, peer, peer->at_end);
	CHECK_INT(peer->got_size, 13);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_BAD_FRAME);
	peer_close(peer);
}

/* The handler decides by the row, and some of its own: gb_route_find and gb_stream_dispatch beside one another. */
static void choosy_serve(struct gb_stream *stream)
{
	const struct gb_route *route;
	struct gb_bytes line;

	rig_of(gb_stream_conn(stream))->opened++;
	while (gb_read_message(stream, &line) > 0) {
		route = gb_route_find(stream, line);
		CHECK(route);
		if (strcmp(route->name, "s") == 0)
			gb_write_format(stream, "refused\n");
		else
			CHECK_INT(gb_stream_dispatch(stream, line) > 0, 1);
	}
}

NET_TEST(a_straight_line_handler_may_look_at_the_route_first)
{
	static const struct gb_service choosy = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "choosy",
		.codec = &gb_codec_line, .routes = &routes, .serve = choosy_serve, .on_close = count_close };
	struct peer *peer = rig_peer(rig, &choosy);

	peer_send(peer, "f1\ns2\nf3\n", 9);
	UNTIL(rig, peer, peer->got_size == 20);
	CHECK(memcmp(peer->got, "f<f1>\nrefused\nf<f3>\n", 20) == 0);
	peer_close(peer);
}
