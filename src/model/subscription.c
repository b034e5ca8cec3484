/*
 * Subscriptions: what becomes of a message that a worker's hub gives to one of them.
 *
 * Of a connection it is sent at once while its output is low. Else it waits here, where it is counted, and is fed to the
 * output as that falls (gb__subscription_room). Of a worker it is told, or waits until it is taken.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "buffer/pool.h"
#include "loop/operation.h"
#include "model/bus.h"
#include "model/worker.h"
#include "net/conn.h"
#include "net/task.h"

#include <gearbox/topic.h>

#include <errno.h>
#include <string.h>

#define MESSAGES_MAX 256u
#define BYTES_MAX (256u << 10)

struct gb__waiting {
	struct gb_buffer *buffer;
	uint64_t lost; /* before it */
};

struct gb__offer {
	struct gb__offer *next;
	struct gb_subscription subscription;
	void (*run)(struct gb_worker *worker, struct gb_bytes argument, void *user);
	void *user;
	char name[GB_TOPIC_MAX + 2];
};

static size_t size_of(const struct gb_buffer *buffer)
{
	size_t size;

	gb__buffer_bytes(buffer, &size);
	return size;
}

static struct gb__loop *loop_of(const struct gb_subscription *subscription)
{
	return &subscription->hub->worker->loop;
}

/* Among those of its connection that wait for room. */
static struct gb_subscription **conn_link(struct gb_subscription *subscription)
{
	struct gb__hub *hub = subscription->hub;
	uint32_t slot = subscription->conn->stream.endpoint.slot;
	struct gb_subscription **link = slot < hub->slots ? &hub->by_slot[slot] : NULL;

	while (link && *link && *link != subscription)
		link = &(*link)->conn_next;
	return link;
}

static void conn_unlink(struct gb_subscription *subscription)
{
	struct gb_subscription **link = subscription->conn ? conn_link(subscription) : NULL;

	if (link && *link)
		*link = subscription->conn_next;
}

/* Behind its others. Returns whether there was memory. */
static bool conn_append(struct gb_subscription *subscription)
{
	struct gb__hub *hub = subscription->hub;
	size_t slot = subscription->conn->stream.endpoint.slot;

	if (slot >= hub->slots) {
		size_t slots = gb__max(2 * hub->slots, slot + 1);
		struct gb_subscription **grown = gb__realloc(hub->by_slot, slots * sizeof(*grown));

		if (!grown)
			return false;
		memset(grown + hub->slots, 0, (slots - hub->slots) * sizeof(*grown));
		hub->by_slot = grown;
		hub->slots = slots;
	}
	subscription->conn_next = NULL;
	*conn_link(subscription) = subscription;
	return true;
}

static struct gb__waiting waiting_take(struct gb_subscription *subscription)
{
	struct gb__waiting taken = subscription->waiting[subscription->first];

	subscription->first = (subscription->first + 1) % subscription->size;
	subscription->count--;
	subscription->bytes -= size_of(taken.buffer);
	return taken;
}

static void waiting_clear(struct gb_subscription *subscription)
{
	while (subscription->count > 0)
		gb_buffer_unref(waiting_take(subscription).buffer);
	gb__free(subscription->waiting);
	subscription->waiting = NULL;
	subscription->size = subscription->first = 0;
}

static bool waiting_grow(struct gb_subscription *subscription)
{
	size_t size = subscription->size ? 2 * subscription->size : 4;
	struct gb__waiting *grown = gb__alloc(size * sizeof(*grown));

	if (!grown)
		return false;
	for (size_t i = 0; i < subscription->count; i++)
		grown[i] = subscription->waiting[(subscription->first + i) % subscription->size];
	gb__free(subscription->waiting);
	subscription->waiting = grown;
	subscription->size = size;
	subscription->first = 0;
	return true;
}

/* Let one wait; false: there is no room. */
static bool waiting_add(struct gb_subscription *subscription, struct gb_buffer *buffer)
{
	size_t size = size_of(buffer);

	if (subscription->count > 0 &&
		(subscription->count >= subscription->how.messages_max ||
			subscription->bytes + size > subscription->how.bytes_max))
		return false;
	if (subscription->count == subscription->size && !waiting_grow(subscription))
		return false;
	if (subscription->conn && subscription->count == 0 && !conn_append(subscription))
		return false;
	subscription->waiting[(subscription->first + subscription->count++) % subscription->size] =
		(struct gb__waiting){ gb_buffer_ref(buffer), subscription->lost_untold };
	subscription->lost_untold = 0;
	subscription->bytes += size;
	return true;
}

/* It is nobody's from here on but for its operation. */
static void detach(struct gb_subscription *subscription)
{
	struct gb__hub *hub = subscription->hub;
	struct gb__topic *topic = subscription->topic;

	if (hub->next == subscription)
		hub->next = subscription->next;
	if (hub->current == subscription)
		hub->current = NULL;
	conn_unlink(subscription);
	waiting_clear(subscription);
	*subscription->link = subscription->next;
	if (subscription->next)
		subscription->next->link = subscription->link;
	else
		topic->end = subscription->link;
	subscription->hub = NULL;
	subscription->topic = NULL;
	gb__hub_exit(hub, topic);
}

static void tell_operation(struct gb_subscription *subscription, struct gb__loop *loop, int result)
{
	/* Once: what is told already is complete soon. */
	if (subscription->operation.kind && !subscription->operation.link[1]) {
		subscription->operation.link[1] = subscription;
		(void)gb__operation_complete_later(loop, &subscription->operation, result);
	}
}

void gb__subscription_abandon(struct gb_subscription *subscription)
{
	detach(subscription);
	/* No callback comes behind on_stop, but for what is on its way. */
	if (subscription->operation.kind && !subscription->operation.link[1]) {
		subscription->operation.kind = NULL;
		subscription->operation.complete = true;
		subscription->operation.result = -ESHUTDOWN;
	}
}

static void drop(struct gb_subscription *subscription)
{
	struct gb__loop *loop = loop_of(subscription);
	struct gb_conn *conn = subscription->conn;

	detach(subscription);
	subscription->dropped = true;
	tell_operation(subscription, loop, -GB_ELIMIT);
	if (conn && !gb__conn_closing(conn)) {
		conn->flags |= GB__CONN_RESET; /* what is cut shall not look whole */
		gb__conn_end(conn, GB_CLOSE_OUTPUT_LIMIT, 0);
	}
	if (subscription->how.on_dropped)
		subscription->how.on_dropped(subscription, subscription->how.user);
}

/* Returns whether it is still there. */
static bool lose(struct gb_subscription *subscription, uint64_t lost)
{
	subscription->lost += lost;
	subscription->lost_untold += lost;
	if (!subscription->how.drop)
		return true;
	drop(subscription);
	return false;
}

/* Returns whether it is still there. */
static bool tell_lost(struct gb_subscription *subscription, uint64_t lost)
{
	struct gb__hub *hub = subscription->hub;

	if (lost == 0 || !subscription->how.on_lost)
		return true;
	hub->current = subscription;
	subscription->how.on_lost(subscription, lost, subscription->how.user);
	return hub->current == subscription;
}

static bool tell_untold(struct gb_subscription *subscription)
{
	uint64_t lost = subscription->lost_untold;

	subscription->lost_untold = 0;
	return tell_lost(subscription, lost);
}

static bool conn_has_room(const struct gb_conn *conn)
{
	return gb__conn_next_bytes(conn) <= gb__limit(&conn->terms->limits->output_low);
}

/* on_writable is owed to those of this connection that wait. */
static void conn_await(struct gb_conn *conn)
{
	conn->flags |= GB__CONN_REFUSED_TRY;
	if (!(conn->flags & GB__CONN_DISPATCH))
		gb__conn_queue(conn);
}

/* What it says otherwise, on_close tells. Empty ones are not for packets; whoever cannot have one whole shall know of it. */
static void send_to(struct gb_conn *conn, struct gb_buffer *buffer)
{
	if (gb_conn_send_ref(conn, buffer) == -EMSGSIZE)
		gb__conn_end(conn, GB_CLOSE_MESSAGE_TOO_LARGE, EMSGSIZE);
}

static void give_to_conn(struct gb_subscription *subscription, struct gb_buffer *buffer)
{
	struct gb_conn *conn = subscription->conn;

	if (gb__conn_closing(conn) || (conn->flags & GB__CONN_OUTPUT_END))
		return; /* nothing can be sent on it any more */
	if (subscription->count == 0 && conn_has_room(conn)) {
		if (tell_untold(subscription))
			send_to(conn, buffer);
		return;
	}
	if (!waiting_add(subscription, buffer))
		(void)lose(subscription, 1);
	else
		conn_await(conn);
}

static void give_to_taker(struct gb_subscription *subscription, struct gb_buffer *buffer)
{
	if (!waiting_add(subscription, buffer))
		(void)lose(subscription, 1);
	else
		tell_operation(subscription, loop_of(subscription), 1);
}

void gb__subscription_give(struct gb_subscription *subscription, const struct gb__hub_message *message)
{
	struct gb_bytes bytes;

	if (message->lost > 0 && !lose(subscription, message->lost))
		return;
	if (subscription->conn) {
		give_to_conn(subscription, message->buffer);
	} else if (!subscription->how.on_message) {
		give_to_taker(subscription, message->buffer);
	} else if (tell_untold(subscription)) {
		bytes.data = gb__buffer_bytes(message->buffer, &bytes.size);
		subscription->how.on_message(subscription, bytes, subscription->how.user);
	}
}

void gb__subscription_lose(struct gb_subscription *subscription, uint64_t lost)
{
	if (lose(subscription, lost) && subscription->count == 0)
		(void)tell_untold(subscription); /* nothing is before it */
}

/* The oldest goes out. Returns whether the subscription is still there. */
static bool feed(struct gb_subscription *subscription)
{
	struct gb__waiting taken = waiting_take(subscription);
	struct gb_conn *conn = subscription->conn;
	bool there;

	if (subscription->count == 0)
		conn_unlink(subscription);
	there = tell_lost(subscription, taken.lost);
	if (there)
		send_to(conn, taken.buffer);
	gb_buffer_unref(taken.buffer);
	return there;
}

void gb__subscription_room(struct gb__hub *hub, struct gb_conn *conn)
{
	const uint32_t slot = conn->stream.endpoint.slot;
	struct gb_subscription *subscription;

	while (slot < hub->slots && (subscription = hub->by_slot[slot]) != NULL && !gb__conn_closing(conn)) {
		if (!conn_has_room(conn)) {
			conn_await(conn);
			return;
		}
		if (feed(subscription) && subscription->count == 0)
			(void)tell_untold(subscription);
	}
}

static bool name_fits(const char *name)
{
	return name && name[0] && name[0] != GB__TOPIC_CALL &&
		strnlen(name, GB_TOPIC_MAX + 1) <= GB_TOPIC_MAX;
}

static int subscribe(struct gb_worker *worker, struct gb_conn *conn, struct gb_subscription *subscription,
	const char *name, const struct gb_subscription_options *how)
{
	struct gb__topic *topic;
	int result;

	if (worker->apart)
		return -EOPNOTSUPP;
	gb__rule_in("gb_subscribe", 74, gb__loop_here(&worker->loop),
		"a subscription is begun on another thread than its worker's");
	if (subscription->hub)
		return -EBUSY;
	result = gb__hub_join(worker);
	if (result == 0 && worker->server->model.unit == GB__UNIT_PROCESS)
		result = gb__bus_listen(worker->server->bus, &worker->server->hubs);
	if (result == 0)
		result = gb__hub_enter(worker->hub, name, &topic);
	if (result < 0)
		return result;
	*subscription = (struct gb_subscription){ .hub = worker->hub,
		.topic = topic,
		.conn = conn,
		.link = topic->end,
		.id = 1 + atomic_fetch_add(&worker->server->shared->subscriptions, 1) };
	if (how)
		subscription->how = *how;
	if (subscription->how.messages_max == 0)
		subscription->how.messages_max = MESSAGES_MAX;
	if (subscription->how.bytes_max == 0)
		subscription->how.bytes_max = BYTES_MAX;
	*topic->end = subscription;
	topic->end = &subscription->next;
	return 0;
}

int gb_subscribe(struct gb_worker *worker, struct gb_subscription *subscription, const char *topic,
	const struct gb_subscription_options *how)
{
	return name_fits(topic) ? subscribe(worker, NULL, subscription, topic, how) : -EINVAL;
}

int gb_conn_subscribe(struct gb_conn *conn, struct gb_subscription *subscription, const char *topic,
	const struct gb_subscription_options *how)
{
	if (!name_fits(topic) || (how && how->on_message))
		return -EINVAL;
	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	if (gb__conn_closing(conn))
		return -EPIPE;
	return subscribe(conn->net->worker, conn, subscription, topic, how);
}

void gb_unsubscribe(struct gb_subscription *subscription)
{
	struct gb__loop *loop;

	if (!subscription->hub)
		return;
	loop = loop_of(subscription);
	gb__rule(74, gb__loop_here(loop), "a subscription is ended on another thread than its worker's");
	detach(subscription);
	tell_operation(subscription, loop, -ESHUTDOWN);
}

uint64_t gb_subscription_lost(const struct gb_subscription *subscription)
{
	return subscription->lost;
}

int gb_subscription_take(struct gb_subscription *subscription, struct gb_published *ret)
{
	struct gb__waiting taken;

	if (!subscription->hub)
		return subscription->dropped ? -GB_ELIMIT : -ESHUTDOWN;
	if (subscription->count == 0 || subscription->conn)
		return 0;
	taken = waiting_take(subscription);
	*ret = (struct gb_published){ .buffer = taken.buffer, .lost = taken.lost };
	ret->bytes.data = gb__buffer_bytes(taken.buffer, &ret->bytes.size);
	return 1;
}

static void receive_cancel(struct gb_operation *operation)
{
	struct gb_subscription *subscription = gb__container_of(operation, struct gb_subscription, operation);

	tell_operation(subscription, &operation->worker->loop, -ECANCELED);
}

static const struct gb__operation_kind receive_kind = { "subscription", receive_cancel };

static struct gb_operation *begin(struct gb_subscription *subscription, struct gb_worker *worker,
	gb_operation_done *on_done, void *user)
{
	if (subscription->operation.kind)
		return NULL;
	gb__operation_begin(&subscription->operation, &receive_kind, worker, on_done, user);
	if (subscription->hub && subscription->count > 0)
		tell_operation(subscription, &worker->loop, 1);
	return &subscription->operation;
}

struct gb_operation *gb_subscription_begin(
	struct gb_subscription *subscription, gb_operation_done *on_done, void *user)
{
	if (!subscription->hub)
		return NULL;
	gb__rule(74, gb__loop_here(loop_of(subscription)),
		"a subscription is waited for on another thread than its worker's");
	return begin(subscription, subscription->hub->worker, on_done, user);
}

int gb_subscription_receive(
	struct gb_coro *coro, struct gb_subscription *subscription, struct gb_published *ret)
{
	struct gb_operation *operation;
	int result;

	if (!gb__coro_runs(coro, __func__))
		return -GB_ENOCORO;
	while ((result = gb_subscription_take(subscription, ret)) == 0) {
		operation = begin(subscription, subscription->hub->worker, NULL, NULL);
		if (!operation)
			return -EBUSY;
		result = gb_await(coro, operation);
		if (result < 0)
			return result;
	}
	return result;
}

/* Whatever carries it: hubs of this process, or the supervisor to those of all. */
static int publish(struct gb_server *server, struct gb__publication *publication)
{
	int result;

	if (!atomic_load(&server->running))
		return -ESHUTDOWN;
	if (publication->bytes.size > GB_PUBLISH_MAX)
		return -EMSGSIZE;
	if (server->bus &&
		(server->model.unit == GB__UNIT_PROCESS || (server->chief && server->chief->apart)))
		return gb__bus_send(server->bus, publication);
	if (publication->buffer)
		return gb__hubs_put(&server->hubs, publication);
	result = gb__hubs_put(&server->hubs, publication);
	gb_buffer_unref(publication->buffer);
	return result;
}

int gb_publish(struct gb_server *server, const char *topic, struct gb_buffer *buffer,
	const struct gb_subscription *but)
{
	struct gb__publication publication = { .name = topic, .buffer = buffer, .but = but ? but->id : 0 };

	if (!name_fits(topic) || !buffer)
		return -EINVAL;
	publication.bytes.data = gb__buffer_bytes(buffer, &publication.bytes.size);
	return publish(server, &publication);
}

static int call_name(char *ret, const char *name)
{
	if (!name_fits(name))
		return -EINVAL;
	ret[0] = GB__TOPIC_CALL;
	memcpy(ret + 1, name, strlen(name) + 1);
	return 0;
}

static void run_offer(struct gb_subscription *subscription, struct gb_bytes argument, void *user)
{
	const struct gb__offer *offer = user;

	offer->run(subscription->hub->worker, argument, offer->user);
}

static void offer_lost(struct gb_subscription *subscription, uint64_t lost, void *user)
{
	static struct gb__log_limit limit;
	uint64_t held;

	(void)user;
	if (gb__log_allowed(&limit, gb__loop_now_ms(loop_of(subscription)), &held))
		gb__log(GB__LOG_WARNING, "worker %u may have missed up to %llu calls of \"%s\"",
			subscription->hub->worker->id, (unsigned long long)lost,
			subscription->topic->name + 1);
}

int gb_worker_offer(struct gb_worker *worker, const char *name,
	void (*run)(struct gb_worker *worker, struct gb_bytes argument, void *user), void *user)
{
	struct gb__offer *offer;
	int result;

	if (!name_fits(name) || !run)
		return -EINVAL;
	if (worker->apart)
		return 0; /* who computes is no worker */
	result = gb__hub_join(worker);
	if (result < 0)
		return result;
	for (offer = worker->hub->offers; offer; offer = offer->next)
		if (strcmp(offer->name + 1, name) == 0)
			return -EEXIST;
	offer = gb__alloc_zero(sizeof(*offer));
	if (!offer)
		return -ENOMEM;
	*offer = (struct gb__offer){ .next = worker->hub->offers, .run = run, .user = user };
	(void)call_name(offer->name, name);
	result = subscribe(worker, NULL, &offer->subscription, offer->name,
		&(struct gb_subscription_options){
			.on_message = run_offer, .on_lost = offer_lost, .user = offer });
	if (result < 0) {
		gb__free(offer);
		return result;
	}
	worker->hub->offers = offer;
	return 0;
}

void gb__offers_finish(struct gb__hub *hub)
{
	while (hub->offers) {
		struct gb__offer *offer = hub->offers;

		hub->offers = offer->next;
		gb__free(offer);
	}
}

int gb_each_worker(struct gb_server *server, const char *name, const void *argument, size_t size)
{
	char call[GB_TOPIC_MAX + 2];
	struct gb__publication publication = { .name = call, .bytes = { argument, size } };

	return call_name(call, name) < 0 ? -EINVAL : publish(server, &publication);
}
