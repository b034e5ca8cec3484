/*
 * A proactor whose thread waits in a loop of somebody else's. The ring's own descriptor does not do: with DEFER_TASKRUN
 * completions come into being inside io_uring_enter only, and whoever polls the ring is not told that there is work to do
 * for it. A registered event is signalled for that as well (io_uring_register(2), IORING_REGISTER_EVENTFD).
 */
#include "engine/proactor.h"

#include <errno.h>

static int polled_begin(struct gb__engine *engine)
{
	struct proactor *proactor = (struct proactor *)engine;
	int result;

	if (!proactor->ops->notify)
		return -ENOTSUP;
	if (proactor->notify_fd < 0) {
		result = engine->os->ops->event_create(engine->os);
		if (result < 0)
			return result;
		proactor->notify_fd = result;
		result = proactor->ops->notify(proactor->ring, proactor->notify_fd);
		if (result < 0)
			return result;
	}
	return proactor->notify_fd;
}

/* Before the wait: what completes from here on signals it anew. */
static void polled_heard(struct gb__engine *engine)
{
	engine->os->ops->event_clear(engine->os, ((struct proactor *)engine)->notify_fd);
}

static bool polled_due(const struct gb__engine *engine)
{
	const struct proactor *proactor = (const struct proactor *)engine;

	return proactor->line.first != 0 || proactor->ops->waiting(proactor->ring) > 0 ||
		proactor->ops->completes(proactor->ring, 0, 0);
}

const struct gb__engine_polled_ops gb__proactor_polled = { polled_begin, polled_heard, polled_due };
