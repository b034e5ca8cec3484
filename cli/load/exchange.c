#include "load/exchange.h"

#include "load/fleet.h"

#include <gearbox/conn.h>

/* Bytes queued at a time, so that a long message does not fill the output before its reply is read. */
#define PIECE_MAX (32u << 10)

static uint64_t clock_ns(const struct generator *generator)
{
	return gb_worker_clock_ns(generator->worker);
}

/* Its requests have waited for at least so long: that is what the histograms get. */
void gb__exchange_give_up(struct generator *generator, struct session *session, uint64_t now_ns)
{
	while (session->awaited > 0) {
		struct awaited one = session_answer_one(session, session->oldest);

		if (one.due_ns < generator->measured_ns)
			continue;
		generator->totals.timeouts++;
		gb__histogram_add(&generator->totals.response_ns, now_ns - one.due_ns);
		if (generator->schedule.open)
			gb__histogram_add(&generator->totals.service_ns, now_ns - one.sent_ns);
	}
}

/* The same of those that were due and never sent. */
void gb__exchange_give_up_unsent(struct generator *generator, uint64_t now_ns)
{
	uint64_t due_ns;

	while (gb__schedule_skip(&generator->schedule, now_ns, &due_ns)) {
		if (due_ns < generator->measured_ns)
			continue;
		generator->totals.sent++;
		generator->totals.unsent++;
		generator->totals.timeouts++;
		gb__histogram_add(&generator->totals.response_ns, now_ns - due_ns);
	}
}

/* Queue as much as the output takes; on_writable goes on. */
void gb__exchange_send(struct generator *generator, struct session *session)
{
	const struct traffic *traffic = generator->traffic;

	while (session->owed > 0) {
		size_t unsent = session->unsent;
		size_t wanted = generator->options->packets ? traffic_take(traffic, &unsent, 1)
			: session->owed < PIECE_MAX         ? (size_t)session->owed
							    : PIECE_MAX;
		size_t piece = traffic_piece(traffic, session->at, wanted);

		if (gb_conn_try_send(session->conn, traffic->data + session->at, piece) < 0)
			return; /* no room yet, or it is closing and on_close tells */
		session->at = traffic_after(traffic, session->at, piece);
		session->owed -= piece;
		session->unsent = unsent;
	}
}

static void record(struct generator *generator, struct awaited one, uint64_t now_ns)
{
	if (one.due_ns < generator->measured_ns)
		return;
	gb__histogram_add(&generator->totals.response_ns, now_ns - one.due_ns);
	if (generator->schedule.open)
		gb__histogram_add(&generator->totals.service_ns, now_ns - one.sent_ns);
	generator->totals.messages++;
	generator->totals.end_ns = now_ns;
}

static void on_collect(struct gb_timer *timer, void *arg);

/* Nobody answers: what the kernel has taken of a session's requests is done. Returns whether anything was. */
static bool collect_one(struct generator *generator, struct session *session, uint64_t now_ns)
{
	uint64_t size = generator->traffic->request_size;
	uint64_t queued = session->next * size - session->owed;
	uint64_t taken = (queued - gb_conn_output_size(session->conn)) / size, oldest = session->oldest;

	while (session->oldest < taken) {
		record(generator, session_answer(session), now_ns);
		if (now_ns >= generator->measured_ns)
			generator->totals.bytes += size;
	}
	return session->oldest > oldest;
}

static void collect(struct generator *generator)
{
	uint64_t now_ns = clock_ns(generator);
	bool moved = false, more = false;

	generator->collecting = false;
	if (now_ns >= generator->interval_end_ns)
		gb__exchange_tell_series(generator, now_ns);
	for (uint64_t i = 0; i < generator->begun; i++) {
		struct session *session = &generator->sessions[i];

		if (!session->conn || !session->open || session->done || session->awaited == 0)
			continue;
		if (collect_one(generator, session, now_ns)) {
			moved = generator->moved = true;
			gb__exchange_go_on(generator, session, now_ns);
		}
		more = more || session->awaited > 0;
	}
	if (!more || generator->collecting)
		return;
	/* By the next turn, or when the kernel's buffers have room again; without memory for it, with what is sent next. */
	generator->collecting = gb_timer_start(generator->worker, &generator->collect, moved ? 0 : 1,
					on_collect, generator) == 0;
}

static void collect_posted(struct gb_worker *worker, void *arg)
{
	struct generator *generator = arg;

	if (worker && generator->worker && !generator->over)
		collect(generator);
}

/* Once this turn's bytes have left, look what has become of them. */
static void collect_soon(struct generator *generator)
{
	if (generator->collecting)
		return;
	generator->collecting = gb_worker_post(generator->worker, collect_posted, generator) == 0;
}

static void on_collect(struct gb_timer *timer, void *arg)
{
	(void)timer;
	collect(arg);
}

/* Note since when each request of a batch has been due. */
static void await(
	struct generator *generator, struct session *session, struct schedule_batch batch, uint64_t now_ns)
{
	for (uint32_t i = 0; i < batch.count; i++)
		session_await(session, batch.due_ns, now_ns);
	session->owed += traffic_take(generator->traffic, &session->turn, batch.count);
	if (batch.due_ns >= generator->measured_ns)
		generator->totals.sent += batch.count;
	if (generator->options->protocol->silent)
		collect_soon(generator);
}

static void finish(struct session *session)
{
	session->done = true;
	gb_conn_close(session->conn);
}

/* Whether it has nothing to send and nothing to hear any more. */
static bool has_done_its_part(
	const struct generator *generator, const struct session *session, uint64_t now_ns)
{
	return session->awaited == 0 &&
		(!generator->schedule.open || session->share == 0 ||
			gb__schedule_ended(&generator->schedule, now_ns));
}

/* Closed loop: send what is due. */
static void send_due(struct generator *generator, struct session *session, uint64_t now_ns)
{
	struct schedule *schedule = &generator->schedule;
	struct schedule_batch batch;

	while ((batch = gb__schedule_take(
			schedule, &session->share, session_room(session, schedule->depth), now_ns))
			.count > 0)
		await(generator, session, batch, now_ns);
	gb__exchange_send(generator, session);
	if (has_done_its_part(generator, session, now_ns))
		finish(session);
}

/* Open loop: it waits for a request to become due, unless it has no room for one. */
static void enqueue(struct generator *generator, struct session *session, uint64_t now_ns)
{
	uint64_t place = generator->queue_first + generator->queued;

	if (session->queued || session->share == 0 || session_room(session, generator->schedule.depth) == 0)
		return;
	session->queued = true;
	if (generator->queued++ == 0)
		generator->free_since_ns = now_ns;
	generator->queue[place % generator->connections] = session;
}

static struct session *dequeue(struct generator *generator)
{
	struct session *session = generator->queue[generator->queue_first];

	generator->queue_first =
		generator->queue_first + 1 == generator->connections ? 0 : generator->queue_first + 1;
	generator->queued--;
	session->queued = false;
	return session->conn && session->open && !session->done ? session : NULL;
}

/* The first in the queue sends the next request that is due. */
static void send_next(struct generator *generator, struct session *session, uint64_t now_ns)
{
	struct schedule *schedule = &generator->schedule;
	struct schedule_batch batch =
		gb__schedule_take(schedule, &session->share, session_room(session, schedule->depth), now_ns);

	if (batch.count == 0)
		return;
	await(generator, session, batch, now_ns);
	if (batch.due_ns >= generator->free_since_ns && batch.due_ns >= generator->measured_ns)
		gb__histogram_add(&generator->totals.late_ns, now_ns - batch.due_ns);
	gb__exchange_send(generator, session);
}

/* Nothing will be due any more: those that wait have done their part. */
static void finish_queued(struct generator *generator, uint64_t now_ns)
{
	while (generator->queued > 0) {
		struct session *session = dequeue(generator);

		if (session && has_done_its_part(generator, session, now_ns))
			finish(session);
	}
}

/* Open loop: send what is due on the connections that have room, and be called for the next. */
void gb__exchange_dispatch(struct generator *generator, uint64_t now_ns)
{
	struct schedule *schedule = &generator->schedule;

	while (generator->queued > 0 && !gb__schedule_ended(schedule, now_ns) &&
		schedule->next_ns <= now_ns) {
		struct session *session = dequeue(generator);

		if (!session)
			continue;
		send_next(generator, session, now_ns);
		now_ns = clock_ns(generator);
		enqueue(generator, session, now_ns);
	}
	if (gb__schedule_ended(schedule, now_ns))
		finish_queued(generator, now_ns);
	else if (generator->queued > 0)
		gb__pacer_set(&generator->pacer, schedule->next_ns);
}

/* A connection has room, or has done its part. */
void gb__exchange_go_on(struct generator *generator, struct session *session, uint64_t now_ns)
{
	if (!generator->schedule.open) {
		send_due(generator, session, now_ns);
		return;
	}
	if (has_done_its_part(generator, session, now_ns)) {
		finish(session);
		return;
	}
	enqueue(generator, session, now_ns);
	gb__exchange_dispatch(generator, now_ns);
}

/* Returns how many replies were complete, or -GB_EBADFRAME. */
static int64_t hear_in_order(struct generator *generator, struct session *session, struct gb_bytes bytes,
	uint64_t now_ns, struct gb_error *error)
{
	int64_t replies = generator->options->protocol->check(
		generator->traffic, session->state, session->awaited, bytes, error);

	for (int64_t i = 0; i < replies; i++)
		record(generator, session_answer(session), now_ns);
	return replies;
}

/* The same where replies come in any order. */
static int64_t hear_in_any_order(struct generator *generator, struct session *session, struct gb_bytes bytes,
	uint64_t now_ns, struct gb_error *error)
{
	int64_t replies = 0;

	while (bytes.size > 0) {
		uint64_t number = UINT64_MAX;
		int64_t taken = generator->options->protocol->check_one(generator->traffic, session->state,
			session->oldest, session->next, bytes, &number, error);
		struct awaited one;

		if (taken < 0)
			return taken;
		bytes.data += taken;
		bytes.size -= (size_t)taken;
		if (number == UINT64_MAX)
			continue;
		one = session_answer_one(session, number);
		if (one.due_ns == 0)
			return gb_error_set(error, -GB_EBADFRAME,
				"a second reply to request %llu of a connection", (unsigned long long)number);
		record(generator, one, now_ns);
		replies++;
	}
	return replies;
}

int64_t gb__exchange_hear(struct generator *generator, struct session *session, struct gb_bytes bytes,
	uint64_t now_ns, struct gb_error *error)
{
	uint64_t before = generator->totals.messages;
	int64_t replies;

	if (now_ns >= generator->interval_end_ns)
		gb__exchange_tell_series(generator, now_ns);
	generator->totals.bytes_heard += bytes.size;
	replies = generator->options->protocol->check_one
		? hear_in_any_order(generator, session, bytes, now_ns, error)
		: hear_in_order(generator, session, bytes, now_ns, error);
	if (replies >= 0 && replies != 1 && generator->options->packets)
		return gb_error_set(
			error, -GB_EBADFRAME, "a packet of %zu bytes is not one reply", bytes.size);
	if (replies >= 0 && generator->traffic->reply_size > 0)
		generator->totals.bytes +=
			(generator->totals.messages - before) * generator->traffic->reply_size;
	else if (replies >= 0 && now_ns >= generator->measured_ns)
		generator->totals.bytes += bytes.size;
	return replies;
}

void gb__exchange_tell_series(struct generator *generator, uint64_t now_ns)
{
	struct series *series = &generator->fleet->series;

	while (now_ns >= generator->interval_end_ns) {
		uint64_t index =
			(generator->interval_end_ns - generator->measured_ns) / series->interval_ns - 1;

		gb__series_give(series, index, &generator->totals.response_ns, generator->told);
		generator->interval_end_ns += series->interval_ns;
	}
}
