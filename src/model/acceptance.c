#include "model/acceptance.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "os/limit.h"
#include "os/socket.h"

#include <errno.h>
#include <inttypes.h>

#define REST_MS 100u
#define INTAKE_MS 1000u /* while draining: how long it waits for a backlog that nobody takes from */
#define ROOM_NS 2000000 /* until a channel is looked at again */
#define INTAKE_NS \
	10000000 /* while draining: how long the backlog may have been emptied by others unnoticed */

static void listener_accepted(struct gb__listener *listener, int fd)
{
	struct gb__acceptance *acceptance = listener->arg;

	acceptance->intake -= acceptance->intake > 0;
	acceptance->on_accepted(acceptance->arg, fd, listener->index);
}

/* A socket that stays readable would be tried again and again: who waits in the backlog is served later. */
static void rest(struct gb__acceptance *acceptance, int error)
{
	uint64_t now_ms = gb__loop_now_ms(acceptance->loop), held;
	char hint[128];

	if (gb__log_allowed(&acceptance->failures, now_ms, &held))
		gb__log(GB__LOG_WARNING,
			"accepting rests for %u ms: %s%s (%" PRIu64 " more since the last report)", REST_MS,
			gb_strerror(error), gb__limit_hint(error, hint, sizeof(hint)), held);
	acceptance->again_ms = now_ms + REST_MS;
	gb__acceptance_bar(acceptance, GB__BAR_EXHAUSTED);
}

static void listener_failed(struct gb__listener *listener, int error)
{
	rest(listener->arg, error);
}

int gb__acceptance_init(struct gb__acceptance *acceptance, struct gb__loop *loop, size_t size,
	void (*on_accepted)(void *arg, int fd, size_t index), void *arg)
{
	*acceptance = (struct gb__acceptance){
		.loop = loop,
		.size = size,
		.bars = GB__BAR_STARTING | (size ? 0 : GB__BAR_ENDED),
		.on_accepted = on_accepted,
		.arg = arg,
	};
	acceptance->listeners = gb__alloc_zero(gb__max(size, 1) * sizeof(*acceptance->listeners));
	return acceptance->listeners ? 0 : -ENOMEM;
}

int gb__acceptance_add(struct gb__acceptance *acceptance, int fd, size_t index)
{
	struct gb__listener *listener = &acceptance->listeners[acceptance->count];
	int result;

	gb__assert(acceptance->count < acceptance->size && (acceptance->bars & GB__BAR_STARTING));
	*listener = (struct gb__listener){ .on_accepted = listener_accepted,
		.on_failed = listener_failed,
		.arg = acceptance,
		.index = index };
	result = gb__listener_init(listener, acceptance->loop, fd);
	acceptance->count += result == 0;
	return result;
}

void gb__acceptance_destroy(struct gb__acceptance *acceptance)
{
	gb__assert(gb__acceptance_gone(acceptance));
	gb__free(acceptance->listeners);
	acceptance->listeners = NULL;
	acceptance->count = 0;
}

static void stop(struct gb__acceptance *acceptance)
{
	for (size_t i = 0; i < acceptance->count; i++)
		gb__listener_stop(&acceptance->listeners[i]);
}

static int start(struct gb__acceptance *acceptance)
{
	int result = 0;

	for (size_t i = 0; i < acceptance->count && result == 0; i++)
		result = gb__listener_start(&acceptance->listeners[i]);
	return result;
}

void gb__acceptance_bar(struct gb__acceptance *acceptance, enum gb__bar reason)
{
	bool open = !acceptance->bars;

	acceptance->bars |= reason;
	if ((reason & GB__BARS_TIMED) && acceptance->look)
		*acceptance->look = true;
	if (open)
		stop(acceptance);
}

void gb__acceptance_clear(struct gb__acceptance *acceptance, enum gb__bar reason)
{
	unsigned before = acceptance->bars;

	acceptance->bars &= ~(unsigned)reason;
	if (before && !acceptance->bars) {
		int result = start(acceptance);

		if (result < 0)
			rest(acceptance, result);
	}
}

int gb__acceptance_begin(struct gb__acceptance *acceptance)
{
	int result;

	if (acceptance->bars != GB__BAR_STARTING) {
		acceptance->bars &= ~(unsigned)GB__BAR_STARTING;
		return 0;
	}
	result = start(acceptance);
	if (result < 0)
		stop(acceptance);
	else
		acceptance->bars = 0;
	return result;
}

static int64_t earlier(int64_t left_ns, int64_t other_ns)
{
	return left_ns < 0 ? other_ns : gb__min(left_ns, other_ns);
}

int64_t gb__acceptance_turn(struct gb__acceptance *acceptance)
{
	int64_t left_ns = -1;

	if (acceptance->bars & GB__BAR_EXHAUSTED) {
		uint64_t now_ms = gb__loop_now_ms(acceptance->loop);

		if (now_ms >= acceptance->again_ms)
			gb__acceptance_clear(acceptance, GB__BAR_EXHAUSTED);
		if (acceptance->bars & GB__BAR_EXHAUSTED)
			left_ns = (int64_t)(acceptance->again_ms - now_ms) * 1000000;
	}
	if (acceptance->intake > 0)
		left_ns = earlier(left_ns, INTAKE_NS);
	if (acceptance->bars & GB__BAR_CHANNEL)
		left_ns = earlier(left_ns, ROOM_NS);
	return left_ns;
}

/* How many clients wait. */
static unsigned waiting(const struct gb__acceptance *acceptance, unsigned backlog)
{
	unsigned sum = 0;

	for (size_t i = 0; i < acceptance->count; i++)
		if (!acceptance->listeners[i].closed)
			sum += gb__socket_waiting(acceptance->listeners[i].endpoint.fd, backlog);
	return sum;
}

void gb__acceptance_drain(struct gb__acceptance *acceptance, unsigned backlog)
{
	acceptance->intake = acceptance->waited = waiting(acceptance, backlog);
	if (acceptance->intake > 0)
		acceptance->taken_ms = gb__loop_now_ms(acceptance->loop);
}

/* Whoever could take them does not, for want of descriptors: who ended has given his back by then. */
static bool nobody_takes(struct gb__acceptance *acceptance, unsigned now)
{
	uint64_t now_ms = gb__loop_now_ms(acceptance->loop);

	if (now < acceptance->waited ||
		!gb__acceptance_open_but(acceptance, GB__BAR_EXHAUSTED | GB__BAR_LOCK))
		acceptance->taken_ms = now_ms;
	acceptance->waited = now;
	return now_ms - acceptance->taken_ms >= INTAKE_MS;
}

bool gb__acceptance_takes_in(struct gb__acceptance *acceptance, unsigned backlog)
{
	unsigned now;

	if (acceptance->intake == 0)
		return false;
	now = waiting(acceptance, backlog);
	if (now == 0 || nobody_takes(acceptance, now))
		acceptance->intake = 0;
	return acceptance->intake > 0;
}

void gb__acceptance_finish(struct gb__acceptance *acceptance)
{
	acceptance->intake = 0;
	acceptance->bars |= GB__BAR_ENDED;
	for (size_t i = 0; i < acceptance->count; i++)
		gb__listener_finish(&acceptance->listeners[i]);
}

bool gb__acceptance_gone(const struct gb__acceptance *acceptance)
{
	for (size_t i = 0; i < acceptance->count; i++)
		if (!acceptance->listeners[i].gone)
			return false;
	return true;
}
