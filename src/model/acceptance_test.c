/* The owner of accepting, on an engine that only notes what it is asked for. */
#include "harness.h"
#include "model/acceptance.h"

#include <errno.h>

#define LISTENERS 2

/* What the engine was asked of each listening socket, by its descriptor. */
static struct {
	bool attached[LISTENERS], started[LISTENERS];
	int start_result;  /* of the second one */
	int detach_result; /* likewise; 1: it is told later that it has gone */
} seen;

static int fake_attach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	seen.attached[endpoint->fd] = true;
	return 0;
}

static int fake_detach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	CHECK(!seen.started[endpoint->fd]);
	seen.attached[endpoint->fd] = false;
	return endpoint->fd == 1 ? seen.detach_result : 0;
}

static int fake_start(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	CHECK(seen.attached[endpoint->fd]);
	if (endpoint->fd == 1 && seen.start_result < 0)
		return seen.start_result;
	seen.started[endpoint->fd] = true;
	return 0;
}

static void fake_stop(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	CHECK(seen.attached[endpoint->fd]);
	seen.started[endpoint->fd] = false;
}

static const struct gb__engine_ops fake_ops = {
	.attach = fake_attach, .detach = fake_detach, .input_start = fake_start, .input_stop = fake_stop
};
static struct gb__engine engine;
static struct gb__loop loop;
static struct gb__acceptance acceptance;
static int accepted;

static void on_accepted(void *arg, int fd, size_t index)
{
	CHECK_INT(index, 10);
	accepted = fd;
}

static void init(void)
{
	engine = (struct gb__engine){ .ops = &fake_ops, .now_ms = 1000 };
	loop = (struct gb__loop){ .engine = &engine };
	CHECK_INT(gb__acceptance_init(&acceptance, &loop, LISTENERS, on_accepted, NULL), 0);
	for (int fd = 0; fd < LISTENERS; fd++)
		CHECK_INT(gb__acceptance_add(&acceptance, fd, 10 + (size_t)fd), 0);
}

static void finish(void)
{
	gb__acceptance_finish(&acceptance);
	CHECK(gb__acceptance_gone(&acceptance));
	CHECK(!seen.attached[0] && !seen.attached[1]);
	gb__acceptance_destroy(&acceptance);
}

static void check_accepts(bool accepts)
{
	CHECK_INT(seen.started[0], accepts);
	CHECK_INT(seen.started[1], accepts);
}

/* The engine tells. */
static void tell(int listener, int fd)
{
	struct gb__endpoint *endpoint = &acceptance.listeners[listener].endpoint;

	endpoint->ops->on_accept(endpoint, fd);
}

TEST(nothing_is_accepted_before_everything_has_begun)
{
	init();
	check_accepts(false);
	gb__acceptance_bar(&acceptance, GB__BAR_FULL);
	gb__acceptance_clear(&acceptance, GB__BAR_FULL);
	check_accepts(false);
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	check_accepts(true);
	tell(0, 7);
	CHECK_INT(accepted, 7);
	finish();
}

TEST(it_accepts_exactly_while_there_is_no_reason_not_to)
{
	static const enum gb__bar reasons[] = { GB__BAR_FULL, GB__BAR_QUEUE, GB__BAR_CHANNEL,
		GB__BAR_EXHAUSTED, GB__BAR_LOCK };
	enum { COUNT = sizeof(reasons) / sizeof(*reasons) };
	uint64_t random = test_seed();
	unsigned expected = 0;

	init();
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t draw = test_random(&random);
		unsigned reason = reasons[draw % COUNT];

		if (draw >> 32 & 1) {
			gb__acceptance_bar(&acceptance, reason);
			expected |= reason;
		} else {
			gb__acceptance_clear(&acceptance, reason);
			expected &= ~reason;
		}
		CHECK_INT(acceptance.bars, expected);
		check_accepts(!expected);
	}
	finish();
}

TEST(what_begins_barred_accepts_once_it_is_not)
{
	init();
	gb__acceptance_bar(&acceptance, GB__BAR_LOCK);
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	check_accepts(false);
	CHECK(gb__acceptance_open_but(&acceptance, GB__BAR_LOCK));
	gb__acceptance_clear(&acceptance, GB__BAR_LOCK);
	check_accepts(true);
	finish();
}

TEST(a_socket_that_cannot_be_watched_is_an_error_at_the_beginning)
{
	init();
	seen.start_result = -ENOMEM;
	CHECK_INT(gb__acceptance_begin(&acceptance), -ENOMEM);
	check_accepts(false);
	finish();
}

static void check_rests(uint64_t ms)
{
	check_accepts(false);
	CHECK_INT(gb__acceptance_turn(&acceptance), (int64_t)ms * 1000000);
	check_accepts(false);
}

TEST(one_that_cannot_be_watched_again_is_tried_after_a_rest)
{
	init();
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	gb__acceptance_bar(&acceptance, GB__BAR_FULL);
	seen.start_result = -ENOMEM;
	gb__acceptance_clear(&acceptance, GB__BAR_FULL);
	check_rests(100);
	engine.now_ms += 100;
	check_rests(100);
	engine.now_ms += 100;
	seen.start_result = 0;
	CHECK_INT(gb__acceptance_turn(&acceptance), -1);
	check_accepts(true);
	finish();
}

/* Also what nobody knows: it would come again at once, for ever. */
TEST(it_rests_when_accepting_fails)
{
	static const int errors[] = { -EMFILE, -ENOMEM, -EIO, -ECONNABORTED };

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		init();
		CHECK_INT(gb__acceptance_begin(&acceptance), 0);
		tell(1, errors[i]);
		check_rests(100);
		engine.now_ms += 60;
		check_rests(40);
		engine.now_ms += 40;
		CHECK_INT(gb__acceptance_turn(&acceptance), -1);
		check_accepts(true);
		finish();
	}
}

TEST(a_rest_that_is_over_overrides_no_other_reason)
{
	init();
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	tell(0, -EMFILE);
	gb__acceptance_bar(&acceptance, GB__BAR_FULL);
	engine.now_ms += 100;
	CHECK_INT(gb__acceptance_turn(&acceptance), -1);
	check_accepts(false);
	gb__acceptance_clear(&acceptance, GB__BAR_FULL);
	check_accepts(true);
	finish();
}

TEST(room_made_overrides_no_rest)
{
	init();
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	gb__acceptance_bar(&acceptance, GB__BAR_FULL);
	tell(0, -EMFILE);
	gb__acceptance_clear(&acceptance, GB__BAR_FULL);
	check_rests(100);
	finish();
}

TEST(a_broken_socket_rests_for_ever_and_the_other_goes_on)
{
	init();
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	tell(1, -EINVAL);
	CHECK(seen.started[0] && !seen.started[1]);
	gb__acceptance_bar(&acceptance, GB__BAR_FULL);
	gb__acceptance_clear(&acceptance, GB__BAR_FULL);
	CHECK(seen.started[0] && !seen.started[1]);
	finish();
}

TEST(nothing_is_accepted_once_it_has_let_go)
{
	init();
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	gb__acceptance_bar(&acceptance, GB__BAR_QUEUE);
	gb__acceptance_finish(&acceptance);
	gb__acceptance_clear(&acceptance, GB__BAR_QUEUE);
	check_accepts(false);
	finish(); /* again */
}

TEST(all_is_gone_once_each_socket_is)
{
	init();
	seen.detach_result = 1;
	gb__acceptance_finish(&acceptance);
	CHECK(!gb__acceptance_gone(&acceptance));
	acceptance.listeners[1].endpoint.ops->on_detached(&acceptance.listeners[1].endpoint);
	CHECK(gb__acceptance_gone(&acceptance));
	gb__acceptance_destroy(&acceptance);
}

TEST(without_sockets_nothing_is_accepted_and_all_is_gone)
{
	loop = (struct gb__loop){ .engine = &engine };
	CHECK_INT(gb__acceptance_init(&acceptance, &loop, 0, on_accepted, NULL), 0);
	CHECK_INT(gb__acceptance_begin(&acceptance), 0);
	CHECK(!gb__acceptance_open_but(&acceptance, 0));
	CHECK(gb__acceptance_gone(&acceptance));
	gb__acceptance_destroy(&acceptance);
}
