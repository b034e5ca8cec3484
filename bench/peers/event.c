/*
 * libevent, by bufferevents: what came in is moved to the output without copying. Above OUTPUT_HIGH nothing
 * more is read from the connection until half of it has gone.
 */
#include "../raw_listen.h"

#include <err.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { OUTPUT_HIGH = 256 * 1024 };

static void on_input(struct bufferevent *connection, void *context);
static void on_event(struct bufferevent *connection, short what, void *context);

static void on_drained(struct bufferevent *connection, void *context)
{
	bufferevent_setwatermark(connection, EV_WRITE, 0, 0);
	bufferevent_setcb(connection, on_input, NULL, on_event, NULL);
	bufferevent_enable(connection, EV_READ);
}

static void on_input(struct bufferevent *connection, void *context)
{
	bufferevent_write_buffer(connection, bufferevent_get_input(connection));
	if (evbuffer_get_length(bufferevent_get_output(connection)) > OUTPUT_HIGH) {
		bufferevent_disable(connection, EV_READ);
		bufferevent_setwatermark(connection, EV_WRITE, OUTPUT_HIGH / 2, 0);
		bufferevent_setcb(connection, on_input, on_drained, on_event, NULL);
	}
}

static void on_all_sent(struct bufferevent *connection, void *context)
{
	bufferevent_free(connection);
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
	if (what & BEV_EVENT_EOF && evbuffer_get_length(bufferevent_get_output(connection)) > 0)
		bufferevent_setcb(connection, NULL, on_all_sent, on_event, NULL);
	else
		bufferevent_free(connection);
}

static void on_connection(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int length, void *context)
{
	struct event_base *base = evconnlistener_get_base(listener);
	struct bufferevent *connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

	if (!connection)
		errx(1, "bufferevent_socket_new");
	bufferevent_setcb(connection, on_input, NULL, on_event, NULL);
	bufferevent_enable(connection, EV_READ | EV_WRITE);
}

static struct event_base *create_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		errx(1, "event_config_new");
	/* No descriptor is duplicated, and no other thread looks in. */
	event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	if (!base)
		errx(1, "event_base_new_with_config");
	event_config_free(config);
	return base;
}

int main(int argc, char **argv)
{
	struct event_base *base = create_base();
	size_t fds_max;
	int fd = raw_listen(argc, argv, SOCK_NONBLOCK, &fds_max);

	if (!evconnlistener_new(base, on_connection, NULL, LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd))
		errx(1, "evconnlistener_new");
	raw_announce(fd);
	return event_base_dispatch(base);
}
