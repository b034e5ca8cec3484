/* What a drain does to work that only the handler knows of, under every preset. */
#include "model/server_test_driver.h"

#include <gearbox/worker.h>

#include <string.h>
#include <unistd.h>

#define PIECE 1000
#define PIECES 15
#define PIECE_MS 20

struct feed {
	struct gb_timer timer;
	int left;
};

/* As a download that a timer feeds: nothing of it is sent in a callback of the connection. */
static void feed(struct gb_timer *timer, void *arg)
{
	static const char piece[PIECE];
	struct gb_conn *conn = arg;
	struct feed *state = gb_conn_state(conn);

	if (gb_conn_send(conn, piece, sizeof(piece)) < 0)
		return;
	if (--state->left == 0)
		gb_conn_close(conn);
	else
		CHECK_INT(gb_timer_start(gb_conn_worker(conn), timer, PIECE_MS, feed, conn), 0);
}

static int begin(struct gb_conn *conn, int pieces)
{
	struct feed *state = gb_conn_state(conn);

	state->left = pieces;
	return gb_timer_start(gb_conn_worker(conn), &state->timer, PIECE_MS, feed, conn);
}

static int open_download(struct gb_conn *conn)
{
	return begin(conn, PIECES);
}

static int open_endless(struct gb_conn *conn)
{
	return begin(conn, -1);
}

static void stop(struct gb_conn *conn, struct gb_bytes message)
{
	gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
}

static void end(struct gb_conn *conn, int reason)
{
	gb_timer_stop(&((struct feed *)gb_conn_state(conn))->timer);
}

static const struct gb_service download = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "download",
	.conn_state_size = sizeof(struct feed), .on_open = open_download, .on_message = stop,
	.on_close = end };
static const struct gb_service endless = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "endless",
	.conn_state_size = sizeof(struct feed), .on_open = open_endless, .on_message = stop,
	.on_close = end };

/* Stopped in the middle. Returns as driver_receive. */
static long received(struct gb_server *server, size_t size)
{
	static char bytes[1000 * PIECE];
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	long got, rest;

	got = driver_receive(client, bytes, 1);
	driver_send(client, "!");
	rest = driver_receive(client, bytes, size);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
	return rest < 0 ? rest : got + rest;
}

static void finishes(const char *model)
{
	long got = received(driver_server(model, &download, NULL), PIECES * PIECE);

	if (got != PIECES * PIECE)
		test_fail(__FILE__, __LINE__, "%s: %ld bytes arrived of %d", model, got, PIECES * PIECE);
}

TEST(a_download_that_a_timer_feeds_is_not_cut)
{
	driver_each_preset(finishes);
}

static void is_reset(const char *model)
{
	long got = received(driver_server_with(model, "drain-timeout", "100ms", &endless, NULL), 900 * PIECE);

	if (got != -1)
		test_fail(__FILE__, __LINE__, "%s: %ld bytes and an end that looks whole", model, got);
}

TEST(what_the_drain_timeout_cuts_is_reset)
{
	driver_each_preset(is_reset);
}

/* A job whose answer comes after a second and more of silence. */
static void answer(struct gb_timer *timer, void *arg)
{
	gb_conn_send(arg, "answer", 6);
	gb_conn_release(arg);
}

static int open_job(struct gb_conn *conn)
{
	struct feed *state = gb_conn_state(conn);

	gb_conn_hold(conn);
	gb_conn_send(conn, "?", 1);
	return gb_timer_start(gb_conn_worker(conn), &state->timer, 1500, answer, conn);
}

static const struct gb_service job = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "job",
	.conn_state_size = sizeof(struct feed), .on_open = open_job, .on_message = stop, .on_close = end };

TEST(a_hold_is_waited_for)
{
	static const char *const models[] = { "reactor", "multi-reactor-pool,workers=2,compute-workers=2",
		"thread", "prefork,workers=2" };

	for (unsigned i = 0; i < 4; i++) {
		long got = received(driver_server(models[i], &job, NULL), 100);

		if (got != 7)
			test_fail(__FILE__, __LINE__, "%s: %ld bytes arrived of 7", models[i], got);
	}
}

/* on_drain says goodbye, and may end it. */
static void say_goodbye(struct gb_conn *conn)
{
	gb_conn_send(conn, "bye", 3);
	gb_conn_close(conn);
}

static int greet(struct gb_conn *conn)
{
	gb_conn_hold(conn);
	return gb_conn_send(conn, "?", 1);
}

static void says_goodbye(const char *model)
{
	static const struct gb_service polite = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "polite",
		.on_open = greet, .on_message = stop, .on_drain = say_goodbye };
	long got = received(driver_server(model, &polite, NULL), 100);

	if (got != 4)
		test_fail(__FILE__, __LINE__, "%s: %ld bytes arrived of 4", model, got);
}

TEST(handlers_are_told_of_a_drain)
{
	driver_each_preset(says_goodbye);
}

/* A time beyond all times never comes. */
static void far(struct gb_timer *timer, void *arg)
{
	gb_conn_send(arg, "early", 5);
}

static void near(struct gb_timer *timer, void *arg)
{
	gb_conn_send(arg, "n", 1);
	gb_conn_close(arg);
}

struct two {
	struct gb_timer far[3], near;
};

static int open_two(struct gb_conn *conn)
{
	static const uint64_t beyond[] = { UINT64_MAX, UINT64_MAX / 1000000 + 50, INT64_MAX };
	struct two *two = gb_conn_state(conn);

	for (unsigned i = 0; i < 3; i++)
		CHECK_INT(gb_timer_start(gb_conn_worker(conn), &two->far[i], beyond[i], far, conn), 0);
	return gb_timer_start(gb_conn_worker(conn), &two->near, 30, near, conn);
}

static void close_two(struct gb_conn *conn, int reason)
{
	struct two *two = gb_conn_state(conn);

	for (unsigned i = 0; i < 3; i++)
		gb_timer_stop(&two->far[i]);
	gb_timer_stop(&two->near);
}

static void waits_for_ever(const char *model)
{
	static const struct gb_service timers = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "timers",
		.conn_state_size = sizeof(struct two), .on_open = open_two, .on_message = stop,
		.on_close = close_two };
	struct gb_server *server = driver_server(model, &timers, NULL);
	pid_t pid = driver_host(server);
	int client = driver_client(server);
	char text[8] = "";

	if (driver_receive(client, text, sizeof(text)) != 1 || text[0] != 'n')
		test_fail(__FILE__, __LINE__, "%s: \"%s\"", model, text);
	close(client);
	client = driver_client(server);
	driver_send(client, "!");
	driver_receive(client, text, sizeof(text));
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_timer_beyond_all_times_does_not_fire)
{
	driver_each_preset(waits_for_ever);
}
