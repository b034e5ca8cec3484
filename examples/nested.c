/* A loop of somebody else's in each worker's: another library's epoll set is a descriptor like any other. */
#include <gearbox/gearbox.h>

#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The other library: it has a set, and a function that does what is due without waiting. */
struct other {
	int set, timer;
	uint64_t beats;
	struct gb_watch *watch;
};

static void other_dispatch(struct other *other)
{
	struct epoll_event event;
	uint64_t more;

	while (epoll_wait(other->set, &event, 1, 0) > 0)
		if (read(event.data.fd, &more, sizeof(more)) == sizeof(more))
			other->beats += more;
}

static int other_open(struct other *other)
{
	const struct itimerspec often = { { 0, 10000000 }, { 0, 10000000 } };
	struct epoll_event event = { .events = EPOLLIN };

	other->set = epoll_create1(EPOLL_CLOEXEC);
	other->timer = event.data.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(other->timer, 0, &often, NULL);
	return epoll_ctl(other->set, EPOLL_CTL_ADD, other->timer, &event);
}

static const char key[] = "other";

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	other_dispatch(user);
}

static int on_start(struct gb_worker *worker, void *user)
{
	struct other *other = calloc(1, sizeof(*other));

	if (!other || other_open(other) < 0 || gb_worker_set_data(worker, key, other) < 0)
		return -1;
	return gb_watch_add(worker, other->set, GB_READY_IN, on_ready, other, &other->watch, NULL);
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct other *other = gb_worker_data(worker, key);

	gb_watch_remove(other->watch); /* and then close, not the other way round */
	close(other->timer);
	close(other->set);
	free(other);
}

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	const struct other *other = gb_worker_data(gb_conn_worker(conn), key);

	gb_conn_printf(
		conn, "%.*s at beat %" PRIu64 "\n", (int)line.size, (const char *)line.data, other->beats);
}

static const struct gb_service nested = { GB_SERVICE_INIT, .name = "nested",
	.summary = "answers lines with the beat of another loop", .codec = &gb_codec_line,
	.state = GB_STATE_WORKER, .traits = GB_TRAIT_STATE_APART, .on_start = on_start, .on_stop = on_stop,
	.on_message = on_message };

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &nested);
}
