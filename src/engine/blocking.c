/*
 * The blocking engine: its worker sleeps for one connection at a time.
 *
 * It sleeps on the descriptor, a wake-up and a deadline together (poll(2) over that short set), so that
 * timeouts, posted tasks, drain and shift interrupt it; a bare blocking recv could only be interrupted
 * by signals, which race with its beginning. What makes it blocking is the promise ONE_STREAM: while a
 * connection is served, nothing else is accepted.
 */
#include "engine/poller/poller.h"
#include "engine/reactor.h"

static int create(const struct gb__engine_options *options, struct gb__engine **ret, struct gb_error *error)
{
	struct gb__engine_options own = *options;

	if (!own.poller)
		own.poller = own.accept_exclusive ? &gb__poller_epoll : &gb__poller_poll;
	return gb__reactor_create(&own, &gb__engine_blocking, ret, error);
}

const struct gb__engine_ops gb__engine_blocking = {
	.name = "blocking",
	.caps = GB__ENGINE_ONE_STREAM | GB__ENGINE_SENDS_AT_ONCE,
	.create = create,
	.destroy = gb__reactor_destroy,
	.attach = gb__reactor_attach,
	.detach = gb__reactor_detach,
	.input_start = gb__reactor_input_start,
	.input_stop = gb__reactor_input_stop,
	.flush = gb__reactor_flush,
	.connect = gb__reactor_connect,
	.watch = gb__reactor_watch,
	.wait = gb__reactor_wait,
	.wake = gb__reactor_wake,
};
