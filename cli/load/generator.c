/*
 * The happy path: on_start begins connections, some at a time; once all are established the measured
 * time begins and each sends what the schedule gives it; replies are checked and bring the next requests;
 * a connection that has done its part closes, and the last one ends the server. With --reconnect the
 * measured time begins at once and a new connection follows each that has closed.
 *
 * What can go wrong: a connection fails before the measured time (the load would be another one: all
 * ends), fails later (it is missing from then on), answers wrongly (it is dropped), or nothing moves any
 * more (all ends). Whatever it was is counted, and the totals tell.
 */
#include "load/generator.h"

#include "load/circumstances.h"

#include <gearbox/server.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 100u
#define SILENCE_MIN_MS 1000u /* before a server that has not answered at all is given up */
/* Connections under way at a time: more would overflow the server's backlog, and wait a second for it. */
#define CONNECTING_MAX 64u
/* Bytes queued at a time, so that a long message does not fill the output before its reply is read. */
#define PIECE_MAX (32u << 10)

struct session {
	struct gb_conn *conn; /* NULL: none */
	uint64_t share;       /* requests left to it */
	uint64_t owed;        /* bytes of requests not queued yet */
	size_t at;            /* where in the traffic they lie */
	size_t turn;          /* which request comes next */
	uint64_t *due_ns;     /* a ring of `depth`: since when each awaited request was due */
	uint32_t oldest;      /* in the ring */
	uint32_t awaited;     /* requests without a reply */
	bool open;            /* established */
	bool done;            /* it closes by our will */
	void *state;          /* the protocol's */
};

static void session_begin(struct generator *generator, struct session *session);

static struct session *session_of(struct gb_conn *conn)
{
	struct session *session;

	memcpy(&session, gb_conn_state(conn), sizeof(session));
	return session;
}

/* End what there is; nothing new begins. The totals say why. */
static void give_up(struct generator *generator)
{
	generator->given_up = true;
	gb__schedule_end(&generator->schedule);
	for (uint64_t i = 0; i < generator->begun; i++) {
		struct session *session = &generator->sessions[i];

		if (session->conn && !session->done) {
			session->done = true;
			gb_conn_abort(session->conn);
		}
	}
}

/* What the measured time has cost this thread. */
static void note_cpu(struct generator *generator)
{
	struct totals *totals = &generator->totals;

	if (!generator->sending)
		return;
	totals->cpu_ns = totals->busiest_ns = gb__load_cpu_ns() - generator->cpu_begin_ns;
	totals->lasted_ns = gb_worker_clock_ns(generator->worker) - totals->begin_ns;
}

/* Every connection has come to its end: so does the load. */
static void end_when_over(struct generator *generator)
{
	bool all_begun = generator->begun == generator->options->connections || generator->given_up;

	if (generator->live > 0 || !all_begun)
		return;
	gb_timer_stop(&generator->tick);
	note_cpu(generator);
	gb_server_stop(gb_worker_server(generator->worker));
}

/* A connection could not be had. Before the measured time that is the end. */
static void connect_failed(struct generator *generator, const char *why)
{
	generator->totals.connect_failed++;
	gb__totals_note(generator->totals.connect_text, why);
	if (!generator->sending)
		give_up(generator);
}

/* Queue as much as the output takes; on_writable goes on. */
static void send_owed(struct generator *generator, struct session *session)
{
	while (session->owed > 0) {
		size_t wanted = session->owed < PIECE_MAX ? (size_t)session->owed : PIECE_MAX;
		size_t piece = traffic_piece(&generator->traffic, session->at, wanted);

		if (gb_conn_try_send(session->conn, generator->traffic.data + session->at, piece) < 0)
			return; /* no room yet, or it is closing and on_close tells */
		session->at = traffic_after(&generator->traffic, session->at, piece);
		session->owed -= piece;
	}
}

/* Note since when each request of a batch has been due. */
static void await(struct generator *generator, struct session *session, struct schedule_batch batch)
{
	uint32_t depth = generator->schedule.depth;
	uint64_t after = (uint64_t)session->oldest + session->awaited;
	uint32_t place = (uint32_t)(after < depth ? after : after - depth);

	for (uint32_t i = 0; i < batch.count; i++) {
		session->due_ns[place] = batch.due_ns;
		place = place + 1 == depth ? 0 : place + 1;
	}
	session->awaited += batch.count;
	session->owed += traffic_take(&generator->traffic, &session->turn, batch.count);
	generator->totals.sent += batch.count;
}

/* Send what is due. A connection that has nothing to send and nothing to hear has done its part. */
static void send_due(struct generator *generator, struct session *session, uint64_t now_ns)
{
	struct schedule *schedule = &generator->schedule;
	struct schedule_batch batch = gb__schedule_take(schedule, &session->share, session->awaited, now_ns);

	while (batch.count > 0) {
		await(generator, session, batch);
		batch = gb__schedule_take(schedule, &session->share, session->awaited, now_ns);
	}
	send_owed(generator, session);
	if (session->awaited == 0) {
		session->done = true;
		gb_conn_close(session->conn);
	}
}

static void begin_sending(struct generator *generator, uint64_t now_ns)
{
	generator->sending = true;
	generator->totals.begin_ns = generator->totals.end_ns = now_ns;
	generator->cpu_begin_ns = gb__load_cpu_ns();
	gb__schedule_begin(&generator->schedule, now_ns);
}

/* Begin the next connections, as many as may be under way. */
static void connect_more(struct generator *generator)
{
	while (generator->begun < generator->options->connections && generator->connecting < CONNECTING_MAX &&
		!generator->given_up)
		session_begin(generator, &generator->sessions[generator->begun++]);
}

static void session_begin(struct generator *generator, struct session *session)
{
	struct gb_error error = { 0 };
	int rc = gb_connect(generator->worker, generator->address, &gb__generator_service, generator,
		&session->conn, &error);

	session->awaited = 0;
	session->owed = 0;
	session->turn = 0;
	session->open = false;
	session->done = false;
	if (rc < 0) {
		session->conn = NULL;
		connect_failed(generator, error.text[0] ? error.text : gb_strerror(rc));
		return;
	}
	memcpy(gb_conn_state(session->conn), &session, sizeof(session));
	generator->connecting++;
	generator->live++;
}

static int on_open(struct gb_conn *conn)
{
	struct generator *generator = gb_conn_user(conn);
	const struct load_options *options = generator->options;
	struct session *session = session_of(conn);

	generator->moved = true;
	session->open = true;
	session->share = generator->schedule.share;
	session->at =
		options->protocol->begin(&generator->traffic, generator->totals.opened++, session->state);
	generator->connecting--;
	if (generator->sending) {
		send_due(generator, session, gb_worker_clock_ns(generator->worker));
	} else if (generator->totals.opened == options->connections) {
		begin_sending(generator, gb_worker_clock_ns(generator->worker));
		for (uint64_t i = 0; i < options->connections; i++)
			send_due(generator, &generator->sessions[i], gb_worker_clock_ns(generator->worker));
	}
	connect_more(generator);
	return 0;
}

static void record(struct generator *generator, struct session *session, uint64_t replies, uint64_t now_ns)
{
	uint32_t depth = generator->schedule.depth;

	for (uint64_t i = 0; i < replies; i++) {
		gb__histogram_add(&generator->totals.response_ns, now_ns - session->due_ns[session->oldest]);
		session->oldest = session->oldest + 1 == depth ? 0 : session->oldest + 1;
	}
	session->awaited -= (uint32_t)replies;
	generator->totals.messages += replies;
	generator->totals.bytes += replies * generator->traffic.reply_size;
	generator->totals.end_ns = now_ns;
}

static void on_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	struct generator *generator = gb_conn_user(conn);
	struct session *session = session_of(conn);
	/* One reading for all replies that came together. */
	uint64_t now_ns = gb_worker_clock_ns(generator->worker);
	struct gb_error error;
	int64_t replies;

	if (session->done)
		return;
	generator->moved = true;
	generator->totals.bytes_heard += bytes.size;
	replies = generator->options->protocol->check(
		&generator->traffic, session->state, session->awaited, bytes, &error);
	if (replies < 0) {
		generator->totals.wrong_replies++;
		gb__totals_note(generator->totals.wrong_text, error.text);
		session->done = true;
		gb_conn_abort(conn);
		return;
	}
	if (generator->traffic.reply_size == 0)
		generator->totals.bytes += bytes.size;
	if (replies == 0)
		return;
	record(generator, session, (uint64_t)replies, now_ns);
	send_due(generator, session, now_ns);
}

static void on_writable(struct gb_conn *conn)
{
	send_owed(gb_conn_user(conn), session_of(conn));
}

/* A second signal ends connections in the middle of what they do: their server is not to blame. */
static bool ending_at_once(const struct generator *generator)
{
	return *generator->signal > 1;
}

static void closed_early(struct generator *generator, const struct gb_conn *conn, int reason)
{
	char text[128];
	int error = gb_conn_error(conn);

	if (reason == GB_CLOSE_EOF)
		snprintf(text, sizeof(text), "the server finished");
	else
		snprintf(text, sizeof(text), "%s%s%s", gb_close_reason_name(reason), error ? ": " : "",
			error ? gb_strerror(error) : "");
	generator->totals.closed_early++;
	gb__totals_note(generator->totals.closed_text, text);
	if (!generator->sending)
		give_up(generator);
}

static void on_close(struct gb_conn *conn, int reason)
{
	struct generator *generator = gb_conn_user(conn);
	struct session *session = session_of(conn);
	bool fulfilled = session->done && session->awaited == 0;

	session->conn = NULL;
	generator->moved = true;
	generator->live--;
	if (!session->open)
		generator->connecting--;
	if (!session->done && !ending_at_once(generator)) {
		session->done = true;
		if (session->open)
			closed_early(generator, conn, reason);
		else
			connect_failed(generator, gb_strerror(gb_conn_error(conn)));
	} else if (fulfilled && generator->options->reconnect && !generator->given_up &&
		!gb__schedule_ended(&generator->schedule, gb_worker_clock_ns(generator->worker))) {
		session_begin(generator, session);
	}
	connect_more(generator);
	end_when_over(generator);
}

/* Nothing is established, answered or closed any more. */
static void stall(struct generator *generator, uint64_t ms)
{
	generator->totals.stalled = true;
	generator->totals.stalled_ms = ms;
	for (uint64_t i = 0; i < generator->begun; i++)
		if (generator->sessions[i].conn && !generator->sessions[i].open)
			connect_failed(generator, gb_strerror(ETIMEDOUT));
	give_up(generator);
}

/* Where nothing at all was answered, waiting for longer than the load was to last tells nothing more. */
static uint64_t patience_ms(const struct generator *generator, uint64_t now_ns)
{
	const struct load_options *options = generator->options;
	uint64_t least = options->duration_ms > SILENCE_MIN_MS ? options->duration_ms : SILENCE_MIN_MS;
	bool silent = generator->sending && generator->totals.messages == 0 && options->duration_ms &&
		gb__schedule_ended(&generator->schedule, now_ns);

	return silent && least < options->timeout_ms ? least : options->timeout_ms;
}

static void on_tick(struct gb_timer *timer, void *arg)
{
	struct generator *generator = arg;
	uint64_t now_ns = gb_worker_clock_ns(generator->worker);
	uint64_t timeout_ms = generator->options->timeout_ms;

	if (generator->moved) {
		generator->moved = false;
		generator->moved_ns = now_ns;
	}
	if (*generator->signal && !generator->totals.interrupted) {
		generator->totals.interrupted = true;
		gb__schedule_end(&generator->schedule);
		if (!generator->sending)
			give_up(generator);
	} else if (timeout_ms && !generator->given_up &&
		now_ns - generator->moved_ns > patience_ms(generator, now_ns) * 1000000) {
		stall(generator, patience_ms(generator, now_ns));
	}
	if (generator->on_tick)
		generator->on_tick(generator, now_ns);
	gb_timer_start(generator->worker, timer, TICK_MS, on_tick, generator);
}

static int on_start(struct gb_worker *worker, void *user)
{
	struct generator *generator = user;
	int rc;

	generator->worker = worker;
	snprintf(generator->engine, sizeof(generator->engine), "%s", gb_worker_engine(worker));
	generator->moved_ns = gb_worker_clock_ns(worker);
	rc = gb_timer_start(worker, &generator->tick, TICK_MS, on_tick, generator);
	if (rc < 0)
		return rc;
	if (generator->options->reconnect)
		begin_sending(generator, generator->moved_ns);
	connect_more(generator);
	end_when_over(generator);
	return 0;
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct generator *generator = user;

	(void)worker;
	generator->worker = NULL;
}

const struct gb_service gb__generator_service = {
	GB_SERVICE_INIT,
	.name = "load",
	.summary = "sends requests and checks the replies",
	.state = GB_STATE_WORKER,
	.conn_state_size = sizeof(struct session *),
	.on_start = on_start,
	.on_stop = on_stop,
	.on_open = on_open,
	.on_message = on_message,
	.on_writable = on_writable,
	.on_close = on_close,
};

static uint64_t or_no_bound(uint64_t bound)
{
	return bound ? bound : SCHEDULE_NO_BOUND;
}

int gb__generator_init(struct generator *generator, const struct load_options *options)
{
	size_t state_size = (options->protocol->state_size + 7) / 8 * 8;
	const struct load_request request = { .size = (size_t)options->size,
		.messages = &options->messages,
		.expect = options->expected.count ? options->expected.list[0] : (struct gb_bytes){ 0 },
		.reply_lines = options->reply_lines };
	int rc;

	memset(generator, 0, sizeof(*generator));
	generator->options = options;
	generator->schedule = (struct schedule){
		.depth = (uint32_t)options->depth,
		.share = or_no_bound(options->messages_per_connection),
		.left = or_no_bound(options->message_count),
		.lasting_ns = options->duration_ms ? options->duration_ms * 1000000 : SCHEDULE_NO_BOUND,
	};
	gb__totals_init(&generator->totals);
	rc = options->protocol->prepare(&request, &generator->traffic);
	generator->sessions = calloc((size_t)options->connections, sizeof(*generator->sessions));
	generator->due_ns = calloc((size_t)(options->connections * options->depth), sizeof(uint64_t));
	generator->states = calloc((size_t)options->connections, state_size);
	if (rc < 0 || !generator->sessions || !generator->due_ns || !generator->states) {
		gb__generator_finish(generator);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < options->connections; i++) {
		generator->sessions[i].due_ns = generator->due_ns + i * options->depth;
		generator->sessions[i].state = generator->states + i * state_size;
	}
	return 0;
}

void gb__generator_finish(struct generator *generator)
{
	gb__traffic_finish(&generator->traffic);
	free(generator->sessions);
	free(generator->due_ns);
	free(generator->states);
	generator->sessions = NULL;
	generator->due_ns = NULL;
	generator->states = NULL;
}
