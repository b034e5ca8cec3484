#include "model/summary.h"

#include "model/server.h"

#include <inttypes.h>
#include <stdbool.h>

/* The main thread is the only worker, in the last place. */
static bool serves_alone(const struct gb__model *model)
{
	return model->accept != GB__ACCEPT_ACCEPTOR && model->unit == GB__UNIT_THREAD && model->workers == 1;
}

static void print_seat(FILE *stream, const struct gb_server *server, size_t place)
{
	struct gb_worker_stats worker;

	gb_server_worker_stats(server, place, &worker);
	fprintf(stream,
		"{\"accepted\": %" PRIu64 ", \"waits\": %" PRIu64 ", \"events\": %" PRIu64
		", \"messages\": %" PRIu64 "}",
		worker.stats.accepted, worker.waits, worker.events, worker.stats.messages);
}

static uint64_t accepted_by(const struct gb_server *server, size_t place)
{
	struct gb_worker_stats worker;

	gb_server_worker_stats(server, place, &worker);
	return worker.stats.accepted;
}

/* Places before the main thread's that somebody worked in. */
static size_t places_used(const struct gb_server *server)
{
	size_t count = gb_server_workers(server) - 1;

	for (; count > 0; count--) {
		struct gb_worker_stats worker;

		gb_server_worker_stats(server, count - 1, &worker);
		if (worker.waits > 0 || worker.stats.accepted > 0)
			break;
	}
	return count;
}

static void print_imbalance(FILE *stream, const struct gb_server *server, size_t workers)
{
	uint64_t most = 0, sum = 0;

	for (size_t i = 0; i < workers; i++) {
		uint64_t accepted = accepted_by(server, i);

		sum += accepted;
		most = most > accepted ? most : accepted;
	}
	if (workers > 1 && sum > 0 && server->model.workers != GB__WORKERS_PER_CONNECTION)
		fprintf(stream, "%.3f", (double)most * (double)workers / (double)sum);
	else
		fprintf(stream, "null");
}

void gb__summary_print(FILE *stream, const struct gb_server *server)
{
	const bool alone = serves_alone(&server->model);
	const size_t last = gb_server_workers(server) - 1, workers = alone ? 0 : places_used(server);
	struct gb_stats stats;

	gb_server_stats(server, &stats);
	fprintf(stream,
		"{\"model\": \"%s\", \"accepted\": %" PRIu64 ", \"connections\": %" PRIu64
		", \"messages\": %" PRIu64 ", \"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64
		", \"closed\": {",
		gb_server_model(server), stats.accepted, stats.connections, stats.messages, stats.bytes_in,
		stats.bytes_out);
	for (int i = 0; i < GB_CLOSE_REASON_COUNT; i++)
		fprintf(stream, "%s\"%s\": %" PRIu64, i ? ", " : "", gb_close_reason_name(i),
			stats.closed[i]);
	fprintf(stream, "}, \"workers\": [");
	for (size_t i = 0; i < workers; i++) {
		fprintf(stream, "%s", i ? ", " : "");
		print_seat(stream, server, i);
	}
	if (alone)
		print_seat(stream, server, last);
	fprintf(stream, "], \"main\": ");
	if (alone)
		fprintf(stream, "null");
	else
		print_seat(stream, server, last);
	fprintf(stream, ", \"imbalance\": ");
	print_imbalance(stream, server, workers);
	fprintf(stream, "}\n");
}
