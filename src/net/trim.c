#include "net/trim.h"

#include "base/alloc.h"
#include "net/sequential.h"
#include "tls/tls.h"

#define CONNECTION_BYTES 1024u /* what one leaves at least, with what handlers and codecs keep for it */
#define LEFT_MIN (16u << 10)   /* less is not worth a walk through the allocator while others are there */
#define EVENTS_MIN 64u         /* of the engine: fewer are rest */
#define MOVING 8u              /* it is over when less than this part of all has moved since the last look */

void gb__trim_init(struct gb__net *net)
{
	gb__wheel_node_init(&net->trim.node);
}

void gb__trim_begin(struct gb__net *net)
{
	if (net->limits->trim_after_ms)
		gb__wheel_add(&net->loop->wheel, &net->trim.node,
			gb__loop_now_ms(net->loop) + net->limits->trim_after_ms);
}

/* Returns whether there is more to come. */
static bool give_back(struct gb__net *net)
{
	struct gb__engine *engine = net->engine;
	bool more = engine->ops->trim && !engine->ops->trim(engine);

	if (net->sequential && !net->sequential->trim(net))
		more = true;
	gb__fronts_trim(net);
	gb__slabs_trim(&net->slabs);
	gb__pool_trim(&engine->pool);
	gb__alloc_trim();
	return more;
}

static uint64_t left_so_far(const struct gb__net *net)
{
	return net->trim.gone * CONNECTION_BYTES + net->trim.stacks + net->engine->pool.freed +
		(net->fronts.pool ? gb__tls_pool_freed(net->fronts.pool) : 0);
}

/* Hardly anything has happened since the last look: what is cached is not in use again and again. */
static bool rests(const struct gb__net *net, uint64_t moved)
{
	return moved == 0 && net->engine->stats.events - net->trim.events < EVENTS_MIN;
}

static bool is_over(const struct gb__net *net, uint64_t left, uint64_t moved)
{
	size_t least = net->connections > 0 ? LEFT_MIN : 1;

	if (rests(net, moved))
		left += net->engine->pool.cached;
	return moved <= left / MOVING && (left >= least || net->trim.more);
}

void gb__trim_look(struct gb__net *net)
{
	struct gb__trim *trim = &net->trim;
	uint64_t now = left_so_far(net);
	uint64_t left = now - trim->trimmed, moved = now - trim->seen;

	if (is_over(net, left, moved)) {
		trim->more = give_back(net);
		trim->trimmed = now;
		left = 0;
	}
	trim->seen = now;
	trim->events = net->engine->stats.events;
	if (net->connections > 0 || left > 0 || trim->more)
		gb__trim_begin(net);
}
