/*
 * Happy path: the connection is made and attached, without a descriptor, so that it has its place, its handle and its connect
 * timeout. Its name is looked up; then sockets connect to the addresses, the next one with each GB__RACE_DELAY_MS, at once
 * when the one before it has failed, of a lower priority when all of the higher ones have (net/race.h). The first to be established becomes the connection's descriptor.
 *
 * The sockets are watched, no endpoints: nobody has bytes for them. Whatever ends the connection ends the dial
 * (`gb__dial_drop`, by the turn that finds it ended).
 */
#include "net/dial.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "name/lookup.h"
#include "net/conn.h"
#include "net/race.h"
#include "net/secure.h"

#include <errno.h>

/* Of a name, at most so many are tried. */
#define ATTEMPTS_MAX 16u

struct attempt {
	struct gb__dial *dial;
	struct gb_watch *watch; /* NULL: it is not under way */
	int fd;
};

struct gb__dial {
	struct gb_conn *conn;
	struct gb__socket_options options;
	struct gb__lookup lookup;
	struct gb_timer timer; /* until the next attempt */
	size_t next, count;
	gb__gates gates;
	uint32_t began_ms;
	unsigned running;
	int error; /* of the attempt that failed last */
	struct attempt attempts[ATTEMPTS_MAX];
	struct gb__address addresses[ATTEMPTS_MAX];
};

static struct gb__net *net_of(const struct gb__dial *dial)
{
	return dial->conn->net;
}

/* Returns its descriptor. */
static int leave(struct attempt *attempt)
{
	int fd = attempt->fd;

	gb__watch_remove(attempt->watch);
	attempt->watch = NULL;
	attempt->dial->running--;
	return fd;
}

static void dial_free(struct gb__dial *dial)
{
	struct gb__net *net = net_of(dial);

	for (size_t i = 0; i < dial->next; i++)
		if (dial->attempts[i].watch)
			gb__engine_close(net->engine, leave(&dial->attempts[i]));
	gb__assert(dial->running == 0);
	gb__timers_stop(&net->loop->timers, &dial->timer);
	gb__lookup_drop(&dial->lookup);
	dial->conn->terms->dial = NULL;
	gb__free(dial);
}

void gb__dial_drop(struct gb_conn *conn)
{
	dial_free(conn->terms->dial);
}

bool gb__dial_name(const struct gb_conn *conn, char *text, size_t size)
{
	if (gb__likely(!conn->terms->dial))
		return false;
	gb__target_format(&conn->terms->dial->lookup.target, text, size);
	return true;
}

static void won(struct gb__dial *dial, struct attempt *attempt)
{
	struct gb__stream *stream = &dial->conn->stream;

	stream->endpoint.fd = leave(attempt);
	dial_free(dial);
	stream->endpoint.ops->on_connected(stream, 0);
}

static void go_on(struct gb__dial *dial);

/* The next one is of a lower priority, and of those before it some may answer yet. */
static bool waits(const struct gb__dial *dial)
{
	return dial->running > 0 && dial->next < dial->count && gb__race_gated(dial->gates, dial->next);
}

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	struct attempt *attempt = user;
	struct gb__dial *dial = attempt->dial;
	struct gb__os *os = net_of(dial)->loop->os;
	int result = os->ops->connect_result(os, attempt->fd);

	(void)watch;
	(void)ready;
	if (dial->conn->state != GB__CONN_CONNECTING)
		return; /* it ends in this turn */
	if (result == 0) {
		won(dial, attempt);
		return;
	}
	dial->error = result;
	gb__engine_close(net_of(dial)->engine, leave(attempt));
	if (!waits(dial))
		go_on(dial);
}

static int attempt(struct gb__dial *dial, struct attempt *attempt, const struct gb__address *address)
{
	struct gb__net *net = net_of(dial);
	struct gb__os *os = net->loop->os;
	int fd = os->ops->socket(os, address->any.sa_family, SOCK_STREAM), result;

	if (fd < 0)
		return fd;
	result = os->ops->tune(os, fd, address->any.sa_family, &dial->options);
	if (result == 0)
		result = os->ops->connect(os, fd, &address->any, address->size);
	*attempt = (struct attempt){ .dial = dial, .fd = fd };
	if (result == 0 || result == -EINPROGRESS)
		result = gb__watch_add(
			net->names->watches, fd, GB__READY_OUT, on_ready, attempt, &attempt->watch);
	if (result < 0) {
		attempt->watch = NULL;
		os->ops->close(os, fd);
		return result;
	}
	dial->running++;
	return 0;
}

static void on_delay(struct gb_timer *timer, void *arg)
{
	(void)timer;
	go_on(arg);
}

/* The next one is tried at the latest then. */
static void set_delay(struct gb__dial *dial)
{
	uint64_t delay_ms = gb__race_delay_ms(dial->gates, dial->next,
		dial->conn->terms->limits->connect_timeout_ms, gb__net_elapsed(net_of(dial), dial->began_ms));

	if (delay_ms)
		gb__race_timer(net_of(dial), &dial->timer, delay_ms, on_delay, dial);
}

/* Begin the next attempt that can be; without any the connection ends. */
static void go_on(struct gb__dial *dial)
{
	bool stop = false;

	gb__timers_stop(&net_of(dial)->loop->timers, &dial->timer);
	while (!stop && dial->next < dial->count && dial->conn->state == GB__CONN_CONNECTING) {
		size_t i = dial->next++;
		int result = attempt(dial, &dial->attempts[i], &dial->addresses[i]);

		stop = result == 0 || waits(dial);
		if (result < 0)
			dial->error = result;
	}
	if (dial->running > 0 && dial->next < dial->count)
		set_delay(dial);
	else if (dial->running == 0)
		gb__conn_end(dial->conn, GB_CLOSE_CONNECT_FAILED, -dial->error);
}

static void looked_up(struct gb__dial *dial, int code)
{
	if (code < 0) {
		gb__conn_end(dial->conn, GB_CLOSE_CONNECT_FAILED, -code);
		return;
	}
	dial->count = gb__race_take(&dial->lookup, dial->addresses, ATTEMPTS_MAX, &dial->gates);
	go_on(dial);
}

static void on_lookup(struct gb__lookup *lookup, int code)
{
	looked_up(gb__container_of(lookup, struct gb__dial, lookup), code);
}

int gb__net_lookup(struct gb__net *net, struct gb__lookup *lookup, const struct gb__target *target,
	void (*on_done)(struct gb__lookup *lookup, int code))
{
	int result = 0;

	if (!net->names && target->kind != GB__TARGET_ADDRESS)
		result = net->names_begin(net);
	if (result == 0)
		return gb__lookup_begin(lookup, net->names, target, on_done);
	*lookup = (struct gb__lookup){ 0 };
	return result;
}

int gb__net_dial(struct gb__net *net, const struct gb__target *target,
	const struct gb__socket_options *options, const struct gb_service *service, void *user,
	enum gb__for who, struct gb_conn **ret_conn)
{
	struct gb__dial *dial = gb__alloc_zero(sizeof(*dial));
	struct gb_conn *conn = dial ? gb__conn_create(net, -1, service, user, who) : NULL;
	int result;

	if (!conn) {
		gb__free(dial);
		return -ENOMEM;
	}
	conn->state = GB__CONN_CONNECTING;
	result = gb__conn_secure(conn, NULL, target->name);
	if (result == 0)
		result = net->engine->ops->attach(net->engine, &conn->stream.endpoint);
	if (result < 0) {
		gb__free(dial);
		gb__conn_discard(conn);
		return result;
	}
	gb__count(net->counters->stats.connected, 1);
	gb__conn_deadline_within(conn, conn->terms->limits->connect_timeout_ms);
	dial->conn = conn;
	dial->options = *options;
	dial->error = -ETIMEDOUT;
	dial->began_ms = gb__net_now(net);
	conn->terms->dial = dial;
	result = gb__net_lookup(net, &dial->lookup, target, on_lookup);
	if (result <= 0)
		looked_up(dial, result);
	*ret_conn = conn;
	return 0;
}
