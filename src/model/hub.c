#include "model/hub.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/macros.h"
#include "buffer/pool.h"
#include "model/worker.h"

#include <errno.h>
#include <string.h>

static struct gb__topic *find(const struct gb__hub *hub, const char *name, uint32_t hash)
{
	struct gb__topic *topic = hub->table_size ? hub->table[hash & (hub->table_size - 1)] : NULL;

	while (topic && (topic->hash != hash || strcmp(topic->name, name) != 0))
		topic = topic->next;
	return topic;
}

static void insert(struct gb__topic **table, size_t size, struct gb__topic *topic)
{
	struct gb__topic **link = &table[topic->hash & (size - 1)];

	topic->next = *link;
	*link = topic;
}

static bool table_grow(struct gb__hub *hub)
{
	size_t size = hub->table_size ? 2 * hub->table_size : 16;
	struct gb__topic **table = gb__alloc_zero(size * sizeof(struct gb__topic *));

	if (!table)
		return false;
	for (size_t i = 0; i < hub->table_size; i++)
		for (struct gb__topic *topic = hub->table[i], *next; topic; topic = next) {
			next = topic->next;
			insert(table, size, topic);
		}
	gb__free(hub->table);
	hub->table = table;
	hub->table_size = size;
	return true;
}

static struct gb__topic *topic_create(struct gb__hub *hub, const char *name, uint32_t hash)
{
	struct gb__topic *topic;

	if (hub->topics == hub->table_size && !table_grow(hub))
		return NULL;
	topic = gb__alloc_zero(sizeof(*topic) + strlen(name) + 1);
	if (!topic)
		return NULL;
	topic->hash = hash;
	topic->end = &topic->first;
	memcpy(topic->name, name, strlen(name) + 1);
	insert(hub->table, hub->table_size, topic);
	hub->topics++;
	return topic;
}

int gb__hub_enter(struct gb__hub *hub, const char *name, struct gb__topic **ret)
{
	uint32_t hash = gb__hash32_add_text(GB__HASH32, name);
	struct gb__topic *topic;

	pthread_mutex_lock(&hub->lock);
	topic = find(hub, name, hash);
	if (!topic)
		topic = topic_create(hub, name, hash);
	if (topic)
		topic->subscriptions++;
	pthread_mutex_unlock(&hub->lock);
	if (!topic)
		return -ENOMEM;
	*ret = topic;
	return 0;
}

/* With the lock. */
static void topic_release(struct gb__hub *hub, struct gb__topic *topic)
{
	struct gb__topic **link = &hub->table[topic->hash & (hub->table_size - 1)];

	if (topic->subscriptions > 0 || topic->waiting > 0)
		return;
	while (*link != topic)
		link = &(*link)->next;
	*link = topic->next;
	hub->topics--;
	gb__free(topic);
}

void gb__hub_exit(struct gb__hub *hub, struct gb__topic *topic)
{
	pthread_mutex_lock(&hub->lock);
	topic->subscriptions--;
	topic_release(hub, topic);
	pthread_mutex_unlock(&hub->lock);
}

static void give_out(struct gb__hub *hub, const struct gb__hub_message *message)
{
	struct gb_subscription *subscription;

	for (hub->next = message->topic->first; (subscription = hub->next) != NULL;) {
		hub->next = subscription->next;
		if (subscription->id != message->but)
			gb__subscription_give(subscription, message);
		else if (message->lost)
			gb__subscription_lose(subscription, message->lost);
	}
}

/* With the lock: a topic that has lost messages none of which is followed by one that waits. */
static struct gb__topic *lost_unfollowed(const struct gb__hub *hub)
{
	for (size_t i = 0; i < hub->table_size; i++)
		for (struct gb__topic *topic = hub->table[i]; topic; topic = topic->next)
			if (topic->lost > 0 && topic->waiting == 0)
				return topic;
	return NULL;
}

static bool has_lost(const struct gb__hub *hub)
{
	for (size_t i = 0; i < hub->table_size; i++)
		for (const struct gb__topic *topic = hub->table[i]; topic; topic = topic->next)
			if (topic->lost > 0)
				return true;
	return false;
}

static void tell_losses(struct gb__hub *hub)
{
	struct gb__topic *topic;
	uint64_t lost;

	pthread_mutex_lock(&hub->lock);
	while ((topic = lost_unfollowed(hub)) != NULL) {
		lost = topic->lost;
		topic->lost = 0;
		topic->waiting++; /* it stays */
		pthread_mutex_unlock(&hub->lock);
		for (hub->next = topic->first; hub->next;) {
			struct gb_subscription *subscription = hub->next;

			hub->next = subscription->next;
			gb__subscription_lose(subscription, lost);
		}
		pthread_mutex_lock(&hub->lock);
		topic->waiting--;
		topic_release(hub, topic);
	}
	hub->lossy =
		has_lost(hub); /* what is followed by one that waits is told with that one, or behind it */
	pthread_mutex_unlock(&hub->lock);
}

static void work_off(struct gb__post *post, bool alive)
{
	struct gb__hub *hub = gb__container_of(post, struct gb__hub, post);
	struct gb__hub_message *messages;
	size_t count, size;
	bool lossy;

	if (!alive)
		return; /* it has left */
	pthread_mutex_lock(&hub->lock);
	hub->announced = false;
	messages = hub->messages;
	count = hub->count;
	size = hub->size;
	hub->messages = hub->taken;
	hub->size = hub->taken_size;
	hub->count = 0;
	hub->taken = messages;
	hub->taken_size = size;
	pthread_mutex_unlock(&hub->lock);

	for (size_t i = 0; i < count; i++)
		give_out(hub, &messages[i]);

	pthread_mutex_lock(&hub->lock);
	for (size_t i = 0; i < count; i++) {
		size_t bytes;

		gb__buffer_bytes(messages[i].buffer, &bytes);
		gb_buffer_unref(messages[i].buffer);
		hub->waiting--;
		hub->waiting_bytes -= bytes;
		messages[i].topic->waiting--;
		topic_release(hub, messages[i].topic);
	}
	lossy = hub->lossy;
	pthread_mutex_unlock(&hub->lock);
	if (gb__unlikely(lossy))
		tell_losses(hub);
}

/* With the lock. Calls of gb_each_worker have as much room again, so that no flood of messages loses one. */
static bool has_room(const struct gb__hub *hub, const struct gb__publication *publication)
{
	const size_t times = publication->name[0] == GB__TOPIC_CALL ? 2 : 1;

	return hub->waiting < times * GB_PUBLISH_WAITING_MAX &&
		hub->waiting_bytes + publication->bytes.size <= times * GB_PUBLISH_WAITING_BYTES_MAX;
}

static bool add(struct gb__hub *hub, struct gb__topic *topic, const struct gb__publication *publication)
{
	if (!has_room(hub, publication))
		return false;
	if (hub->count == hub->size) {
		size_t size = hub->size ? 2 * hub->size : 16;
		struct gb__hub_message *grown = gb__realloc(hub->messages, size * sizeof(*grown));

		if (!grown)
			return false;
		hub->messages = grown;
		hub->size = size;
	}
	hub->messages[hub->count++] = (struct gb__hub_message){ topic, gb_buffer_ref(publication->buffer),
		publication->but, topic->lost };
	topic->lost = 0;
	topic->waiting++;
	hub->waiting++;
	hub->waiting_bytes += publication->bytes.size;
	return true;
}

/* With the lock: whether it is to be announced. */
static bool announces(struct gb__hub *hub)
{
	bool announced = hub->announced;

	hub->announced = true;
	return !announced;
}

/* While the process's lock keeps it from leaving. */
static int put(struct gb__hub *hub, struct gb__publication *publication, uint32_t hash)
{
	struct gb__topic *topic;
	bool announce = false, added = true;
	int result = 0;

	pthread_mutex_lock(&hub->lock);
	topic = find(hub, publication->name, hash);
	if (topic && topic->subscriptions > 0) {
		if (!publication->buffer)
			result = gb_buffer_create(
				publication->bytes.data, publication->bytes.size, &publication->buffer);
		added = result == 0 && add(hub, topic, publication);
		if (!added) {
			topic->lost++;
			hub->lossy = true;
		}
		announce = announces(hub);
	}
	pthread_mutex_unlock(&hub->lock);
	if (announce)
		(void)gb__loop_post(&hub->worker->loop, &hub->post);
	if (!added && publication->name[0] == GB__TOPIC_CALL)
		gb__log(GB__LOG_WARNING, "worker %u does not run \"%s\": too much waits for it",
			hub->worker->id, publication->name + 1);
	return result;
}

void gb__hubs_init(struct gb__hubs *hubs)
{
	pthread_mutex_init(&hubs->lock, NULL);
	gb__list_init(&hubs->all);
}

int gb__hubs_put(struct gb__hubs *hubs, struct gb__publication *publication)
{
	uint32_t hash = gb__hash32_add_text(GB__HASH32, publication->name);
	int result = 0;

	pthread_mutex_lock(&hubs->lock);
	for (struct gb__list *at = hubs->all.next; at != &hubs->all && result == 0; at = at->next)
		result = put(gb__container_of(at, struct gb__hub, link), publication, hash);
	pthread_mutex_unlock(&hubs->lock);
	return result;
}

static void lose_all(struct gb__hub *hub, uint64_t lost)
{
	bool announce;

	pthread_mutex_lock(&hub->lock);
	for (size_t i = 0; i < hub->table_size; i++)
		for (struct gb__topic *topic = hub->table[i]; topic; topic = topic->next)
			topic->lost += lost;
	hub->lossy = true;
	announce = announces(hub);
	pthread_mutex_unlock(&hub->lock);
	if (announce)
		(void)gb__loop_post(&hub->worker->loop, &hub->post);
}

void gb__hubs_lose(struct gb__hubs *hubs, uint64_t lost)
{
	pthread_mutex_lock(&hubs->lock);
	for (struct gb__list *at = hubs->all.next; at != &hubs->all; at = at->next)
		lose_all(gb__container_of(at, struct gb__hub, link), lost);
	pthread_mutex_unlock(&hubs->lock);
}

static void on_room(struct gb_conn *conn, void *arg)
{
	gb__subscription_room(((struct gb_worker *)arg)->hub, conn);
}

int gb__hub_join(struct gb_worker *worker)
{
	struct gb__hubs *hubs = &worker->server->hubs;
	struct gb__hub *hub;

	if (worker->hub_left)
		return -ESHUTDOWN;
	if (worker->hub)
		return 0;
	hub = gb__alloc_zero(sizeof(*hub));
	if (!hub)
		return -ENOMEM;
	pthread_mutex_init(&hub->lock, NULL);
	worker->hub = hub;
	hub->worker = worker;
	hub->post.run = work_off;
	worker->net.on_room = on_room;
	pthread_mutex_lock(&hubs->lock);
	gb__list_append(&hubs->all, &hub->link);
	pthread_mutex_unlock(&hubs->lock);
	return 0;
}

void gb__hub_leave(struct gb_worker *worker)
{
	struct gb__hub *hub = worker->hub;
	struct gb__hubs *hubs = &worker->server->hubs;

	worker->hub_left = true;
	if (!hub)
		return;
	pthread_mutex_lock(&hubs->lock);
	gb__list_remove(&hub->link);
	pthread_mutex_unlock(&hubs->lock);
	/* Nobody else knows it any more. */
	for (size_t i = 0; i < hub->count; i++) {
		gb_buffer_unref(hub->messages[i].buffer);
		hub->messages[i].topic->waiting--;
		topic_release(hub, hub->messages[i].topic);
	}
	for (size_t i = 0; i < hub->table_size; i++)
		while (hub->table[i])
			gb__subscription_abandon(hub->table[i]->first); /* the last takes the topic along */
	gb__offers_finish(hub);
	gb__free(hub->messages);
	gb__free(hub->taken);
	gb__free(hub->table);
	gb__free(hub->by_slot);
	pthread_mutex_destroy(&hub->lock);
}
