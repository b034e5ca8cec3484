/* What all engines share: the table of kinds, slots, and the meaning of accept's errors. */
#include "engine/engine.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "engine/poller/poller.h"
#include "engine/ring/ring.h"
#include "os/process.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define SLOTS_FIRST 8u
#define SLOTS_NONE UINT32_MAX

static GB__PER_PROCESS _Atomic uint32_t engines_made;

const struct gb__engine_kind gb__engine_kinds[] = {
	{ .name = "io_uring", .ops = &gb__engine_proactor, .ring = &gb__ring_io_uring },
	{ .name = "epoll", .ops = &gb__engine_reactor, .poller = &gb__poller_epoll },
	{ .name = "poll", .ops = &gb__engine_reactor, .poller = &gb__poller_poll },
	{ .name = "select", .ops = &gb__engine_reactor, .poller = &gb__poller_select },
	{ .name = "busy", .ops = &gb__engine_reactor, .poller = &gb__poller_busy },
	{ .name = "blocking", .ops = &gb__engine_blocking },
	{ .name = NULL },
};

int gb__engine_create(
	const char *name, struct gb__engine_options options, struct gb__engine **ret, struct gb_error *error)
{
	for (const struct gb__engine_kind *kind = gb__engine_kinds; kind->name; kind++) {
		int result;

		if (strcmp(kind->name, name) != 0)
			continue;
		options.poller = kind->poller;
		options.ring = kind->ring;
		result = kind->ops->create(&options, ret, error);
		if (result == 0)
			(*ret)->name = kind->name;
		return result;
	}
	return gb_error_set(error, -ENOTSUP, "engine \"%s\" is not part of this build", name);
}

void gb__engine_init(struct gb__engine *engine, const struct gb__engine_ops *ops, struct gb__os *os)
{
	*engine = (struct gb__engine){ .ops = ops,
		.os = os,
		.simulated = os->simulated,
		.slots_free = SLOTS_NONE,
		.pid = gb__process_self() };
	engine->now_ms = gb__os_now_ms(os);
	/* Handles of an engine that was here before must not fit this one: no two begin alike. */
	engine->generation = atomic_fetch_add(&engines_made, 1) * 2654435761u;
	gb__pool_init(&engine->pool);
}

void gb__engine_finish(struct gb__engine *engine)
{
	if (engine->pid == gb__process_self()) {
		gb__assert(engine->attached == 0);
		gb__pool_finish(&engine->pool);
	}
	gb__table_free(engine->slots, engine->slots_size * sizeof(struct gb__endpoint *));
	engine->slots = NULL;
}

static int slots_grow(struct gb__engine *engine)
{
	uint32_t size = engine->slots_size ? engine->slots_size * 2 : SLOTS_FIRST;
	struct gb__endpoint **slots =
		gb__table_grow(engine->slots, engine->slots_size * sizeof(*slots), size * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	engine->slots = slots;
	engine->slots_size = size;
	return 0;
}

int gb__engine_slot_take(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	uint32_t slot;

	if (engine->slots_free != SLOTS_NONE) {
		slot = engine->slots_free;
		engine->slots_free = (uint32_t)((uintptr_t)engine->slots[slot] >> 1);
	} else {
		if (engine->slots_used == engine->slots_size && slots_grow(engine) < 0)
			return -ENOMEM;
		slot = engine->slots_used++;
	}
	engine->slots[slot] = endpoint;
	engine->attached++;
	if (++engine->generation == 0)
		engine->generation = 1;
	endpoint->slot = slot;
	endpoint->generation = engine->generation;
	return 0;
}

void gb__engine_slot_give(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	gb__assert(engine->slots[endpoint->slot] == endpoint);
	engine->slots[endpoint->slot] = (struct gb__endpoint *)((uintptr_t)engine->slots_free << 1 | 1u);
	engine->slots_free = endpoint->slot;
	engine->attached--;
	endpoint->generation = 0;
}

enum gb__accept_verdict gb__accept_verdict(int error)
{
	switch (-error) {
	case EAGAIN:
		return GB__ACCEPT_NONE;
	/* Of the connection, which is gone; or a firewall's EPERM. */
	case ECONNABORTED:
	case ECONNRESET:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case EINTR:
	case ENETDOWN:
	case ENETUNREACH:
	case ENONET:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case EPERM:
	case EPROTO:
	case ETIMEDOUT:
		return GB__ACCEPT_RETRY;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EFAULT:
		return GB__ACCEPT_BROKEN;
	default:
		/* EMFILE, ENFILE, ENOBUFS, ENOMEM; and whatever is unknown may come again at once, for ever. */
		return GB__ACCEPT_EXHAUSTED;
	}
}
