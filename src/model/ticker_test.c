/* Periodic timers under every kind of loop: each beat is told or counted, none drifts. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/ticker.h>

#include <errno.h>
#include <unistd.h>

#define PERIOD_NS 2000000u

static struct gb_ticker ticker, stopped;
static uint64_t told;
static unsigned calls;

static void never(struct gb_ticker *one, uint64_t beats, void *arg)
{
	CHECK(!"it was stopped");
}

static void on_beat(struct gb_ticker *one, uint64_t beats, void *arg)
{
	told += beats;
	CHECK(one == &ticker && arg == &told);
	CHECK(beats >= 1);
	CHECK_INT(one->beats, told);
	/* The next one is due at a multiple of the period, and not before now. */
	CHECK_INT(one->timer.deadline_ns, one->start_ns + (told + 1) * PERIOD_NS);
	switch (++calls) {
	case 3:
		usleep(5 * PERIOD_NS / 1000); /* a handler that keeps the loop */
		break;
	case 4:
		CHECK(beats >= 5);
		break;
	case 8:
		gb_ticker_stop(one);
		CHECK_INT(gb_ticker_start(one->timer.worker, one, 2, on_beat, arg), 0);
		told = 0;
		break;
	case 10:
		gb_ticker_stop(one);
		gb_server_stop(gb_worker_server(one->timer.worker));
		break;
	default:
		break;
	}
}

static int on_start(struct gb_worker *worker, void *user)
{
	CHECK_INT(gb_ticker_start(worker, &ticker, 0, on_beat, NULL), -EINVAL);
	CHECK_INT(gb_ticker_start(worker, &ticker, 1, NULL, NULL), -EINVAL);
	gb_ticker_stop(&stopped);
	CHECK_INT(gb_ticker_start(worker, &stopped, 1, never, NULL), 0);
	gb_ticker_stop(&stopped);
	return gb_ticker_start(worker, &ticker, 2, on_beat, &told);
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
}

static const struct gb_service beating = { GB_SERVICE_INIT, .name = "beating", .state = GB_STATE_NONE,
	.on_start = on_start, .on_message = on_message };

static void beats(const char *model)
{
	struct gb_server *server = driver_server(model, &beating, NULL);
	struct gb_error error;

	if (!server)
		return;
	told = calls = 0; /* one child may have several models, one after the other */
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK_INT(calls, 10);
	gb_server_destroy(server);
}

TEST(beats_are_told_or_counted_and_do_not_drift)
{
	static const char *const models[] = { "iterative", "reactor", "reactor,engine=poll",
		"reactor,engine=select", "proactor" };

	test_side_by_side(beats, models, gb__countof(models));
}
