/*
 * A pool of names: connecting looks them up each time (net/race.c), by what is known. Beside that somebody has to notice that
 * an address has gone: whoever takes or gives when the time of the last answers is over has them looked up, and when all have
 * answered, connections to others than these addresses are idle no more, those that are lent once they are given back. A
 * failure changes nothing.
 */
#include "net/upstream_pool.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/dial.h"

#include <errno.h>

#define AGAIN_NS 1000000000ull /* after a failure */

int gb__upstream_names_init(struct gb_upstream *upstream)
{
	bool named = false;

	for (size_t i = 0; i < upstream->count; i++)
		named |= upstream->targets[i].kind != GB__TARGET_ADDRESS;
	if (!named)
		return 0;
	upstream->lookups = gb__alloc_zero(upstream->count * sizeof(*upstream->lookups));
	return upstream->lookups ? 0 : -ENOMEM;
}

void gb__upstream_names_finish(struct gb_upstream *upstream)
{
	for (size_t i = 0; upstream->lookups && i < upstream->count; i++)
		gb__lookup_drop(&upstream->lookups[i]);
	gb__free(upstream->lookups);
	upstream->lookups = NULL;
}

/* Whether it is one that was found. */
static bool is_there(const struct gb_upstream *upstream, const struct gb__address *address)
{
	for (size_t i = 0; i < upstream->count; i++) {
		const struct gb__lookup *lookup = &upstream->lookups[i];

		for (size_t j = 0; j < lookup->count; j++)
			if (gb__address_equal(&lookup->found[j].address, address))
				return true;
	}
	return false;
}

static void look_at(struct gb_upstream *upstream, struct gb__pooled *pooled)
{
	struct gb_conn *conn = pooled->conn;
	struct gb__os *os = conn->net->loop->os;
	struct gb__address address = { .size = 0 };

	if (os->ops->address(os, conn->stream.endpoint.fd, true, &address) < 0)
		return; /* it has ended */
	pooled->leaves = !is_there(upstream, &address);
	if (!pooled->leaves || gb__list_empty(&pooled->link))
		return;
	gb__list_remove(&pooled->link);
	upstream->stats.idle--;
	gb_conn_close(conn);
}

/* All have answered. */
static void looked_up(struct gb_upstream *upstream)
{
	upstream->known_ns = UINT64_MAX;
	for (size_t i = 0; i < upstream->count; i++)
		upstream->known_ns = gb__min(upstream->known_ns, upstream->lookups[i].until_ns);
	if (upstream->lookup_failed)
		upstream->known_ns = gb__upstream_now_ns(upstream) + AGAIN_NS;
	for (struct gb__list *link = upstream->members.next;
		!upstream->lookup_failed && link != &upstream->members;) {
		struct gb__pooled *pooled = gb__container_of(link, struct gb__pooled, member);

		link = link->next;
		look_at(upstream, pooled);
	}
	for (size_t i = 0; i < upstream->count; i++)
		gb__lookup_drop(&upstream->lookups[i]);
}

static void on_lookup(struct gb__lookup *lookup, int code)
{
	struct gb_upstream *upstream = lookup->arg;

	upstream->lookup_failed |= code < 0;
	if (--upstream->lookups_left == 0)
		looked_up(upstream);
}

void gb__upstream_names_refresh(struct gb_upstream *upstream)
{
	if (upstream->lookups_left > 0 || upstream->known_ns > gb__upstream_now_ns(upstream))
		return;
	upstream->lookup_failed = false;
	for (size_t i = 0; i < upstream->count; i++) {
		struct gb__lookup *lookup = &upstream->lookups[i];
		int result = gb__net_lookup(upstream->net, lookup, &upstream->targets[i], on_lookup);

		lookup->arg = upstream;
		upstream->lookups_left += result == 1;
		upstream->lookup_failed |= result < 0;
	}
	if (upstream->lookups_left == 0)
		looked_up(upstream);
}
