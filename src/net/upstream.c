/*
 * Happy path: who takes gets the idle connection that was given back last, whose buffers and windows are warm; without
 * one he waits, and a connection is made for him. Whatever frees a place or brings a connection has those who wait
 * served, in order, by the loop (`gb__upstream_serve`), never inside a function that a handler called.
 *
 * An idle connection has callbacks of ours in place of the service's: input ends it, and so does the peer's FIN. What has
 * not been told yet by a wait the kernel is asked, unless it was lent a moment ago.
 *
 * The ways out: connecting fails, a use fails, a connection ends (`gb__upstream_gone`), the time of who waits is over,
 * the pool is destroyed. The memory of the pool stays until nobody points to it: an attempt to connect, a post.
 */
#include "net/upstream_pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "loop/operation.h"
#include "net/task.h"

#include <errno.h>

enum {
	OPEN_MAX = 16,
	WAITING_MAX = 1000,
	FAILURES_MAX = 3,
	WAIT_MS = 10000,
	BACK_OFF_MS = 100,
	BACK_OFF_MAX_MS = 10000
};

static_assert(sizeof(((struct gb_taking *)NULL)->link) == sizeof(struct gb__list), "it waits in a list");

static struct gb_taking *taking_of(struct gb__list *link)
{
	return gb__container_of((void **)link, struct gb_taking, link[0]);
}

static struct gb__list *link_of(struct gb_taking *taking)
{
	return (struct gb__list *)taking->link;
}

void gb__upstream_release(struct gb_upstream *upstream)
{
	if (--upstream->holders == 0)
		gb__free(upstream);
}

void gb__upstream_hold(struct gb_upstream *upstream)
{
	upstream->holders++;
}

static void asked_for_nothing(struct gb_conn *conn, struct gb_bytes bytes)
{
	(void)bytes;
	gb_conn_abort(conn);
}

static const struct gb_service resting = { GB_SERVICE_INIT, .name = "idle", .on_message = asked_for_nothing };

void gb__upstream_silence(struct gb_conn *conn)
{
	struct gb__terms *terms = conn->terms;

	terms->calls = &resting;
	terms->on_message = asked_for_nothing;
	terms->sequential = false;
	terms->here = true;
	terms->user = NULL;
	conn->past |= GB__CONN_PAST_LOGGED; /* how an idle one ends is no news */
}

void gb__upstream_rest(struct gb__pooled *pooled)
{
	pooled->lent = false;
	pooled->given_ms = gb__net_now(pooled->conn->net);
	gb__upstream_silence(pooled->conn);
}

static void lend(struct gb_upstream *upstream, struct gb__pooled *pooled, void *user, void *taker)
{
	struct gb__terms *terms = pooled->conn->terms;

	pooled->lent = true;
	terms->calls = pooled->calls;
	terms->on_message = pooled->on_message;
	terms->sequential = pooled->sequential;
	terms->here = pooled->here;
	terms->user = user;
	pooled->conn->past &= (uint8_t)~GB__CONN_PAST_LOGGED;
	if (upstream->style)
		upstream->style->lend(pooled->reader, taker);
	upstream->stats.taken++;
}

/* The first time that it is lent, unless it is just being opened. */
static void open_late(struct gb_conn *conn)
{
	const struct gb_service *calls = conn->terms->calls;

	if (calls->on_open && !gb__conn_closing(conn)) {
		int result;

		conn->flags |= GB__CONN_DISPATCH;
		result = calls->on_open(conn);
		conn->flags &= (uint16_t)~GB__CONN_DISPATCH;
		if (result < 0)
			gb__conn_close(conn, GB_CLOSE_REFUSED);
		gb__conn_queue(conn);
	}
}

static bool is_healthy(const struct gb__pooled *pooled)
{
	struct gb_conn *conn = pooled->conn;

	if (conn->state != GB__CONN_OPEN || (conn->flags & (GB__CONN_CLOSING | GB__CONN_EOF)) ||
		gb__conn_within_message(conn))
		return false;
	if (pooled->given_ms == gb__net_now(conn->net))
		return true;
	return gb__engine_ready(conn->net->engine, &conn->stream, GB__READY_IN) == 0;
}

static void leave_idle(struct gb_upstream *upstream, struct gb__pooled *pooled)
{
	gb__list_remove(&pooled->link);
	upstream->stats.idle--;
}

/* It was given back inside a delivery of its own, which may leave something, or with output: that comes first. */
static bool is_busy(const struct gb_conn *conn)
{
	return (conn->flags & GB__CONN_DISPATCH) || !gb__conn_next_empty(conn);
}

/* How many will be to be had; `*ret_soon`: some without being told of. */
static size_t count_busy(const struct gb_upstream *upstream, bool *ret_soon)
{
	size_t count = 0;

	*ret_soon = false;
	for (struct gb__list *link = upstream->idle.next; link != &upstream->idle; link = link->next) {
		const struct gb_conn *conn = gb__container_of(link, struct gb__pooled, link)->conn;

		if (!is_busy(conn))
			continue;
		count++;
		*ret_soon |= !(conn->flags & GB__CONN_FLUSHING);
	}
	return count;
}

static struct gb__pooled *take_idle(struct gb_upstream *upstream)
{
	struct gb__list *link = upstream->idle.prev;

	while (link != &upstream->idle) {
		struct gb__pooled *pooled = gb__container_of(link, struct gb__pooled, link);

		link = link->prev;
		if (is_busy(pooled->conn) && pooled->conn->state == GB__CONN_OPEN)
			continue;
		leave_idle(upstream, pooled);
		if (is_healthy(pooled))
			return pooled;
		upstream->stats.dropped++;
		gb_conn_abort(pooled->conn);
	}
	return NULL;
}

static void drop_idle(struct gb_upstream *upstream)
{
	while (!gb__list_empty(&upstream->idle)) {
		struct gb__pooled *pooled = gb__container_of(upstream->idle.prev, struct gb__pooled, link);

		leave_idle(upstream, pooled);
		gb_conn_close(pooled->conn);
	}
}

static void note_use(struct gb_upstream *upstream, bool good)
{
	if (good) {
		upstream->use_failures = 0;
		return;
	}
	upstream->stats.uses_failed++;
	if (gb__upstream_backs_off(upstream) || ++upstream->use_failures < upstream->options.failures_max)
		return;
	gb__upstream_back_off(upstream, upstream->use_failures - upstream->options.failures_max + 1);
	drop_idle(upstream);
}

static struct gb_taking *first_waiting(struct gb_upstream *upstream)
{
	struct gb_taking *taking = taking_of(upstream->waiting.next);

	gb__list_remove(link_of(taking));
	upstream->stats.waiting--;
	return taking;
}

void gb__upstream_fail_all(struct gb_upstream *upstream, int code)
{
	while (!gb__list_empty(&upstream->waiting))
		gb__operation_complete(&first_waiting(upstream)->operation, code);
}

static void serve_soon(struct gb_upstream *upstream);

static void on_time(struct gb_timer *timer, void *arg);

/* For the end of the first one's patience, and the next attempt. */
static void set_timer(struct gb_upstream *upstream)
{
	uint64_t at_ns;

	gb__timers_stop(&upstream->net->loop->timers, &upstream->timer);
	if (gb__list_empty(&upstream->waiting))
		return;
	at_ns = taking_of(upstream->waiting.next)->deadline_ns;
	if (gb__upstream_backs_off(upstream))
		at_ns = gb__min(at_ns, upstream->retry_ns);
	upstream->timer.worker = upstream->net->worker;
	upstream->timer.on_expire = on_time;
	upstream->timer.arg = upstream;
	upstream->timer.deadline_ns = at_ns;
	if (gb__timers_start(&upstream->net->loop->timers, &upstream->timer) < 0)
		gb__upstream_fail_all(upstream, -ENOMEM);
}

/* Whatever is told here may take, give back, and destroy. */
void gb__upstream_serve(struct gb_upstream *upstream, struct gb__pooled *opening)
{
	struct gb__pooled *pooled;

	upstream->holders++;
	if (gb__unlikely(upstream->lookups))
		gb__upstream_names_refresh(upstream);
	while (!gb__list_empty(&upstream->waiting) && (pooled = take_idle(upstream))) {
		struct gb_taking *taking = first_waiting(upstream);
		struct gb_conn *conn = pooled->conn;
		bool late = !pooled->opened && pooled != opening && !pooled->style;

		upstream->stats.reused += pooled->opened;
		pooled->opened = true;
		lend(upstream, pooled, taking->user, taking->taker);
		taking->conn = conn;
		gb__operation_complete(&taking->operation, 0);
		if (late)
			open_late(conn);
	}
	if (!upstream->destroyed && !gb__list_empty(&upstream->waiting)) {
		bool soon;

		gb__upstream_connect_more(upstream, count_busy(upstream, &soon));
		if (soon)
			serve_soon(upstream);
	}
	if (!upstream->destroyed)
		set_timer(upstream);
	gb__upstream_release(upstream);
}

static void on_time(struct gb_timer *timer, void *arg)
{
	struct gb_upstream *upstream = arg;
	uint64_t at_ns = gb__upstream_now_ns(upstream);

	(void)timer;
	upstream->holders++;
	while (!gb__list_empty(&upstream->waiting) && taking_of(upstream->waiting.next)->deadline_ns <= at_ns)
		gb__operation_complete(&first_waiting(upstream)->operation,
			upstream->stats.error ? upstream->stats.error : -ETIMEDOUT);
	gb__upstream_serve(upstream, NULL);
	gb__upstream_release(upstream);
}

static void on_post(struct gb__post *post, bool alive)
{
	struct gb_upstream *upstream = gb__container_of(post, struct gb_upstream, post);

	upstream->posted = false;
	if (alive && !upstream->destroyed)
		gb__upstream_serve(upstream, NULL);
	gb__upstream_release(upstream);
}

/* In this turn or the next one. */
static void serve_soon(struct gb_upstream *upstream)
{
	if (upstream->posted || upstream->destroyed)
		return;
	upstream->post.run = on_post;
	if (gb__loop_post(upstream->net->loop, &upstream->post) < 0)
		return; /* it has ended */
	upstream->posted = true;
	upstream->holders++;
}

int gb__upstream_create(struct gb__net *net, const struct gb__upstream_terms *terms, struct gb_upstream **ret)
{
	struct gb_upstream *upstream =
		gb__alloc_zero(sizeof(*upstream) + terms->count * sizeof(upstream->targets[0]));
	struct gb_upstream_options *options;

	if (!upstream)
		return -ENOMEM;
	upstream->net = net;
	upstream->options = *terms->options;
	upstream->socket = *terms->socket;
	upstream->style = terms->style;
	upstream->ends = terms->ends;
	upstream->holders = 1;
	upstream->count = terms->count;
	for (size_t i = 0; i < terms->count; i++)
		upstream->targets[i] = terms->targets[i];
	if (gb__upstream_names_init(upstream) < 0) {
		gb__free(upstream);
		return -ENOMEM;
	}
	gb__list_init(&upstream->idle);
	gb__list_init(&upstream->waiting);
	gb__list_init(&upstream->members);
	gb__list_init(&upstream->dials);
	upstream->random = gb__upstream_now_ns(upstream) ^ (uintptr_t)upstream;
	options = &upstream->options;
	options->open_max = options->open_max ? options->open_max : OPEN_MAX;
	options->idle_max = options->idle_max ? options->idle_max : options->open_max;
	options->waiting_max = options->waiting_max ? options->waiting_max : WAITING_MAX;
	options->failures_max = options->failures_max ? options->failures_max : FAILURES_MAX;
	options->wait_ms = options->wait_ms ? options->wait_ms : WAIT_MS;
	options->back_off_ms = options->back_off_ms ? options->back_off_ms : BACK_OFF_MS;
	options->back_off_max_ms = options->back_off_max_ms ? options->back_off_max_ms : BACK_OFF_MAX_MS;
	*ret = upstream;
	return 0;
}

void gb_upstream_destroy(struct gb_upstream *upstream)
{
	struct gb__net *net;

	if (!upstream)
		return;
	net = upstream->net;
	upstream->destroyed = true;
	gb__upstream_names_finish(upstream);
	gb__timers_stop(&net->loop->timers, &upstream->timer);
	while (!gb__list_empty(&upstream->waiting))
		(void)gb__operation_complete_later(
			net->loop, &first_waiting(upstream)->operation, -ECANCELED);
	drop_idle(upstream);
	gb__upstream_connect_cancel(upstream);
	while (!gb__list_empty(&upstream->members)) {
		struct gb__pooled *pooled =
			gb__container_of(upstream->members.next, struct gb__pooled, member);

		gb__list_remove(&pooled->member);
		pooled->upstream = NULL;
	}
	gb__upstream_release(upstream);
}

bool gb__upstream_has_streams(const struct gb_upstream *upstream)
{
	return upstream->style;
}

static void taking_cancel(struct gb_operation *operation)
{
	struct gb_taking *taking = gb__container_of(operation, struct gb_taking, operation);

	if (gb__list_empty(link_of(taking)))
		return; /* it is about to be told */
	gb__list_remove(link_of(taking));
	taking->upstream->stats.waiting--;
	(void)gb__operation_complete_later(taking->upstream->net->loop, operation, -ECANCELED);
}

static const struct gb__operation_kind taking_kind = { "take from an upstream", taking_cancel };

struct gb_operation *gb__upstream_take_begin(struct gb_upstream *upstream, struct gb_taking *taking,
	void *conn_user, void *taker, gb_operation_done *on_done, void *user)
{
	const int code = gb__upstream_refusal(upstream, NULL);

	gb__operation_begin(&taking->operation, &taking_kind, upstream->net->worker, on_done, user);
	taking->conn = NULL;
	taking->upstream = upstream;
	taking->user = conn_user;
	taking->taker = taker;
	gb__list_init(link_of(taking));
	if (code < 0) {
		(void)gb__operation_complete_later(upstream->net->loop, &taking->operation, code);
		return &taking->operation;
	}
	taking->deadline_ns = gb__add_capped(
		gb__upstream_now_ns(upstream), gb__multiply_capped(upstream->options.wait_ms, MS));
	gb__list_append(&upstream->waiting, link_of(taking));
	upstream->stats.waiting++;
	serve_soon(upstream);
	return &taking->operation;
}

struct gb_operation *gb_upstream_take_begin(struct gb_upstream *upstream, struct gb_taking *taking,
	void *conn_user, gb_operation_done *on_done, void *user)
{
	gb__rule(49, gb__loop_here(upstream->net->loop),
		"an operation is begun on another thread than its worker's");
	gb__rule(58, !upstream->style, "connections of a pool of streams are taken by gb_upstream_take");
	return gb__upstream_take_begin(upstream, taking, conn_user, NULL, on_done, user);
}

struct gb_conn *gb__upstream_try_take(struct gb_upstream *upstream, void *conn_user, void *taker)
{
	struct gb__pooled *pooled;

	if (!gb__list_empty(&upstream->waiting))
		return NULL; /* they were here before */
	if (gb__unlikely(upstream->lookups))
		gb__upstream_names_refresh(upstream);
	pooled = take_idle(upstream);
	if (!pooled)
		return NULL;
	if (!pooled->opened && !pooled->style) {
		/* Its on_open is to come, which no function calls that a handler called. */
		gb__list_append(&upstream->idle, &pooled->link);
		upstream->stats.idle++;
		return NULL;
	}
	upstream->stats.reused += pooled->opened;
	pooled->opened = true;
	lend(upstream, pooled, conn_user, taker);
	return pooled->conn;
}

int gb_upstream_try_take(struct gb_upstream *upstream, void *conn_user, struct gb_conn **ret)
{
	struct gb_conn *conn;

	gb__rule(
		49, gb__loop_here(upstream->net->loop), "a pool is used on another thread than its worker's");
	gb__rule(58, !upstream->style, "connections of a pool of streams are taken by gb_upstream_take");
	conn = gb__upstream_try_take(upstream, conn_user, NULL);
	if (!conn)
		return -EAGAIN;
	*ret = conn;
	return 0;
}

/* Whether the next exchange begins at its beginning, once a delivery and output that are under way are through. */
static bool is_clean(const struct gb_conn *conn)
{
	const uint16_t kept = conn->flags & GB__CONN_DISPATCH ? 0 : GB__CONN_KEPT;
	const uint16_t unclean = GB__CONN_EOF | GB__CONN_RESET | GB__CONN_OUTPUT_END | GB__CONN_REPLIES |
		GB__CONN_TASKED | GB__CONN_PARKED | GB__CONN_CLOSING;

	return conn->state == GB__CONN_OPEN && !(conn->flags & (unclean | kept)) && !conn->holds &&
		!(conn->further & GB__CONN_FURTHER_PARTS) && !conn->terms->relayed;
}

void gb__upstream_flushed(struct gb_conn *conn)
{
	struct gb__pooled *pooled = conn->terms->pooled;

	if (!pooled->lent && pooled->upstream)
		serve_soon(pooled->upstream);
}

static void keep(struct gb_upstream *upstream, struct gb__pooled *pooled)
{
	struct gb_conn *conn = pooled->conn;

	conn->active_ms = gb__net_now(conn->net);
	conn->further &= (uint8_t)~GB__CONN_FURTHER_ELSEWHERE;
	conn->flags &= (uint16_t)~GB__CONN_REFUSED_TRY;
	gb__conn_deadline_within(conn, conn->terms->limits->idle_timeout_ms);
	gb__list_append(&upstream->idle, &pooled->link);
	upstream->stats.idle++;
}

void gb__upstream_take_back(struct gb__pooled *pooled, bool good)
{
	struct gb_upstream *upstream = pooled->upstream;
	struct gb_conn *conn = pooled->conn;
	bool clean = gb__conn_spill(conn) == 0 && is_clean(conn);

	gb__upstream_rest(pooled);
	if (upstream)
		note_use(upstream, good);
	if (upstream && good && clean && !pooled->leaves && upstream->stats.idle < upstream->options.idle_max)
		keep(upstream, pooled);
	else if (good)
		gb_conn_close(conn);
	else
		gb_conn_abort(conn);
	if (upstream)
		serve_soon(upstream);
}

int gb_upstream_give(struct gb_conn *conn, bool good)
{
	struct gb__pooled *pooled;

	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	pooled = conn->terms->pooled;
	if (!pooled || !pooled->lent || pooled->style)
		return -EINVAL;
	gb_conn_resume(conn);
	gb__upstream_take_back(pooled, good);
	return 0;
}

/* Whether who had it ended it, or was told of an end in order. */
static bool in_order(int reason)
{
	return reason == GB_CLOSE_LOCAL || reason == GB_CLOSE_EOF || reason == GB_CLOSE_DRAIN ||
		reason == GB_CLOSE_RELAY;
}

void gb__upstream_gone(struct gb_conn *conn)
{
	struct gb__pooled *pooled = conn->terms->pooled;
	struct gb_upstream *upstream = pooled->upstream;

	conn->terms->pooled = NULL;
	if (pooled->style && !pooled->lent)
		pooled->style->gone(pooled->reader);
	gb__list_remove(&pooled->member);
	if (upstream) {
		if (!gb__list_empty(&pooled->link)) {
			leave_idle(upstream, pooled);
			upstream->stats.dropped++;
		}
		upstream->stats.open--;
		if (pooled->lent && !in_order(conn->reason))
			note_use(upstream, false);
		serve_soon(upstream);
	}
	gb__slabs_give(&conn->net->slabs, pooled, sizeof(*pooled));
}

void gb_upstream_stats(const struct gb_upstream *upstream, struct gb_upstream_stats *ret)
{
	*ret = upstream->stats;
}
