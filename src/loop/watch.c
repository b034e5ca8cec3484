/*
 * Happy path: attached to the engine, watched for what is wanted, on_ready in each turn while it is ready; removed by its
 * owner, and freed when the engine has let go of it, which for a ring is when its poll has come back.
 *
 * A poller knows a descriptor by its number and has each once. Where a number is in its set already the watch has a copy
 * of the descriptor. A ring needs none.
 */
#include "loop/watch.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "os/descriptor.h"

#include <errno.h>

static_assert((unsigned)GB_READY_IN == GB__READY_IN && (unsigned)GB_READY_OUT == GB__READY_OUT &&
		(unsigned)GB_READY_ERROR == GB__READY_ERROR && (unsigned)GB_READY_HANGUP == GB__READY_HANGUP,
	"what an engine says is what a handler is told");

#define ENDS (GB__READY_ERROR | GB__READY_HANGUP)
#define KNOWN (GB__READY_IN | GB__READY_OUT | ENDS)

/* Of the simulated kernel's descriptors nobody knows here. */
static void check_open(const struct gb_watch *watch, const char *function)
{
	if (!watch->watches->loop->os->simulated)
		gb__rule_in(function, 64, gb__descriptor_open(watch->fd),
			"a descriptor was closed before its watch was removed");
}

static void watch_free(struct gb_watch *watch)
{
	if (watch->endpoint.fd != watch->fd)
		gb__engine_close(watch->watches->loop->engine, watch->endpoint.fd);
	gb__free(watch);
}

static void endpoint_ready(struct gb__endpoint *endpoint, unsigned ready)
{
	struct gb_watch *watch = gb__container_of(endpoint, struct gb_watch, endpoint);

	if (ready & ~(GB__READY_IN | GB__READY_OUT))
		check_open(watch, "gb_watch_add"); /* poll says POLLNVAL, a ring EBADF */
	watch->on_ready(watch, ready & KNOWN, watch->user);
}

/* The engine has it no more. */
static void detached(struct gb_watch *watch)
{
	watch->attached = false;
	watch->watches->attached--;
	if (watch->removed)
		watch_free(watch);
}

static void on_detached(struct gb__endpoint *endpoint)
{
	detached(gb__container_of(endpoint, struct gb_watch, endpoint));
}

static const struct gb__endpoint_ops watch_ops = { .on_ready = endpoint_ready, .on_detached = on_detached };

static void detach(struct gb_watch *watch)
{
	struct gb__engine *engine = watch->watches->loop->engine;

	watch->leaving = true;
	if (engine->ops->detach(engine, &watch->endpoint) == 0)
		detached(watch);
}

static int watch_for(struct gb_watch *watch, unsigned ready)
{
	struct gb__engine *engine = watch->watches->loop->engine;
	int result = engine->ops->watch(engine, &watch->endpoint, ready);

	if (result != -EEXIST || watch->endpoint.fd != watch->fd)
		return result;
	result = watch->watches->loop->os->ops->copy(watch->watches->loop->os, watch->fd);
	if (result < 0)
		return result;
	watch->endpoint.fd = result;
	return engine->ops->watch(engine, &watch->endpoint, ready);
}

int gb__watch_change(struct gb_watch *watch, unsigned ready)
{
	struct gb__engine *engine = watch->watches->loop->engine;
	int result;

	if (watch->leaving)
		return -ESHUTDOWN;
	result = watch_for(watch, ready);
	if (result < 0) {
		check_open(watch, "gb_watch_change");
		(void)engine->ops->watch(engine, &watch->endpoint, 0);
	}
	return result;
}

int gb__watch_add(struct gb__watches *watches, int fd, unsigned ready, gb_watch_ready *on_ready, void *user,
	struct gb_watch **ret)
{
	struct gb__engine *engine = watches->loop->engine;
	struct gb_watch *watch = gb__alloc(sizeof(*watch));
	int result;

	if (!watch)
		return -ENOMEM;
	*watch = (struct gb_watch){ .endpoint = { .ops = &watch_ops, .fd = fd, .kind = GB__ENDPOINT_WATCH },
		.watches = watches,
		.fd = fd,
		.on_ready = on_ready,
		.user = user };
	result = engine->ops->attach(engine, &watch->endpoint);
	if (result < 0) {
		gb__free(watch);
		return result;
	}
	watch->attached = true;
	watches->attached++;
	gb__list_append(&watches->list, &watch->node);
	result = watch_for(watch, ready);
	if (result < 0) {
		gb__list_remove(&watch->node);
		watch->removed = true;
		detach(watch);
		return result;
	}
	*ret = watch;
	return 0;
}

void gb__watch_remove(struct gb_watch *watch)
{
	struct gb__engine *engine = watch->watches->loop->engine;

	gb__list_remove(&watch->node);
	watch->removed = true;
	if (!watch->attached) {
		watch_free(watch);
	} else if (!watch->leaving) {
		check_open(watch, "gb_watch_remove");
		/* The kernel does not know it by its number any more: that is another's now. */
		gb__rule_in("gb_watch_remove", 64, engine->ops->watch(engine, &watch->endpoint, 0) != -ENOENT,
			"a descriptor was closed before its watch was removed");
		detach(watch);
	}
}

void gb__watches_init(struct gb__watches *watches, struct gb__loop *loop)
{
	watches->loop = loop;
	watches->attached = 0;
	gb__list_init(&watches->list);
}

/* Whoever is called may remove others, but add none: their loop takes none any more. */
void gb__watches_end(struct gb__watches *watches)
{
	struct gb__list ended;

	gb__list_init(&ended);
	while (!gb__list_empty(&watches->list)) {
		struct gb_watch *watch = gb__container_of(watches->list.next, struct gb_watch, node);

		gb__list_remove(&watch->node);
		gb__list_append(&ended, &watch->node);
		if (watch->on_ended)
			watch->on_ended(watch, watch->user);
		else
			detach(watch);
	}
	while (!gb__list_empty(&ended)) {
		struct gb__list *node = ended.next;

		gb__list_remove(node);
		gb__list_append(&watches->list, node);
	}
}

void gb__watches_finish(struct gb__watches *watches)
{
	gb__assert(watches->attached == 0);
	while (!gb__list_empty(&watches->list)) {
		struct gb_watch *watch = gb__container_of(watches->list.next, struct gb_watch, node);

		gb__list_remove(&watch->node);
		watch_free(watch);
	}
}

/* Not by the engine: it is the parent's, and so is its ring. */
void gb__watches_abandon(struct gb__watches *watches)
{
	struct gb__os *os = watches->loop->os;

	for (struct gb__list *node = watches->list.next; node != &watches->list; node = node->next) {
		const struct gb_watch *watch = gb__container_of(node, struct gb_watch, node);

		if (watch->endpoint.fd != watch->fd)
			os->ops->close(os, watch->endpoint.fd);
	}
}

void gb__watches_blame(const struct gb__watches *watches)
{
	for (const struct gb__list *node = watches->list.next; node != &watches->list; node = node->next)
		check_open(gb__container_of(node, struct gb_watch, node), "gb_watch_add");
}
