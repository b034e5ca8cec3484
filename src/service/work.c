/*
 * Handlers that take their time, to order: what computes, what blocks and what does both can be put under
 * every model and measured.
 *
 * A request and its reply come behind their length, 32 bits. All numbers are unsigned, the highest byte first.
 *
 *   request: id (32 bits), microseconds to compute (32), microseconds to block (32), payload
 *   reply:   id, payload
 *
 * The callback computes and blocks where it stands; with a pool, several requests of a connection at once, as replies carry
 * ids. By routes, a request that does neither never waits for a thread of the pool, one that blocks goes there before
 * those that compute. The straight-line form has the compute pool compute, and sleeps while others are served. The deferred
 * form keeps replies open while the pool does both.
 */
#include "services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUEST_HEADER 12u
#define REPLY_HEADER 8u /* the length included */
#define ROUNDS 500u     /* between two looks at the clock: about a microsecond */
#define HOUR_MS 3600000u

struct work_settings {
	uint64_t max_compute_ms, max_block_ms;
};

static const struct gb_setting work_settings[] = {
	{ "max-compute", GB_SETTING_DURATION, offsetof(struct work_settings, max_compute_ms),
		.fallback = "1s", .max = HOUR_MS, .argument = "TIME",
		.summary = "refuse a request that wants to compute for longer; 0: never" },
	{ "max-block", GB_SETTING_DURATION, offsetof(struct work_settings, max_block_ms), .fallback = "1s",
		.max = HOUR_MS, .argument = "TIME",
		.summary = "refuse a request that wants to block for longer; 0: never" },
	{ NULL },
};

static uint32_t get_number(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void put_number(unsigned char *bytes, uint32_t number)
{
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(number >> (24 - 8 * i));
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void compute_some(void)
{
	volatile uint32_t number = 1;

	for (unsigned i = 0; i < ROUNDS; i++)
		number = number * 1664525u + 1013904223u;
}

/* By the thread's own clock: so much work is done, however often the thread has to wait for a processor. */
static void compute(const struct gb_conn *conn, uint32_t microseconds)
{
	uint64_t end_ns = thread_cpu_ns() + (uint64_t)microseconds * 1000;

	do
		compute_some();
	while (thread_cpu_ns() < end_ns && !gb_conn_cancelled(conn));
}

static void block(uint32_t microseconds)
{
	struct timespec left = { microseconds / 1000000u, (long)(microseconds % 1000000u) * 1000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static int beyond(uint32_t microseconds, uint64_t max_ms)
{
	return max_ms != 0 && microseconds > max_ms * 1000;
}

struct work {
	uint32_t compute_us, block_us;
};

/* What a request asks for. Returns 0, or the reason to refuse it as a negative number. */
static int understand(const struct work_settings *settings, struct gb_bytes request, struct work *ret)
{
	if (request.size < REQUEST_HEADER)
		return -GB_CLOSE_BAD_FRAME;
	ret->compute_us = get_number(request.data + 4);
	ret->block_us = get_number(request.data + 8);
	if (beyond(ret->compute_us, settings->max_compute_ms) ||
		beyond(ret->block_us, settings->max_block_ms))
		return -GB_CLOSE_REFUSED;
	return 0;
}

/* What a reply begins with; its payload is what follows the header of the request. */
static void write_header(struct gb_bytes request, unsigned char *header)
{
	put_number(header, (uint32_t)(4 + request.size - REQUEST_HEADER));
	memcpy(header + 4, request.data, 4);
}

static void work_message(struct gb_conn *conn, struct gb_bytes request)
{
	unsigned char header[REPLY_HEADER];
	struct work work;
	int result = understand(gb_conn_user(conn), request, &work);

	if (result < 0) {
		gb_conn_fail(conn, -result);
		return;
	}
	if (work.compute_us > 0)
		compute(conn, work.compute_us);
	if (work.block_us > 0)
		block(work.block_us);
	write_header(request, header);
	gb_conn_send(conn, header, sizeof(header));
	gb_conn_send(conn, request.data + REQUEST_HEADER, request.size - REQUEST_HEADER);
}

enum { SHORT, COMPUTES, BLOCKS };

/* What a request is there for; one that is none is soon refused. */
static uint64_t choose(struct gb_conn *conn, const struct gb_frame *frame, struct gb_bytes request)
{
	struct work work;

	(void)frame;
	if (understand(gb_conn_user(conn), request, &work) < 0)
		return SHORT;
	if (work.compute_us > 0)
		return COMPUTES;
	return work.block_us > 0 ? BLOCKS : SHORT;
}

static const struct gb_route work_table[] = {
	{ "short", .key = SHORT, .on_message = work_message },
	{ "computes", .key = COMPUTES, .on_message = work_message,
		.traits = GB_TRAIT_HEAVY_COMPUTE | GB_TRAIT_MAY_BLOCK, .priority = GB_PRIORITY_LOW },
	{ "blocks", .key = BLOCKS, .on_message = work_message, .traits = GB_TRAIT_MAY_BLOCK },
	{ NULL },
};

static const struct gb_routes work_routes = {
	.by = GB_ROUTE_BY_FUNCTION,
	.choose = choose,
	.table = work_table,
};

/* On a thread of the pool. */
static int compute_apart(struct gb_offload *offload, void *arg)
{
	const struct work *work = arg;
	uint64_t end_ns = thread_cpu_ns() + (uint64_t)work->compute_us * 1000;

	do
		compute_some();
	while (thread_cpu_ns() < end_ns && !gb_offload_cancelled(offload));
	return 0;
}

/* Returns 0, or why it was not done. */
static int work_do(struct gb_coro *coro, struct work *work)
{
	int result = work->compute_us > 0 ? gb_offload(coro, compute_apart, work) : 0;

	if (result < 0 || work->block_us == 0)
		return result;
	return gb_sleep_until(
		coro, gb_worker_clock_ns(gb_coro_worker(coro)) + (uint64_t)work->block_us * 1000);
}

static void work_serve(struct gb_stream *stream)
{
	unsigned char header[REPLY_HEADER];
	struct gb_bytes request;
	struct work work;

	while (gb_read_message(stream, &request) > 0) {
		int result = understand(gb_stream_user(stream), request, &work);

		if (result < 0)
			return gb_stream_fail(stream, -result);
		if (work_do(gb_stream_coro(stream), &work) < 0)
			return;
		write_header(request, header);
		gb_write(stream, header, sizeof(header));
		gb_write(stream, request.data + REQUEST_HEADER, request.size - REQUEST_HEADER);
	}
}

/* A request whose reply is open. */
struct job {
	struct gb_offload offload;
	struct gb_reply reply;
	struct work work;
	size_t size;
	unsigned char request[];
};

/* On a thread of the pool; without one, on the worker's. */
static int job_run(struct gb_offload *offload, void *arg)
{
	struct job *job = arg;
	uint64_t end_ns = thread_cpu_ns() + (uint64_t)job->work.compute_us * 1000;
	struct gb_bytes request = { job->request, job->size };
	unsigned char *reply = job->request + REQUEST_HEADER - REPLY_HEADER, header[REPLY_HEADER];

	(void)offload;
	while (job->work.compute_us > 0 && thread_cpu_ns() < end_ns && gb_reply_open(job->reply))
		compute_some();
	if (job->work.block_us > 0)
		block(job->work.block_us);
	write_header(request, header);
	memcpy(reply, header, sizeof(header)); /* the payload lies behind it */
	return gb_reply_finish(job->reply, reply, REPLY_HEADER + job->size - REQUEST_HEADER);
}

static void job_done(struct gb_operation *operation, void *user)
{
	(void)operation;
	free(user);
}

static void job_begin(struct gb_worker *worker, void *arg)
{
	struct job *job = arg;

	if (worker)
		gb_offload_begin(worker, &job->offload, job_run, job, job_done, job);
	else
		free(job);
}

static void work_defer(struct gb_conn *conn, struct gb_bytes request)
{
	struct work work;
	struct job *job;
	int result = understand(gb_conn_user(conn), request, &work);

	if (result < 0) {
		gb_conn_fail(conn, -result);
		return;
	}
	job = malloc(sizeof(*job) + request.size);
	if (!job || gb_conn_defer(conn, &job->reply) < 0) {
		free(job);
		gb_conn_fail(conn, GB_CLOSE_NO_MEMORY);
		return;
	}
	job->offload = (struct gb_offload){ 0 };
	job->work = work;
	job->size = request.size;
	memcpy(job->request, request.data, request.size);
	/* Offloading is for the worker's thread, and this may be the pool's. */
	if (gb_worker_post(gb_conn_worker(conn), job_begin, job) < 0) {
		gb_reply_fail(job->reply, GB_CLOSE_NO_MEMORY);
		free(job);
	}
}

const struct gb_service gb_service_work = {
	GB_SERVICE_INIT,
	.name = "work",
	.summary = "computes and blocks for as long as each request says",
	.codec = &gb_codec_length,
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_MAY_BLOCK | GB_TRAIT_HEAVY_COMPUTE | GB_TRAIT_THREAD_SAFE | GB_TRAIT_UNORDERED |
		GB_TRAIT_MOVABLE_IDLE,
	.settings = work_settings,
	.settings_size = sizeof(struct work_settings),
	.on_message = work_message,
};

const struct gb_service gb_service_work_routed = {
	GB_SERVICE_INIT,
	.name = "work-routed",
	.state = GB_STATE_NONE,
	.summary = "work, by routes: only what computes or blocks goes to a pool, what blocks first",
	.codec = &gb_codec_length,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_UNORDERED | GB_TRAIT_MOVABLE_IDLE,
	.settings = work_settings,
	.settings_size = sizeof(struct work_settings),
	.routes = &work_routes,
};

/* What handlers share is not said: so it is refused where processes run them, who cannot answer later. */
const struct gb_service gb_service_work_deferred = {
	GB_SERVICE_INIT,
	.name = "work-deferred",
	.summary = "work, whose replies come later: the compute pool does it, and they leave in order",
	.codec = &gb_codec_length,
	.traits = GB_TRAIT_MAY_BLOCK | GB_TRAIT_HEAVY_COMPUTE | GB_TRAIT_THREAD_SAFE,
	.settings = work_settings,
	.settings_size = sizeof(struct work_settings),
	.on_message = work_defer,
};

const struct gb_service gb_service_work_sequential = {
	GB_SERVICE_INIT,
	.name = "work-sequential",
	.summary = "work, by a straight-line handler: it waits, and the compute pool computes",
	.codec = &gb_codec_length,
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_HEAVY_COMPUTE | GB_TRAIT_THREAD_SAFE,
	.settings = work_settings,
	.settings_size = sizeof(struct work_settings),
	.serve = work_serve,
};
