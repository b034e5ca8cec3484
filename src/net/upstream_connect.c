/* The connections that a pool makes, and when it makes none. */
#include "base/alloc.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "net/conn.h"
#include "net/secure.h"
#include "net/upstream_pool.h"

#include <errno.h>

/* An attempt to connect. */
struct dial {
	struct gb_connecting_any any;
	struct gb__list link;
	struct gb_upstream *upstream;
	struct gb__pooled *pooled; /* what came of it */
};

uint64_t gb__upstream_now_ns(const struct gb_upstream *upstream)
{
	struct gb__os *os = upstream->net->loop->os;

	return os->ops->now_ns(os);
}

bool gb__upstream_backs_off(const struct gb_upstream *upstream)
{
	return upstream->retry_ns > gb__upstream_now_ns(upstream);
}

void gb__upstream_back_off(struct gb_upstream *upstream, unsigned failures)
{
	const unsigned doublings = gb__min(failures - 1, 30u);
	uint64_t longest_ms = gb__min(gb__multiply_capped(upstream->options.back_off_ms, 1ull << doublings),
		upstream->options.back_off_max_ms);

	upstream->random = upstream->random * 6364136223846793005u + 1442695040888963407u;
	upstream->retry_ns = gb__upstream_now_ns(upstream) +
		(longest_ms - (upstream->random >> 33) % (longest_ms / 2 + 1)) * MS;
}

static void connect_failed(struct gb_upstream *upstream, int code, const char *why)
{
	char to[GB__UPSTREAM_NAME];

	upstream->stats.connects_failed++;
	upstream->stats.error = code;
	gb_error_set(
		&upstream->failure, code, "cannot connect to %s: %s", gb__upstream_name(upstream, to), why);
	/* Of several that fail together one counts. */
	if (!gb__upstream_backs_off(upstream))
		gb__upstream_back_off(upstream, ++upstream->connect_failures);
	if (upstream->options.fails_fast)
		gb__upstream_fail_all(upstream, code);
}

/* Before anything else of it is told. */
static void on_won(struct gb_conn *conn, void *arg)
{
	struct dial *dial = arg;
	struct gb_upstream *upstream = dial->upstream;
	struct gb__pooled *pooled;

	if (!upstream)
		return;
	pooled = gb__slabs_take(&conn->net->slabs, sizeof(*pooled));
	if (!pooled)
		return;
	*pooled = (struct gb__pooled){ .upstream = upstream,
		.style = upstream->style,
		.conn = conn,
		.calls = conn->terms->calls,
		.on_message = conn->terms->on_message,
		.sequential = conn->terms->sequential,
		.here = conn->terms->here };
	gb__list_init(&pooled->link);
	if (upstream->style) {
		pooled->reader = upstream->style->begin(conn);
		if (!pooled->reader) {
			gb__slabs_give(&conn->net->slabs, pooled, sizeof(*pooled));
			return;
		}
	}
	gb__list_append(&upstream->members, &pooled->member);
	conn->terms->pooled = dial->pooled = pooled;
	conn->terms->flush_told = true;
	upstream->stats.open++;
	gb__upstream_rest(pooled);
}

static void on_dialled(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct dial *dial = user;
	struct gb_upstream *upstream = dial->upstream;
	struct gb__pooled *pooled = dial->pooled;
	struct gb_conn *conn = dial->any.conn;
	const char *why = NULL;

	gb__list_remove(&dial->link);
	if (upstream)
		why = gb__net_noted(upstream->net, operation, result);
	gb__free(dial);
	if (result == 0 && !pooled) {
		gb__upstream_silence(conn);
		gb_conn_abort(conn);
		result = -ENOMEM;
		why = gb_strerror(result);
	}
	if (!upstream)
		return;
	upstream->stats.connecting--;
	if (result == 0) {
		upstream->stats.connected++;
		upstream->stats.error = upstream->failure.code = 0;
		upstream->connect_failures = 0;
		gb__list_append(&upstream->idle, &pooled->link);
		upstream->stats.idle++;
	} else if (result == -ECANCELED) {
		gb__upstream_fail_all(upstream, result); /* the worker ends */
	} else {
		connect_failed(upstream, result, why);
	}
	gb__upstream_serve(upstream, pooled);
	gb__upstream_release(upstream);
}

static int dial(struct gb_upstream *upstream)
{
	const struct gb_service *service = upstream->options.service;
	struct dial *dial = gb__alloc_zero(sizeof(*dial));
	const struct gb__race_terms terms = { .options = &upstream->socket,
		.service = service,
		.who = upstream->style ? GB__FOR_STREAM : GB__FOR_HANDLER,
		.on_won = on_won,
		.arg = dial };
	int result;

	if (!dial)
		return -ENOMEM;
	dial->upstream = upstream;
	result = gb__race_begin_any(
		upstream->net, &dial->any, upstream->targets, upstream->count, &terms, on_dialled, dial);
	if (result < 0) {
		gb__free(dial);
		return result;
	}
	gb__list_append(&upstream->dials, &dial->link);
	upstream->holders++;
	upstream->stats.connecting++;
	return 0;
}

void gb__upstream_connect_more(struct gb_upstream *upstream, size_t busy)
{
	const struct gb_upstream_stats *stats = &upstream->stats;

	while (stats->connecting + busy < stats->waiting &&
		stats->open + stats->connecting < upstream->options.open_max &&
		!gb__upstream_backs_off(upstream)) {
		int result;

		if (upstream->ends && upstream->ends(upstream->net)) {
			gb__upstream_fail_all(upstream, -ESHUTDOWN);
			return;
		}
		result = dial(upstream);
		if (result < 0)
			connect_failed(upstream, result, gb_strerror(result));
	}
}

void gb__upstream_connect_cancel(struct gb_upstream *upstream)
{
	while (!gb__list_empty(&upstream->dials)) {
		struct dial *dial = gb__container_of(upstream->dials.next, struct dial, link);

		gb__list_remove(&dial->link);
		dial->upstream = NULL;
		gb_operation_cancel(&dial->any.operation);
		gb__upstream_release(upstream);
	}
}
