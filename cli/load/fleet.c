#include "load/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What generator `part` has of `count`: they differ by one at most. */
static uint64_t part_of(const struct fleet *fleet, uint64_t count, unsigned part)
{
	return count / fleet->count + (part < count % fleet->count);
}

static struct schedule schedule_of(const struct fleet *fleet, unsigned part)
{
	const struct load_options *options = fleet->options;
	uint64_t messages = part_of(fleet, options->message_count, part);
	uint64_t share = options->messages_per_connection;

	return (struct schedule){ .depth = (uint32_t)options->depth,
		.share = share ? share : SCHEDULE_NO_BOUND,
		.left = options->message_count ? messages : SCHEDULE_NO_BOUND,
		.open = options->rate_to > 0,
		.arrivals = { .from = options->rate_from,
			.to = options->rate_to,
			.ramp_ns =
				options->rate_from < options->rate_to || options->rate_from > options->rate_to
				? options->duration_ms * 1000000
				: 0,
			.poisson = options->poisson,
			.part = part,
			.parts = fleet->count,
			.seed = options->seed + part + 1 } };
}

int gb__fleet_init(struct fleet *fleet, const struct load_options *options)
{
	const struct load_request request = { .size = (size_t)options->size,
		.messages = options->made.count ? &options->made : &options->messages,
		.expect = options->expected.count ? options->expected.list[0] : (struct gb_bytes){ 0 },
		.reply_lines = options->reply_lines,
		.depth = options->depth,
		.seed = options->seed,
		.address = options->address,
		.path = options->path,
		.post = options->method_index == 1,
		.command = options->command,
		.keys = options->keys,
		.octets = options->framing_index == 1,
		.conversation = options->conversation,
		.compute_us = (uint32_t)options->compute_us,
		.block_us = (uint32_t)options->block_us };
	int rc;

	memset(fleet, 0, sizeof(*fleet));
	fleet->options = options;
	fleet->connection = gb__generator_connection;
	fleet->generators = calloc((size_t)options->threads, sizeof(*fleet->generators));
	rc = fleet->generators ? options->protocol->prepare(&request, &fleet->traffic) : -ENOMEM;
	fleet->count = (unsigned)options->threads;
	for (unsigned i = 0; i < fleet->count && rc == 0; i++) {
		struct schedule schedule = schedule_of(fleet, i);

		rc = gb__generator_init(
			&fleet->generators[i], fleet, i, part_of(fleet, options->connections, i), &schedule);
	}
	if (rc < 0)
		gb__fleet_finish(fleet);
	return rc;
}

void gb__fleet_finish(struct fleet *fleet)
{
	for (unsigned i = 0; fleet->generators && i < fleet->count; i++)
		gb__generator_finish(&fleet->generators[i]);
	free(fleet->generators);
	fleet->generators = NULL;
	gb__traffic_finish(&fleet->traffic);
}

uint64_t gb__fleet_messages(const struct fleet *fleet)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < fleet->count; i++)
		sum += atomic_load_explicit(&fleet->generators[i].seen_messages, memory_order_relaxed);
	return sum;
}

uint64_t gb__fleet_opened(const struct fleet *fleet)
{
	return atomic_load(&fleet->opened);
}

/* Each worker that starts takes a generator, as long as there are some: the one that supervises may find none. */
static int on_start(struct gb_worker *worker, void *user)
{
	struct fleet *fleet = user;
	unsigned place = atomic_fetch_add(&fleet->started, 1);

	if (place >= fleet->count)
		return 0;
	if (place == 0)
		snprintf(fleet->engine, sizeof(fleet->engine), "%s", gb_worker_engine(worker));
	if (gb_worker_set_data(worker, fleet, &fleet->generators[place]) < 0)
		return -ENOMEM;
	return gb__generator_start(&fleet->generators[place], worker);
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct generator *generator = gb_worker_data(worker, user);

	if (generator)
		gb__generator_stop(generator);
}

/* Its connections have the service of their own. */
static void ignore(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn;
	(void)message;
}

const struct gb_service gb__fleet_service = {
	GB_SERVICE_INIT,
	.name = "load",
	.summary = "sends requests and checks the replies",
	.state = GB_STATE_WORKER,
	.on_start = on_start,
	.on_stop = on_stop,
	.on_message = ignore,
};
