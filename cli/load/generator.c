/*
 * The happy path: a generator begins connections, some at a time; once those of all generators are established the measured
 * time begins and each sends what the schedule gives it; replies are checked and bring the next requests;
 * a connection that has done its part closes, and the last one of all ends the server. With --reconnect the
 * measured time begins at once and a new connection follows each that has closed; with --ramp each sends as soon as it is
 * established. In an open loop connections with room wait in a queue for requests to become due.
 *
 * What can go wrong: a connection fails before anything is sent (the load would be another one: all
 * ends), fails later (it is missing from then on), answers wrongly (it is dropped) or not at all (it is dropped when
 * replies have a timeout, and another one takes its place), or nothing moves any more (all ends). Whatever it was is
 * counted, and the totals tell.
 */
#include "load/generator.h"

#include "clock.h"
#include "load/exchange.h"
#include "load/fleet.h"
#include "load/secure.h"

#include <gearbox/server.h>
#include <gearbox/tls.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 100u
#define SILENCE_MIN_MS 1000u /* before a server that has not answered at all is given up */
/* Connections under way at a time: more would overflow the server's backlog, and wait a second for it. */
#define CONNECTING_MAX 64u
#define UNORDERED_ROOM 4u /* times the depth that requests may be ahead of the oldest unanswered one */

static void session_begin(struct generator *generator, struct session *session);

static struct session *session_of(struct gb_conn *conn)
{
	struct session *session;

	memcpy(&session, gb_conn_state(conn), sizeof(session));
	return session;
}

static uint64_t clock_ns(const struct generator *generator)
{
	return gb_worker_clock_ns(generator->worker);
}

/* End what there is; nothing new begins. The totals say why. */
static void give_up(struct generator *generator)
{
	uint64_t now_ns = clock_ns(generator);

	generator->given_up = true;
	atomic_store(&generator->fleet->given_up, true);
	if (generator->sending && !generator->totals.interrupted)
		gb__exchange_give_up_unsent(generator, now_ns);
	gb__schedule_end(&generator->schedule);
	for (uint64_t i = 0; i < generator->begun; i++) {
		struct session *session = &generator->sessions[i];

		if (session->conn && !session->done) {
			gb__exchange_give_up(generator, session, now_ns);
			session->done = true;
			gb_conn_abort(session->conn);
		}
	}
}

/* From here on the CPU time of this thread is the measured time's. */
static void note_cpu_begin(struct generator *generator, uint64_t now_ns)
{
	if (generator->cpu_from_ns || !generator->sending || now_ns < generator->measured_ns)
		return;
	generator->cpu_begin_ns = gb__clock_ns(CLOCK_THREAD_CPUTIME_ID);
	generator->cpu_from_ns = now_ns;
}

/* What the measured time has cost this thread. */
static void note_cpu_end(struct generator *generator)
{
	struct totals *totals = &generator->totals;

	if (!generator->cpu_from_ns)
		return;
	totals->cpu_ns = totals->busiest_ns = gb__clock_ns(CLOCK_THREAD_CPUTIME_ID) - generator->cpu_begin_ns;
	totals->lasted_ns = clock_ns(generator) - generator->cpu_from_ns;
}

/* Every connection has come to its end: so does this generator, and the last one ends the load. */
static void end_when_over(struct generator *generator)
{
	struct fleet *fleet = generator->fleet;
	bool all_begun = generator->begun == generator->connections || generator->given_up;

	if (generator->live > 0 || !all_begun || generator->over)
		return;
	generator->over = true;
	gb_timer_stop(&generator->tick);
	gb_timer_stop(&generator->collect);
	gb__pacer_finish(&generator->pacer);
	note_cpu_end(generator);
	if (generator->interval_end_ns != UINT64_MAX) /* the last interval is over sooner */
		gb__exchange_tell_series(generator, generator->interval_end_ns);
	generator->interval_end_ns = UINT64_MAX;
	atomic_store_explicit(&generator->seen_messages, generator->totals.messages, memory_order_relaxed);
	if (atomic_fetch_add(&fleet->over, 1) + 1 == fleet->count)
		gb_server_stop(gb_worker_server(generator->worker));
}

/* A connection could not be had. Before anything was sent that is the end. */
static void connect_failed(struct generator *generator, const char *why)
{
	generator->totals.connect_failed++;
	gb__totals_note(generator->totals.connect_text, why);
	if (!generator->sending)
		give_up(generator);
}

static void begin_measuring(struct generator *generator, uint64_t now_ns)
{
	const struct load_options *options = generator->options;
	uint64_t from_ns = now_ns + options->warm_up_ms * 1000000;

	generator->measured_ns = from_ns;
	generator->totals.begin_ns = generator->totals.end_ns = from_ns;
	if (options->duration_ms)
		gb__schedule_last(&generator->schedule, from_ns, options->duration_ms * 1000000);
	if (generator->told)
		generator->interval_end_ns = from_ns + generator->fleet->series.interval_ns;
	note_cpu_begin(generator, now_ns);
}

static void begin_sending(struct generator *generator, uint64_t now_ns)
{
	generator->sending = true;
	gb__schedule_begin(&generator->schedule, now_ns);
}

/* All connections of the load are established. */
static void begin(struct generator *generator)
{
	uint64_t now_ns = clock_ns(generator);

	if (generator->given_up || generator->over || generator->measured_ns != UINT64_MAX)
		return;
	if (generator->sending) { /* with --ramp they have been, each since it was established */
		begin_measuring(generator, now_ns);
		return;
	}
	begin_sending(generator, now_ns);
	begin_measuring(generator, now_ns);
	for (uint64_t i = 0; i < generator->connections; i++)
		if (generator->sessions[i].conn && !generator->sessions[i].done)
			gb__exchange_go_on(generator, &generator->sessions[i], clock_ns(generator));
}

static void begin_posted(struct gb_worker *worker, void *arg)
{
	struct generator *generator = arg;

	if (worker && generator->worker)
		begin(generator);
}

static void begin_all(struct generator *first)
{
	struct fleet *fleet = first->fleet;

	for (unsigned i = 0; i < fleet->count; i++)
		if (&fleet->generators[i] != first)
			gb_worker_post(fleet->generators[i].worker, begin_posted, &fleet->generators[i]);
	begin(first);
}

/* How many connections may have begun by now. */
static uint64_t connections_by_now(const struct generator *generator)
{
	uint64_t ramp_ns = generator->options->ramp_ms * 1000000;
	uint64_t since_ns = clock_ns(generator) - generator->started_ns;

	if (since_ns >= ramp_ns)
		return generator->connections;
	return 1 + (uint64_t)((double)(generator->connections - 1) * (double)since_ns / (double)ramp_ns);
}

/* Begin the next connections, as many as may be under way. */
static void connect_more(struct generator *generator)
{
	while (!generator->given_up && generator->begun < generator->connections &&
		generator->connecting < CONNECTING_MAX && generator->begun < connections_by_now(generator))
		session_begin(generator, &generator->sessions[generator->begun++]);
}

static void session_begin(struct generator *generator, struct session *session)
{
	struct gb_error error = { 0 };
	const uint64_t begun_ns = clock_ns(generator);
	int rc = gb_connect(generator->worker, generator->fleet->address, &generator->fleet->connection,
		generator, &session->conn, &error);

	session->begun_ns = begun_ns;
	session->awaited = 0;
	session->oldest = session->next = 0;
	session->owed = 0;
	session->turn = 0;
	session->open = false;
	session->done = session->timed_out = false;
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
	uint64_t number = generator->totals.opened++ * generator->fleet->count + generator->part;

	if (options->tls.use)
		gb__load_secure_note(
			&generator->totals.handshakes, conn, clock_ns(generator) - session->begun_ns);
	generator->moved = true;
	session->open = true;
	session->share = generator->schedule.share;
	session->at = options->protocol->begin(generator->traffic, number, session->state);
	session->turn = session->unsent = gb__traffic_turn(generator->traffic, session->at);
	generator->connecting--;
	if (generator->sending)
		gb__exchange_go_on(generator, session, clock_ns(generator));
	if (!session->seen) {
		session->seen = true;
		if (atomic_fetch_add(&generator->fleet->opened, 1) + 1 == options->connections)
			begin_all(generator);
	}
	connect_more(generator);
	return 0;
}

static void on_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	struct generator *generator = gb_conn_user(conn);
	struct session *session = session_of(conn);
	uint64_t now_ns = clock_ns(generator); /* one reading for all replies that came together */
	struct gb_error error;
	int64_t replies;

	if (session->done)
		return;
	generator->moved = true;
	replies = gb__exchange_hear(generator, session, bytes, now_ns, &error);
	if (replies < 0) {
		generator->totals.wrong_replies++;
		gb__totals_note(generator->totals.wrong_text, error.text);
		session->done = true;
		gb_conn_abort(conn);
		return;
	}
	if (replies > 0)
		gb__exchange_go_on(generator, session, now_ns);
}

static void on_writable(struct gb_conn *conn)
{
	gb__exchange_send(gb_conn_user(conn), session_of(conn));
}

/* A second signal ends connections in the middle of what they do: their server is not to blame. */
static bool ending_at_once(const struct generator *generator)
{
	return *generator->fleet->signal > 1;
}

static const char *why_closed(const struct gb_conn *conn, int reason, char *text, size_t size)
{
	const char *problem = gb_conn_tls_problem(conn);
	int error = gb_conn_error(conn);

	if (reason == GB_CLOSE_EOF)
		return "the server finished";
	if (reason == GB_CLOSE_CONNECT_FAILED)
		return gb_strerror(error);
	if (!problem)
		problem = error ? gb_strerror(error) : NULL;
	snprintf(text, size, "%s%s%s", gb_close_reason_name(reason), problem ? ": " : "",
		problem ? problem : "");
	return text;
}

static void closed_early(struct generator *generator, const struct gb_conn *conn, int reason)
{
	char text[TOTALS_TEXT_MAX];

	generator->totals.closed_early++;
	gb__totals_note(generator->totals.closed_text, why_closed(conn, reason, text, sizeof(text)));
	if (!generator->sending)
		give_up(generator);
}

static void on_close(struct gb_conn *conn, int reason)
{
	struct generator *generator = gb_conn_user(conn);
	struct session *session = session_of(conn);
	bool fulfilled = session->done && session->awaited == 0;
	char text[TOTALS_TEXT_MAX];

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
			connect_failed(generator, why_closed(conn, reason, text, sizeof(text)));
	} else if ((session->timed_out || (fulfilled && generator->options->reconnect)) &&
		!generator->given_up && !gb__schedule_ended(&generator->schedule, clock_ns(generator))) {
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
		now_ns >= generator->schedule.end_ns;

	return silent && least < options->timeout_ms ? least : options->timeout_ms;
}

/* Connections that have waited for a reply for too long are dropped, and others take their places. */
static void drop_late(struct generator *generator, uint64_t now_ns)
{
	uint64_t timeout_ns = generator->options->reply_timeout_ms * 1000000;

	for (uint64_t i = 0; timeout_ns && i < generator->begun; i++) {
		struct session *session = &generator->sessions[i];

		if (!session->conn || session->done || session->awaited == 0 ||
			now_ns - session->ring[session->oldest & session->mask].sent_ns < timeout_ns)
			continue;
		gb__exchange_give_up(generator, session, now_ns);
		session->done = session->timed_out = true;
		gb_conn_abort(session->conn);
	}
}

/* An open loop's server that cannot keep up owes replies after the end: those that do not come in time either are given up. */
static bool overdue(const struct generator *generator, uint64_t now_ns)
{
	uint64_t end_ns = generator->schedule.end_ns, timeout_ms = generator->options->timeout_ms;

	return generator->schedule.open && timeout_ms && now_ns > end_ns &&
		now_ns - end_ns > timeout_ms * 1000000;
}

static void look_for_an_end(struct generator *generator, uint64_t now_ns)
{
	uint64_t patience_ns = patience_ms(generator, now_ns) * 1000000;

	if (generator->given_up)
		return;
	if (*generator->fleet->signal && !generator->totals.interrupted) {
		generator->totals.interrupted = true;
		gb__schedule_end(&generator->schedule);
		if (generator->sending)
			gb__exchange_dispatch(generator, now_ns);
		else
			give_up(generator);
	} else if (atomic_load(&generator->fleet->given_up) || overdue(generator, now_ns)) {
		give_up(generator);
	} else if (patience_ns && now_ns - generator->moved_ns > patience_ns) {
		stall(generator, patience_ns / 1000000);
	}
}

static void on_tick(struct gb_timer *timer, void *arg)
{
	struct generator *generator = arg;
	struct fleet *fleet = generator->fleet;
	uint64_t now_ns = clock_ns(generator);

	if (generator->moved) {
		generator->moved = false;
		generator->moved_ns = now_ns;
	}
	gb_timer_start(generator->worker, timer, TICK_MS, on_tick, generator);
	atomic_store_explicit(&generator->seen_messages, generator->totals.messages, memory_order_relaxed);
	note_cpu_begin(generator, now_ns);
	gb__exchange_tell_series(generator, now_ns);
	drop_late(generator, now_ns);
	look_for_an_end(generator, now_ns);
	connect_more(generator);
	if (fleet->on_tick && generator->part == 0)
		fleet->on_tick(fleet, now_ns);
	end_when_over(generator);
}

static void on_time(void *user)
{
	gb__exchange_dispatch(user, clock_ns(user));
}

int gb__generator_start(struct generator *generator, struct gb_worker *worker)
{
	int rc = 0;

	generator->worker = worker;
	generator->started_ns = generator->moved_ns = gb_worker_clock_ns(worker);
	if (generator->schedule.open)
		rc = gb__pacer_init(&generator->pacer, worker, on_time, generator);
	if (rc == 0)
		rc = gb_timer_start(worker, &generator->tick, TICK_MS, on_tick, generator);
	if (rc < 0)
		return rc;
	if (generator->options->reconnect || generator->options->ramp_ms)
		begin_sending(generator, generator->started_ns);
	if (generator->options->reconnect)
		begin_measuring(generator, generator->started_ns);
	connect_more(generator);
	end_when_over(generator);
	return 0;
}

void gb__generator_stop(struct generator *generator)
{
	gb_timer_stop(&generator->tick);
	gb_timer_stop(&generator->collect);
	gb__pacer_finish(&generator->pacer);
	if (!generator->over)
		note_cpu_end(generator);
	generator->worker = NULL;
}

const struct gb_service gb__generator_connection = {
	GB_SERVICE_INIT,
	.name = "load-connection",
	.summary = "a connection of the load",
	.state = GB_STATE_WORKER,
	.conn_state_size = sizeof(struct session *),
	.on_open = on_open,
	.on_message = on_message,
	.on_writable = on_writable,
	.on_close = on_close,
};

/* Places for requests of a connection: a power of two. */
static uint64_t ring_size(const struct load_options *options)
{
	uint64_t wanted = options->depth * (options->protocol->check_one ? UNORDERED_ROOM : 1), size = 1;

	while (size < wanted)
		size *= 2;
	return size;
}

int gb__generator_init(struct generator *generator, struct fleet *fleet, unsigned part, uint64_t connections,
	const struct schedule *schedule)
{
	size_t state_size = (fleet->options->protocol->state_size + 7) / 8 * 8;
	uint64_t ring = ring_size(fleet->options);

	memset(generator, 0, sizeof(*generator));
	generator->fleet = fleet;
	generator->options = fleet->options;
	generator->traffic = &fleet->traffic;
	generator->part = part;
	generator->connections = connections;
	generator->schedule = *schedule;
	generator->measured_ns = generator->interval_end_ns = UINT64_MAX;
	if (fleet->options->series_path) {
		generator->told = malloc(sizeof(*generator->told));
		if (!generator->told)
			return -ENOMEM;
		gb__histogram_init(generator->told);
	}
	gb__totals_init(&generator->totals);
	generator->sessions = calloc((size_t)connections, sizeof(*generator->sessions));
	generator->rings = calloc((size_t)(connections * ring), sizeof(*generator->rings));
	generator->states = calloc((size_t)connections, state_size);
	generator->queue = calloc((size_t)connections, sizeof(struct session *));
	if (!generator->sessions || !generator->rings || !generator->states || !generator->queue)
		return -ENOMEM; /* finishing frees */
	for (uint64_t i = 0; i < connections; i++) {
		generator->sessions[i].ring = generator->rings + i * ring;
		generator->sessions[i].mask = (uint32_t)(ring - 1);
		generator->sessions[i].state = generator->states + i * state_size;
	}
	return 0;
}

void gb__generator_finish(struct generator *generator)
{
	free(generator->sessions);
	free(generator->rings);
	free(generator->states);
	free(generator->queue);
	free(generator->told);
	generator->sessions = NULL;
	generator->rings = NULL;
	generator->states = NULL;
	generator->queue = NULL;
	generator->told = NULL;
}
