/*
 * Accepting. When descriptors or memory run out the listener rests for a moment instead of spinning on a
 * socket that stays readable: who waits in the backlog is served when some are free again.
 */
#include "net/listener.h"

#include "os/limit.h"

#include <errno.h>
#include <inttypes.h>

#define REST_MS 100u

static void rest_over(struct gb_timer *timer, void *arg)
{
	struct gb__listener *listener = arg;

	if (listener->wanted && !listener->closed)
		gb__listener_resume(listener);
}

static void rest(struct gb__listener *listener, int error)
{
	struct gb__loop *loop = listener->loop;
	uint64_t held;
	char hint[128];

	loop->engine->ops->input_stop(loop->engine, &listener->endpoint);
	if (gb__log_allowed(&listener->log_limit, gb__loop_now_ms(loop), &held))
		gb__log(GB__LOG_WARNING,
			"accepting rests for %u ms: %s%s (%" PRIu64 " more since the last report)", REST_MS,
			gb_strerror(error), gb__limit_hint(error, hint, sizeof(hint)), held);
	listener->rest.deadline_ns = loop->os->ops->now_ns(loop->os) + REST_MS * 1000000ull;
	listener->rest.on_expire = rest_over;
	listener->rest.arg = listener;
	gb__timers_start_reserved(
		&loop->timers, &listener->rest); /* the worker's: a place for each listener */
}

static void on_accept(struct gb__endpoint *endpoint, int fd)
{
	struct gb__listener *listener = (struct gb__listener *)endpoint;

	if (fd >= 0) {
		listener->on_accepted(listener, fd);
		return;
	}
	switch (gb__accept_verdict(fd)) {
	case GB__ACCEPT_EXHAUSTED:
		rest(listener, fd);
		break;
	case GB__ACCEPT_BROKEN:
		gb__log(GB__LOG_ERROR, "a listening socket failed: %s", gb_strerror(fd));
		gb__listener_stop(listener);
		break;
	default:
		break;
	}
}

static void on_detached(struct gb__endpoint *endpoint)
{
	((struct gb__listener *)endpoint)->gone = true;
}

static const struct gb__endpoint_ops listener_ops = { .on_accept = on_accept, .on_detached = on_detached };

int gb__listener_init(struct gb__listener *listener, struct gb__loop *loop, int fd,
	void (*on_accepted)(struct gb__listener *listener, int fd), void *arg)
{
	*listener = (struct gb__listener){
		.endpoint = { .ops = &listener_ops, .fd = fd, .kind = GB__ENDPOINT_LISTENER },
		.loop = loop,
		.on_accepted = on_accepted,
		.arg = arg,
	};
	return loop->engine->ops->attach(loop->engine, &listener->endpoint);
}

int gb__listener_start(struct gb__listener *listener)
{
	struct gb__engine *engine = listener->loop->engine;

	listener->wanted = true;
	return engine->ops->input_start(engine, &listener->endpoint);
}

void gb__listener_resume(struct gb__listener *listener)
{
	int result = gb__listener_start(listener);

	if (result < 0)
		rest(listener, result);
}

void gb__listener_stop(struct gb__listener *listener)
{
	listener->wanted = false;
	gb__timers_stop(&listener->loop->timers, &listener->rest);
	if (!listener->closed)
		listener->loop->engine->ops->input_stop(listener->loop->engine, &listener->endpoint);
}

void gb__listener_finish(struct gb__listener *listener)
{
	if (listener->closed)
		return;
	gb__listener_stop(listener);
	listener->closed = true;
	if (listener->loop->engine->ops->detach(listener->loop->engine, &listener->endpoint) == 0)
		listener->gone = true;
}
