/*
 * Happy path: the first attempt begins at once, the next one with each GB__RACE_DELAY_MS that passes, and the first to be
 * established takes it all: the operation completes, and the others are let go of. A service's records of a lower priority
 * wait until all of the higher ones have failed, or have not answered for their share of the time (RFC 2782: "MUST attempt to
 * contact the target host with the lowest-numbered priority it can reach").
 *
 * An attempt is a connection like any other, in the connecting state, but that its callbacks are nobody's until it has
 * won. While the race is under way at least one is: when the last one fails, the next begins there and then, or the
 * race is over. So whatever ends connections (a stop, the connect timeout) ends the race by them, and the only clock of
 * its own is the one for the next attempt. Each counts its connect timeout from the beginning of the race.
 *
 * Where there are names among them they are looked up before that; then there is a clock for the whole.
 */
#include "net/race.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "name/lookup.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/packet.h"
#include "net/secure.h"

#include <errno.h>
#include <string.h>

struct attempt {
	struct gb_connecting connecting; /* conn is NULL: it is not under way */
	const char *host;                /* as its target was called; NULL: by its address */
	struct gb__address address;
};

struct race {
	struct gb__net *net;
	struct gb_connecting_any *whole;
	struct gb__race_terms terms;
	struct gb__socket_options options;
	const struct gb_service *calls; /* whose callbacks the winner has */
	struct gb_timer timer;          /* until the next attempt */
	uint64_t timeout_ms;            /* of the service, once an attempt was begun */
	uint32_t began_ms;
	unsigned running;
	int error;           /* of the attempt that failed last */
	unsigned char *head; /* terms.head; NULL: none */
	char **hosts;        /* of each target, as it was called, for TLS; or NULL */
	size_t hosts_count;
	struct gb__lookup *lookups; /* of each target, before the first attempt; or NULL */
	size_t lookups_count, lookups_left;
	size_t next, count;
	gb__gates gates;
	struct attempt attempts[];
};

static const struct gb_service nobody = { GB_SERVICE_INIT, .name = "attempt" };

void gb__race_order(struct gb__address *addresses, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		size_t other = i;
		struct gb__address moved;

		while (other < count && addresses[other].any.sa_family == addresses[i - 1].any.sa_family)
			other++;
		if (other == count)
			return; /* one family is left */
		moved = addresses[other];
		memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof(moved));
		addresses[i] = moved;
	}
}

uint64_t gb__race_delay_ms(gb__gates gates, size_t next, uint64_t timeout_ms, uint64_t elapsed_ms)
{
	if (!gb__race_gated(gates, next))
		return GB__RACE_DELAY_MS;
	if (!timeout_ms)
		return 0;
	if (elapsed_ms >= timeout_ms)
		return 1;
	return gb__max((timeout_ms - elapsed_ms) / ((uint64_t)__builtin_popcountll(gates >> next) + 1), 1u);
}

size_t gb__race_take(
	const struct gb__lookup *lookup, struct gb__address *ret, size_t max, gb__gates *ret_gates)
{
	const size_t count = gb__min(lookup->count, max);
	size_t first = 0;

	*ret_gates = 0;
	for (size_t i = 0; i < count; i++) {
		ret[i] = lookup->found[i].address;
		if (i > 0 && lookup->found[i].priority != lookup->found[i - 1].priority)
			*ret_gates |= (gb__gates)1 << i;
		if (i + 1 < count && lookup->found[i + 1].place == lookup->found[i].place)
			continue;
		gb__race_order(ret + first, i + 1 - first);
		first = i + 1;
	}
	return count;
}

/* It is nobody's any more: it ends by itself. */
static void let_go(struct race *race, struct attempt *attempt)
{
	struct gb_conn *conn = attempt->connecting.conn;

	conn->terms->connecting = NULL;
	attempt->connecting.conn = NULL;
	race->running--;
	gb_conn_abort(conn);
}

static void lookups_free(struct race *race)
{
	for (size_t i = 0; i < race->lookups_count; i++)
		gb__lookup_drop(&race->lookups[i]);
	gb__free(race->lookups);
	race->lookups = NULL;
	race->lookups_count = 0;
}

static void hosts_free(struct race *race)
{
	for (size_t i = 0; i < race->hosts_count; i++)
		gb__free(race->hosts[i]);
	gb__free(race->hosts);
}

/* Before the targets' names are forgotten: a certificate is to be for what the user has asked for. */
static int hosts_keep(struct race *race)
{
	if (!race->terms.service->tls)
		return 0;
	race->hosts = gb__alloc_zero(race->lookups_count * sizeof(*race->hosts));
	if (!race->hosts)
		return -ENOMEM;
	for (; race->hosts_count < race->lookups_count; race->hosts_count++) {
		const struct gb__target *target = &race->lookups[race->hosts_count].target;

		if (target->kind == GB__TARGET_ADDRESS)
			continue; /* it is called so */
		race->hosts[race->hosts_count] = gb__strdup(target->name);
		if (!race->hosts[race->hosts_count])
			return -ENOMEM;
	}
	return 0;
}

/* The memory goes. Returns what is to be completed. */
static struct gb_operation *finish(struct race *race)
{
	struct gb_operation *operation = &race->whole->operation;

	for (size_t i = 0; i < race->next; i++)
		if (race->attempts[i].connecting.conn)
			let_go(race, &race->attempts[i]);
	gb__assert(race->running == 0);
	gb__timers_stop(&race->net->loop->timers, &race->timer);
	lookups_free(race);
	hosts_free(race);
	gb__free(race->head);
	race->whole->race = NULL;
	gb__free(race);
	return operation;
}

/* Arguments are evaluated in any order: the result is told by value before the memory goes. */
static void complete(struct race *race, int result)
{
	struct gb_operation *operation = finish(race);

	gb__operation_complete(operation, result);
}

static bool time_is_over(const struct race *race)
{
	return race->timeout_ms && gb__net_elapsed(race->net, race->began_ms) >= race->timeout_ms;
}

static void on_attempted(struct gb_operation *operation, void *user);

static int attempt(struct race *race, struct attempt *attempt)
{
	struct gb_conn *conn;
	int result = gb__net_connect(race->net, &attempt->address, &race->options, race->terms.service,
		race->terms.user, race->terms.who, &conn);

	if (result < 0)
		return result;
	if ((attempt->host && gb__conn_secure_as(conn, attempt->host) < 0) ||
		(race->head &&
			gb__output_append(&conn->stream.output, &race->net->engine->pool, race->head,
				race->terms.head.size) < 0))
		gb__conn_end(conn, GB_CLOSE_NO_MEMORY, ENOMEM);
	if (race->head && gb__conn_has_packets(conn)) /* it would be a packet of the service */
		gb__conn_end(conn, GB_CLOSE_CONNECT_FAILED, EOPNOTSUPP);
	race->calls = conn->terms->calls;
	conn->terms->calls = &nobody;
	conn->past |= GB__CONN_PAST_LOGGED; /* that it fails is no news */
	race->timeout_ms = conn->terms->limits->connect_timeout_ms;
	conn->progress_ms = race->began_ms;
	if (race->timeout_ms) {
		uint32_t elapsed_ms = gb__net_elapsed(race->net, race->began_ms);

		gb__conn_deadline_within(
			conn, race->timeout_ms > elapsed_ms ? race->timeout_ms - elapsed_ms : 1);
	}
	gb__connect_begin(conn, &attempt->connecting, on_attempted, race);
	race->running++;
	return 0;
}

void gb__race_timer(struct gb__net *net, struct gb_timer *timer, uint64_t delay_ms,
	void (*on_expire)(struct gb_timer *timer, void *arg), void *arg)
{
	struct gb__loop *loop = net->loop;

	timer->worker = net->worker;
	timer->on_expire = on_expire;
	timer->arg = arg;
	timer->deadline_ns = loop->os->ops->now_ns(loop->os) + delay_ms * 1000000u;
	/* Without memory for it what is under way ends by its own timeout, and the next begins then. */
	(void)gb__timers_start(&loop->timers, timer);
}

static void on_delay(struct gb_timer *timer, void *arg);

/* The next one is of a lower priority, and of those before it some may answer yet. */
static bool waits(const struct race *race)
{
	return race->running > 0 && race->next < race->count && gb__race_gated(race->gates, race->next);
}

/* The next one is tried at the latest then. */
static void set_delay(struct race *race)
{
	uint64_t delay_ms = gb__race_delay_ms(
		race->gates, race->next, race->timeout_ms, gb__net_elapsed(race->net, race->began_ms));

	if (delay_ms)
		gb__race_timer(race->net, &race->timer, delay_ms, on_delay, race);
}

/* Begin the next attempt that can be. */
static void go_on(struct race *race)
{
	bool stop = false;

	gb__timers_stop(&race->net->loop->timers, &race->timer);
	while (!stop && race->next < race->count && !time_is_over(race)) {
		int result = attempt(race, &race->attempts[race->next++]);

		stop = result == 0 || waits(race);
		if (result < 0)
			race->error = result;
	}
	if (race->running > 0 && race->next < race->count && !time_is_over(race))
		set_delay(race);
}

static void on_delay(struct gb_timer *timer, void *arg)
{
	(void)timer;
	go_on(arg); /* of those before it one is under way */
}

static void won(struct race *race, struct attempt *attempt)
{
	struct gb_connecting_any *whole = race->whole;
	struct gb_conn *conn = attempt->connecting.conn;

	attempt->connecting.conn = NULL;
	race->running--;
	conn->terms->calls = race->calls;
	conn->past &= (uint8_t)~GB__CONN_PAST_LOGGED;
	whole->conn = conn;
	if (race->head && !(conn->flags & GB__CONN_FRONTED)) /* else what is not encrypted is counted */
		conn->net->tally.bytes_out += race->terms.head.size;
	if (race->terms.on_won)
		race->terms.on_won(conn, race->terms.arg);
	complete(race, 0);
}

static void on_attempted(struct gb_operation *operation, void *user)
{
	struct attempt *attempt = gb__container_of(operation, struct attempt, connecting.operation);
	struct race *race = user;
	int result = operation->result;

	if (result == 0) {
		won(race, attempt);
		return;
	}
	attempt->connecting.conn = NULL;
	race->running--;
	race->error = result;
	gb__net_note_whole(race->net, operation, &race->whole->operation);
	if (result != -ECANCELED && !waits(race))
		go_on(race);
	if (race->running == 0 || result == -ECANCELED)
		complete(race, result == -ECANCELED ? result : race->error);
}

static void cancel(struct gb_operation *operation)
{
	struct gb_connecting_any *whole = gb__container_of(operation, struct gb_connecting_any, operation);
	struct race *race = whole->race;
	struct gb__loop *loop;

	if (!race)
		return; /* it was cancelled before */
	loop = race->net->loop;
	finish(race);
	(void)gb__operation_complete_later(loop, operation, -ECANCELED);
}

static const struct gb__operation_kind race_kind = { "connect to any", cancel };

/* Under way, without addresses but room for `room`. */
static struct race *race_create(struct gb__net *net, struct gb_connecting_any *connecting, size_t room,
	const struct gb__race_terms *terms, gb_operation_done *on_done, void *user)
{
	struct race *race = gb__alloc_zero(sizeof(*race) + room * sizeof(race->attempts[0]));

	if (!race)
		return NULL;
	race->net = net;
	race->whole = connecting;
	race->terms = *terms;
	race->options = *terms->options;
	race->began_ms = gb__net_now(net);
	race->error = -EINVAL;
	if (terms->head.size > 0) {
		race->head = gb__alloc(terms->head.size);
		if (!race->head) {
			gb__free(race);
			return NULL;
		}
		memcpy(race->head, terms->head.data, terms->head.size);
	}
	*connecting = (struct gb_connecting_any){ .race = race };
	gb__operation_begin(&connecting->operation, &race_kind, net->worker, on_done, user);
	return race;
}

/* Inside the function that began it: nothing is completed. */
static int refuse(struct race *race, int code)
{
	finish(race)->kind = NULL;
	return code;
}

int gb__race_begin(struct gb__net *net, struct gb_connecting_any *connecting,
	const struct gb__address *addresses, size_t count, gb__gates gates,
	const struct gb__race_terms *terms, gb_operation_done *on_done, void *user)
{
	struct race *race = race_create(net, connecting, count, terms, on_done, user);

	if (!race)
		return -ENOMEM;
	race->count = count;
	race->gates = gates;
	for (size_t i = 0; i < count; i++)
		race->attempts[i].address = addresses[i];
	go_on(race);
	return race->running > 0 ? 0 : refuse(race, race->error);
}

/* Returns 0: an attempt is under way. */
static int looked_up(struct race *race)
{
	struct gb__address addresses[GB_CONNECT_ANY_MAX];

	if (hosts_keep(race) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < race->lookups_count; i++) {
		const size_t before = race->count;
		gb__gates gates;

		race->count += gb__race_take(
			&race->lookups[i], addresses + before, GB_CONNECT_ANY_MAX - before, &gates);
		if (before < GB_CONNECT_ANY_MAX)
			race->gates |= gates << before;
		for (size_t j = before; j < race->count && race->hosts; j++)
			race->attempts[j].host = race->hosts[i];
	}
	for (size_t i = 0; i < race->count; i++)
		race->attempts[i].address = addresses[i];
	lookups_free(race);
	go_on(race);
	return race->running > 0 ? 0 : race->error;
}

static void on_lookup(struct gb__lookup *lookup, int code)
{
	struct race *race = lookup->arg;
	int result;

	if (code < 0)
		race->error = code;
	if (--race->lookups_left > 0)
		return;
	result = looked_up(race);
	if (result < 0)
		gb__operation_complete(finish(race), result);
}

static void on_late(struct gb_timer *timer, void *arg)
{
	(void)timer;
	gb__operation_complete(finish(arg), -ETIMEDOUT);
}

static uint64_t timeout_ms_of(const struct race *race)
{
	uint64_t timeout_ms = race->net->limits->connect_timeout_ms;

	for (const struct gb_limit *limit = race->terms.service->limits;
		limit && limit->kind != GB_LIMIT_NONE; limit++)
		if (limit->kind == GB_LIMIT_CONNECT_TIMEOUT)
			timeout_ms = limit->value;
	return timeout_ms;
}

static void wait_for_lookups(struct race *race)
{
	uint64_t timeout_ms = timeout_ms_of(race);

	if (timeout_ms) /* else that of the lookup is left */
		gb__race_timer(race->net, &race->timer, timeout_ms, on_late, race);
}

static bool none_is_name(const struct gb__target *targets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (targets[i].kind != GB__TARGET_ADDRESS)
			return false;
	return true;
}

static int begin_plain(struct gb__net *net, struct gb_connecting_any *connecting,
	const struct gb__target *targets, size_t count, const struct gb__race_terms *terms,
	gb_operation_done *on_done, void *user)
{
	struct gb__address addresses[GB_CONNECT_ANY_MAX];

	for (size_t i = 0; i < count; i++)
		addresses[i] = targets[i].address;
	gb__race_order(addresses, count);
	return gb__race_begin(net, connecting, addresses, count, 0, terms, on_done, user);
}

int gb__race_begin_any(struct gb__net *net, struct gb_connecting_any *connecting,
	const struct gb__target *targets, size_t count, const struct gb__race_terms *terms,
	gb_operation_done *on_done, void *user)
{
	struct race *race;

	if (none_is_name(targets, count))
		return begin_plain(net, connecting, targets, count, terms, on_done, user);
	race = race_create(net, connecting, GB_CONNECT_ANY_MAX, terms, on_done, user);
	if (!race)
		return -ENOMEM;
	race->lookups = gb__alloc_zero(count * sizeof(*race->lookups));
	if (!race->lookups)
		return refuse(race, -ENOMEM);
	race->lookups_count = count;
	for (size_t i = 0; i < count; i++) {
		int result = gb__net_lookup(net, &race->lookups[i], &targets[i], on_lookup);

		race->lookups[i].arg = race;
		race->lookups_left += result == 1;
		if (result < 0)
			race->error = result;
	}
	if (race->lookups_left == 0) {
		int result = looked_up(race);

		return result < 0 ? refuse(race, result) : 0;
	}
	wait_for_lookups(race);
	return 0;
}
