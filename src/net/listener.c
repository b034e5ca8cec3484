#include "net/listener.h"

#include "base/log.h"

static void on_accept(struct gb__endpoint *endpoint, int fd)
{
	struct gb__listener *listener = (struct gb__listener *)endpoint;

	if (fd >= 0) {
		listener->on_accepted(listener, fd);
		return;
	}
	if (gb__accept_verdict(fd) != GB__ACCEPT_BROKEN) {
		listener->on_failed(listener, fd);
		return;
	}
	gb__log(GB__LOG_ERROR, "a listening socket failed: %s", gb_strerror(fd));
	gb__listener_stop(listener);
	listener->broken = true;
}

static void on_detached(struct gb__endpoint *endpoint)
{
	((struct gb__listener *)endpoint)->gone = true;
}

static const struct gb__endpoint_ops listener_ops = { .on_accept = on_accept, .on_detached = on_detached };

int gb__listener_init(struct gb__listener *listener, struct gb__loop *loop, int fd)
{
	listener->endpoint =
		(struct gb__endpoint){ .ops = &listener_ops, .fd = fd, .kind = GB__ENDPOINT_LISTENER };
	listener->loop = loop;
	listener->broken = listener->closed = listener->gone = false;
	return loop->engine->ops->attach(loop->engine, &listener->endpoint);
}

int gb__listener_start(struct gb__listener *listener)
{
	struct gb__engine *engine = listener->loop->engine;

	return listener->broken || listener->closed ? 0
						    : engine->ops->input_start(engine, &listener->endpoint);
}

void gb__listener_stop(struct gb__listener *listener)
{
	struct gb__engine *engine = listener->loop->engine;

	if (!listener->broken && !listener->closed)
		engine->ops->input_stop(engine, &listener->endpoint);
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
