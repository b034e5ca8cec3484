/* A server in a loop written by hand: one epoll set for the program's own descriptors and the server's. */
#include <gearbox/gearbox.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static struct gb_server *server;
static uint64_t beats; /* the program's own business: handlers run in the same thread, and see it */

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_printf(conn, "%.*s at beat %" PRIu64 "\n", (int)line.size, (const char *)line.data, beats);
}

static const struct gb_service service = { GB_SERVICE_INIT, .name = "embed", .codec = &gb_codec_line,
	.state = GB_STATE_ADDRESS_SPACE, .on_message = on_message };

static void on_signal(int number)
{
	gb_server_stop(server); /* NOLINT(bugprone-signal-handler): it is async-signal-safe */
}

static void watch(int set, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static void loop(void)
{
	const struct itimerspec often = { { 0, 10000000 }, { 0, 10000000 } };
	int set = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	timerfd_settime(timer, 0, &often, NULL);
	watch(set, timer);
	watch(set, gb_server_descriptor(server));
	do {
		struct epoll_event events[2];
		int count = epoll_wait(set, events, 2, gb_server_timeout_ms(server));
		uint64_t more;

		for (int i = 0; i < count; i++)
			if (events[i].data.fd == timer && read(timer, &more, sizeof(more)) == sizeof(more))
				beats += more;
	} while (gb_server_step(server)); /* cheap when there is nothing to do */
	close(timer);
	close(set);
}

int main(int argc, char **argv)
{
	struct gb_error error = { .text = "no memory" };
	struct gb_options *options = NULL;
	int fine = gb_options_create(&options) == 0 &&
		gb_options_set(options, "model", argc > 1 ? argv[1] : "reactor", &error) == 0 &&
		gb_server_create(options, &server, &error) == 0 &&
		gb_server_listen(server, "127.0.0.1:0", &service, NULL, &error) == 0 &&
		gb_server_begin(server, &error) == 0;

	gb_options_destroy(options);
	if (fine) {
		signal(SIGTERM, on_signal);
		fprintf(stderr, "embed_epoll: %s, %s\n", gb_server_address(server, 0),
			gb_server_model(server));
		loop();
		gb_server_end(server);
	}
	gb_server_destroy(server);
	return fine ? 0 : (fprintf(stderr, "embed_epoll: %s\n", error.text), 1);
}
