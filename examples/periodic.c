/* A periodic job: lines are counted, and ten times a second each worker prints what has come to it since. */
#include <gearbox/gearbox.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PERIOD_NS 100000000u

static const struct gb_service periodic;

static void print(size_t *lines)
{
	if (*lines > 0)
		printf("%zu lines\n", *lines);
	fflush(stdout);
	*lines = 0;
}

/* One for each worker. A drain ends its sleep once the last client has gone, so that nothing is lost. */
static int job(struct gb_coro *coro, void *lines)
{
	struct gb_worker *worker = gb_coro_worker(coro);
	uint64_t at_ns = gb_worker_clock_ns(worker); /* fixed times: what the job takes does not add up */

	while (gb_sleep_until(coro, at_ns += PERIOD_NS) == 0)
		print(lines);
	print(lines);
	gb_worker_set_data(worker, &periodic, NULL);
	free(lines);
	return 0;
}

static int on_start(struct gb_worker *worker, void *user)
{
	size_t *lines = calloc(1, sizeof(*lines));

	if (!lines || gb_worker_set_data(worker, &periodic, lines) < 0 ||
		gb_coro_start(worker, "job", job, lines) < 0) {
		free(lines);
		return -ENOMEM;
	}
	return 0;
}

static void serve(struct gb_stream *stream)
{
	size_t *lines = gb_worker_data(gb_coro_worker(gb_stream_coro(stream)), &periodic);
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		++*lines;
		gb_write_format(stream, "ok\n");
	}
}

static const struct gb_service periodic = { GB_SERVICE_INIT, .name = "periodic",
	.summary = "counts lines, and prints how many ten times a second", .codec = &gb_codec_line,
	.state = GB_STATE_WORKER, .traits = GB_TRAIT_STATE_APART, .on_start = on_start, .serve = serve };

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &periodic);
}
