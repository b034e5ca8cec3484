/*
 * What a thread waits for a CPU that others have is none of the handler's time: the kernel counts it apart (schedstat). A
 * handler that did not give its CPU up of its own has not blocked at all, whatever the clock on the wall says.
 */
#include "advise/gauge.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define TRIES 100 /* of gauging nothing */

static struct {
	const struct gb_service *service;
	struct gb_routes routes; /* the service's, with `table` */
	struct gb_route *table;  /* of it, each handler wrapped; or NULL */
	struct advise_gauge *gauge;
	uint64_t least_ns; /* between two looks at the thread's clock */
} gauged;

struct moment {
	uint64_t wall_ns, cpu_ns, starved_ns;
	long switches; /* that the thread asked for */
};

static long switches(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

/* How long the thread has waited for a CPU: the second number of its schedstat; 0 where the kernel does not count. */
static uint64_t starved_ns(void)
{
	static _Thread_local int fd = -1;
	unsigned long long waited = 0;
	char text[96];
	ssize_t size;

	if (fd < 0)
		fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);
	text[size > 0 ? size : 0] = '\0';
	return sscanf(text, "%*u %llu", &waited) == 1 ? waited : 0;
}

static void begin(struct moment *moment)
{
	moment->starved_ns = starved_ns();
	moment->switches = switches();
	moment->wall_ns = gb__clock_ns(CLOCK_MONOTONIC);
	moment->cpu_ns = gb__clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t above(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void end(const struct moment *before, size_t bytes)
{
	uint64_t cpu_ns = above(gb__clock_ns(CLOCK_THREAD_CPUTIME_ID) - before->cpu_ns, gauged.least_ns);
	uint64_t wall_ns = gb__clock_ns(CLOCK_MONOTONIC) - before->wall_ns, blocked_ns = 0;

	if (switches() != before->switches)
		blocked_ns = above(wall_ns, cpu_ns + (starved_ns() - before->starved_ns));
	gauged.gauge->cpu_ns += cpu_ns;
	gauged.gauge->blocked_ns += blocked_ns;
	gauged.gauge->bytes += bytes;
	gb__histogram_add(&gauged.gauge->held_ns, cpu_ns + blocked_ns);
}

static void clear(struct advise_gauge *gauge)
{
	gauge->cpu_ns = gauge->blocked_ns = gauge->bytes = 0;
	gb__histogram_init(&gauge->held_ns);
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct moment moment;

	begin(&moment);
	gauged.service->on_message(conn, message);
	end(&moment, message.size);
}

static void on_routed(struct gb_conn *conn, struct gb_bytes message)
{
	struct moment moment;

	begin(&moment);
	gauged.service->routes->table[gb_conn_route(conn) - gauged.table].on_message(conn, message);
	end(&moment, message.size);
}

/* What gauging takes, and what of it lies between the two looks at the clock. */
static void calibrate(void)
{
	uint64_t began_ns = gb__clock_ns(CLOCK_THREAD_CPUTIME_ID);

	gauged.least_ns = 0;
	for (unsigned i = 0; i < TRIES; i++) {
		struct moment moment;

		begin(&moment);
		end(&moment, 0);
	}
	gauged.gauge->own_ns = (gb__clock_ns(CLOCK_THREAD_CPUTIME_ID) - began_ns) / TRIES;
	gauged.least_ns = gauged.gauge->held_ns.min;
	clear(gauged.gauge);
}

/* Returns 0, -ENOTSUP (a route without on_message) or -ENOMEM. */
static int wrap_routes(const struct gb_routes *routes)
{
	size_t count = 0;

	for (; routes->table[count].name; count++)
		if (!routes->table[count].on_message)
			return -ENOTSUP;
	free(gauged.table);
	gauged.table = calloc(count + 1, sizeof(*gauged.table));
	if (!gauged.table)
		return -ENOMEM;
	memcpy(gauged.table, routes->table, count * sizeof(*gauged.table));
	for (size_t i = 0; i < count; i++)
		gauged.table[i].on_message = on_routed;
	gauged.routes = *routes;
	gauged.routes.table = gauged.table;
	return 0;
}

int gb__advise_gauge(
	const struct gb_service *service, struct gb_service *ret, struct advise_gauge **ret_gauge)
{
	struct advise_gauge *gauge;
	int result;

	*ret = *service;
	*ret_gauge = NULL;
	if (service->serve || (!service->on_message && !service->routes))
		return -ENOTSUP;
	result = service->routes ? wrap_routes(service->routes) : 0;
	if (result < 0)
		return result;
	gauge = mmap(NULL, sizeof(*gauge), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (gauge == MAP_FAILED)
		return -ENOMEM;
	gauged.service = service;
	gauged.gauge = gauge;
	ret->on_message = service->on_message ? on_message : NULL;
	ret->routes = service->routes ? &gauged.routes : NULL;
	clear(gauge);
	calibrate();
	*ret_gauge = gauge;
	return 0;
}

void gb__advise_gauge_finish(struct advise_gauge *gauge)
{
	if (gauge)
		munmap(gauge, sizeof(*gauge));
}
