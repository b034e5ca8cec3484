/**
 * A worker's hub: who on it has subscribed to what, and the messages that wait for its thread.
 *
 * Publishers of the process, and the thread that listens for other processes (bus.h), put messages in; the worker takes
 * them out in a posted task and gives each to its subscriptions (subscription.c). Nobody waits for a worker: beyond
 * GB_PUBLISH_WAITING_MAX messages are lost to it and counted.
 */
#ifndef MODEL_HUB_H
#define MODEL_HUB_H

#include "base/list.h"
#include "base/log.h"
#include "loop/loop.h"

#include <gearbox/topic.h>

#include <pthread.h>

#define GB__TOPIC_CALL '\1' /* begins the names of gb_each_worker, which no topic of a user has */

struct gb_server;
struct gb_worker;

/** The hubs of a process's workers. */
struct gb__hubs {
	pthread_mutex_t lock;
	struct gb__list all;
};

struct gb__topic {
	struct gb__topic *next; /* of the same hash */
	struct gb_subscription *first, **end;
	size_t subscriptions; /* the hub's lock, as all below */
	unsigned waiting;     /* messages that name it */
	uint64_t lost;        /* since the last that was taken in */
	uint32_t hash;
	char name[];
};

struct gb__hub_message {
	struct gb__topic *topic;
	struct gb_buffer *buffer;
	uint64_t but;  /* the id of the subscription that does not get it, or 0 */
	uint64_t lost; /* before it */
};

struct gb__offer;

struct gb__hub {
	struct gb_worker *worker;
	struct gb__list link; /* the process's lock */
	pthread_mutex_t lock;
	struct gb__topic **table; /* by hash; the lock, as all below, but for `first` of a topic */
	size_t table_size, topics;
	struct gb__hub_message *messages, *taken; /* put in; being given out */
	size_t count, size, taken_size;
	size_t waiting, waiting_bytes; /* of both */
	bool announced;                /* a post is under way */
	bool lossy;                    /* some topic has lost messages */
	struct gb__post post;
	/* The worker's own. */
	struct gb_subscription *next;     /* that gets the message at hand after the present one */
	struct gb_subscription *current;  /* whose callback runs; NULL once it has ended */
	struct gb_subscription **by_slot; /* of connections for whose output messages wait */
	size_t slots;
	struct gb__offer *offers;
};

/** What is published. */
struct gb__publication {
	const char *name;
	struct gb_bytes bytes;
	struct gb_buffer *buffer; /* NULL: to be made when somebody wants it */
	uint64_t but;
};

void gb__hubs_init(struct gb__hubs *hubs);
/** Put it into every hub that has such a topic. Thread: any. Returns 0 or -ENOMEM. */
int gb__hubs_put(struct gb__hubs *hubs, struct gb__publication *publication);
/** So many were lost on the way here, of whichever topic. */
void gb__hubs_lose(struct gb__hubs *hubs, uint64_t lost);

/** It has a hub from here on. Thread: the worker's. Returns 0, -ENOMEM, or -ESHUTDOWN (it has left). */
int gb__hub_join(struct gb_worker *worker);
/** Behind the end of its services; subscriptions that are left have ended. One that never joined is fine. Its loop may have
 *  a post of it still: the memory goes after that. */
void gb__hub_leave(struct gb_worker *worker);

/** For subscription.c. The topic, made if it is not there, counts one more. Returns 0 or -ENOMEM. */
int gb__hub_enter(struct gb__hub *hub, const char *name, struct gb__topic **ret);
/** It counts one less. */
void gb__hub_exit(struct gb__hub *hub, struct gb__topic *topic);
/** What a subscription gets. */
void gb__subscription_give(struct gb_subscription *subscription, const struct gb__hub_message *message);
/** So many were lost, and nothing follows yet. */
void gb__subscription_lose(struct gb_subscription *subscription, uint64_t lost);
/** It ends, without its doing. */
void gb__subscription_abandon(struct gb_subscription *subscription);
/** A connection has room for output again. */
void gb__subscription_room(struct gb__hub *hub, struct gb_conn *conn);
/** Free what was offered. */
void gb__offers_finish(struct gb__hub *hub);

#endif
