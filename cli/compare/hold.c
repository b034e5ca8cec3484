#include "compare/hold.h"

#include "clock.h"
#include "compare/usage.h"
#include "doctor/loopback.h"
#include "verify/secure.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#define FIRST 8        /* connections: what these need, such as stacks, is not the others' */
#define ACCEPT_MS 2000 /* until all are accepted, at most */
#define STILL_MS 5     /* between two looks at what should not change any more */
#define LOOK_ON_MS 100
#define SHAKE_S 2 /* for what should take a moment */
#define NS_PER_MS 1000000u

/* Returns whether the handshake, if there is to be one, is done. */
static bool shake(struct verify_way *way, struct gb__tls *tls)
{
	const struct timeval patience = { .tv_sec = SHAKE_S };
	struct verify_bytes got = { 0 };
	int result;

	setsockopt(way->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	result = gb__verify_way_begin(way, tls);
	while (result == 0 && !way->shaken)
		if (gb__verify_way_receive(way, &got) <= 0)
			break;
	gb__verify_bytes_finish(&got);
	return result == 0 && way->shaken;
}

/* Open as many, as far as it goes. Returns how many. */
static size_t open_some(
	const struct compare_server *server, struct gb__tls *tls, struct verify_way *ways, size_t count)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) }, .sin_port = htons(server->port)
	};
	size_t opened = 0;

	for (; opened < count; opened++) {
		ways[opened] = (struct verify_way){ .fd = gb__loopback_connect(&address) };
		if (ways[opened].fd < 0)
			break;
		if (!shake(&ways[opened], tls)) {
			gb__verify_way_close(&ways[opened], true);
			break;
		}
	}
	return opened;
}

/* Until a model says that so many are open. Of others nothing is known: until their memory stands still. */
static void await_open(struct compare_server *server, size_t count)
{
	uint64_t before = 0, now;

	for (unsigned ms = 0; ms < ACCEPT_MS; ms += STILL_MS) {
		if (server->model) {
			json_t *summary = gb__compare_server_summary(server);
			const json_t *open = json_object_get(summary, "connections");
			bool all = !summary || json_integer_value(open) == (json_int_t)count;

			json_decref(summary);
			if (all)
				return;
		} else {
			now = gb__usage_memory(server->pid);
			if (ms > 0 && now == before)
				return;
			before = now;
			gb__clock_pause(4 * STILL_MS * NS_PER_MS);
		}
		gb__clock_pause(STILL_MS * NS_PER_MS);
	}
}

void gb__compare_hold(
	struct compare_server *server, size_t connections, struct gb__tls *tls, struct compare_idle *ret)
{
	const size_t first = connections > 2 * FIRST ? FIRST : 0;
	struct verify_way *ways = malloc((first + connections) * sizeof(*ways));
	size_t opened;
	uint64_t before, after;
	uint64_t used, from_ns;

	*ret = (struct compare_idle){ NAN, NAN };
	if (!ways)
		return;
	opened = open_some(server, tls, ways, first);
	await_open(server, opened);
	before = gb__usage_memory(server->pid);
	opened += open_some(server, tls, ways + opened, connections);
	await_open(server, opened);
	after = gb__usage_memory(server->pid);
	if (opened == first + connections)
		ret->bytes_per_connection =
			after > before ? (double)(after - before) / (double)connections : 0;
	used = gb__usage_cpu_ns(server->pid, STILL_MS);
	from_ns = gb__clock_ns(CLOCK_MONOTONIC);
	gb__clock_pause(LOOK_ON_MS * NS_PER_MS);
	ret->cpu_share = (double)(gb__usage_cpu_ns(server->pid, 0) - used) /
		(double)(gb__clock_ns(CLOCK_MONOTONIC) - from_ns);
	for (size_t i = 0; i < opened; i++)
		gb__verify_way_close(&ways[i], true);
	await_open(server, 0);
	free(ways);
}
