/* A listening socket on an engine that only notes what it is asked for. */
#include "harness.h"
#include "net/listener.h"

#include <gearbox/log.h>

#include <errno.h>

static struct {
	int starts, stops, detaches;
	int attach_result, start_result, detach_result;
} seen;
static int accepted, failed;

static int fake_attach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	return seen.attach_result;
}

static int fake_detach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	seen.detaches++;
	return seen.detach_result;
}

static int fake_start(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	seen.starts++;
	return seen.start_result;
}

static void fake_stop(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	seen.stops++;
}

static const struct gb__engine_ops fake_ops = {
	.attach = fake_attach, .detach = fake_detach, .input_start = fake_start, .input_stop = fake_stop
};
static struct gb__engine engine = { .ops = &fake_ops };
static struct gb__loop loop = { .engine = &engine };

static void on_accepted(struct gb__listener *listener, int fd)
{
	accepted = fd;
}

static void on_failed(struct gb__listener *listener, int error)
{
	failed = error;
}

static struct gb__listener listener = { .on_accepted = on_accepted, .on_failed = on_failed };

static void begin(void)
{
	CHECK_INT(gb__listener_init(&listener, &loop, 7), 0);
	CHECK_INT(gb__listener_start(&listener), 0);
	CHECK_INT(seen.starts, 1);
}

static void tell(int fd)
{
	listener.endpoint.ops->on_accept(&listener.endpoint, fd);
}

TEST(it_rests_until_it_is_started_and_says_what_the_engine_cannot)
{
	CHECK_INT(gb__listener_init(&listener, &loop, 7), 0);
	CHECK_INT(listener.endpoint.fd, 7);
	CHECK_INT(seen.starts, 0);
	seen.start_result = -ENOMEM;
	CHECK_INT(gb__listener_start(&listener), -ENOMEM);
	seen.attach_result = -GB_ELIMIT;
	CHECK_INT(gb__listener_init(&listener, &loop, 7), -GB_ELIMIT);
}

/* Its memory may be that of one before. */
TEST(it_begins_anew)
{
	listener.broken = listener.closed = listener.gone = true;
	begin();
	CHECK(!listener.gone);
}

TEST(what_is_accepted_goes_to_its_owner)
{
	begin();
	tell(12);
	CHECK_INT(accepted, 12);
	tell(0); /* a descriptor as well */
	CHECK_INT(accepted, 0);
	CHECK_INT(failed, 0);
	CHECK_INT(seen.stops, 0);
}

/* Whatever may pass, an errno that nobody knows included, is for the owner, who makes it rest. */
TEST(what_may_pass_is_told_and_ends_nothing)
{
	static const int passing[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, 524 };

	begin();
	for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++) {
		tell(-passing[i]);
		CHECK_INT(failed, -passing[i]);
	}
	CHECK(!listener.broken);
	CHECK_INT(gb__listener_start(&listener), 0);
	CHECK_INT(seen.starts, 2);
}

static unsigned logged;

static void on_log(enum gb_log_level level, const char *text, void *arg)
{
	CHECK_INT(level, GB_LOG_ERROR);
	logged++;
}

TEST(a_socket_that_is_of_no_use_is_not_started_again)
{
	gb_log_set(on_log, NULL);
	begin();
	tell(-EINVAL); /* it does not listen any more */
	CHECK_INT(failed, 0);
	CHECK(listener.broken);
	CHECK_INT(logged, 1);
	CHECK_INT(seen.stops, 1);
	CHECK_INT(gb__listener_start(&listener), 0);
	gb__listener_stop(&listener);
	CHECK_INT(seen.starts, 1);
	CHECK_INT(seen.stops, 1);
	gb__listener_finish(&listener);
	CHECK_INT(seen.detaches, 1); /* it is let go of all the same */
	CHECK(listener.gone);
}

TEST(it_is_let_go_of_once_and_gone_when_nothing_is_in_flight)
{
	begin();
	seen.detach_result = 1; /* on_detached follows */
	gb__listener_finish(&listener);
	CHECK(listener.closed && !listener.gone);
	CHECK_INT(seen.stops, 1);
	gb__listener_finish(&listener);
	CHECK_INT(seen.detaches, 1);
	CHECK_INT(gb__listener_start(&listener), 0);
	CHECK_INT(seen.starts, 1);
	listener.endpoint.ops->on_detached(&listener.endpoint);
	CHECK(listener.gone);
	/* The memory may be used again. */
	CHECK_INT(gb__listener_init(&listener, &loop, 8), 0);
	CHECK(!listener.closed && !listener.gone && !listener.broken);
}
