/*
 * A remote procedure call: "ID fib N" is answered by "ID RESULT". Replies carry the ids of their calls, so that a quick one
 * overtakes a slow one: with a pool (compute-workers=, --model reactor-pool) several are computed at once.
 */
#include <gearbox/gearbox.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
	struct gb_offload offload;
	struct gb_reply reply;
	unsigned id, number;
};

static unsigned long fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

/* On a thread of the pool; without one on the worker's. */
static int compute(struct gb_offload *offload, void *arg)
{
	struct call *call = arg;
	char answer[64];
	int size;

	(void)offload;
	size = snprintf(answer, sizeof(answer), "%u %lu\n", call->id, fib(call->number));
	return gb_reply_finish(call->reply, answer, (size_t)size);
}

static void done(struct gb_operation *operation, void *call)
{
	(void)operation;
	free(call);
}

static void begin(struct gb_worker *worker, void *arg)
{
	struct call *call = arg;

	if (worker)
		gb_offload_begin(worker, &call->offload, compute, call, done, call);
	else
		free(call);
}

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	struct call *call = calloc(1, sizeof(*call));
	char text[64] = "";

	memcpy(text, line.data, line.size < sizeof(text) ? line.size : sizeof(text) - 1);
	if (!call) {
		gb_conn_fail(conn, GB_CLOSE_NO_MEMORY);
	} else if (sscanf(text, "%u fib %u", &call->id, &call->number) != 2 || call->number > 40) {
		gb_conn_printf(conn, "? say ID fib N, N at most 40\n");
		free(call);
	} else if (gb_conn_defer(conn, &call->reply) < 0) {
		free(call);
	} else if (gb_worker_post(gb_conn_worker(conn), begin, call) < 0) {
		gb_reply_fail(call->reply, GB_CLOSE_NO_MEMORY);
		free(call);
	}
}

static const struct gb_service rpc = { GB_SERVICE_INIT, .name = "rpc",
	.summary = "computes Fibonacci numbers; replies carry ids", .codec = &gb_codec_line,
	.state = GB_STATE_NONE, .traits = GB_TRAIT_UNORDERED | GB_TRAIT_THREAD_SAFE,
	.on_message = on_message };

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &rpc);
}
