#include "net/terms.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "net/parts.h"
#include "net/route.h"
#include "net/sequential.h"
#include "net/task.h"

#include <errno.h>
#include <inttypes.h>

#define WEEK_MS (7ull * 24 * 3600 * 1000) /* stamps of connections have 32 bits of milliseconds */
#define AT(field) offsetof(struct gb__limits, field)

static const struct {
	size_t offset;
	uint64_t min, max;
} rows[GB_LIMIT_COUNT] = {
	[GB_LIMIT_IDLE_TIMEOUT] = { AT(idle_timeout_ms), 0, WEEK_MS },
	[GB_LIMIT_READ_TIMEOUT] = { AT(read_timeout_ms), 0, WEEK_MS },
	[GB_LIMIT_WRITE_TIMEOUT] = { AT(write_timeout_ms), 0, WEEK_MS },
	[GB_LIMIT_LINGER_TIMEOUT] = { AT(linger_timeout_ms), 0, WEEK_MS },
	[GB_LIMIT_LINGER_MAX] = { AT(linger_max_ms), 0, WEEK_MS },
	[GB_LIMIT_CONNECT_TIMEOUT] = { AT(connect_timeout_ms), 0, WEEK_MS },
	[GB_LIMIT_MESSAGE] = { AT(message_bytes_max), 1, 1u << 30 },
	[GB_LIMIT_OUTPUT_HIGH] = { AT(output_high), 1, 1u << 30 },
	[GB_LIMIT_OUTPUT_LOW] = { AT(output_low), 0, 1u << 30 },
	[GB_LIMIT_OUTPUT_MAX] = { AT(output_bytes_max), 1, 1ull << 31 },
	[GB_LIMIT_REPLIES] = { AT(replies_max), 1, 1u << 20 },
	[GB_LIMIT_BODY] = { AT(body_bytes_max), 0, INT64_MAX },
};

int gb__limits_set(struct gb__limits *limits, enum gb_limit_kind kind, uint64_t value)
{
	struct gb__limits changed = *limits;

	if (kind <= GB_LIMIT_NONE || kind >= GB_LIMIT_COUNT || value < rows[kind].min ||
		value > rows[kind].max)
		return -EINVAL;
	*(uint64_t *)((char *)&changed + rows[kind].offset) = value;
	if ((kind == GB_LIMIT_OUTPUT_LOW || kind == GB_LIMIT_OUTPUT_HIGH) &&
		changed.output_low > changed.output_high)
		return -EINVAL;
	*limits = changed;
	return 0;
}

int gb__limits_check(
	const struct gb__limits *limits, const struct gb_service *service, struct gb_error *error)
{
	static const char *const options[GB_LIMIT_COUNT] = {
#define OPTION(name, option, text) [name] = option,
		GB_LIMITS(OPTION)
#undef OPTION
	};
	struct gb__limits changed = *limits;

	for (const struct gb_limit *limit = service->limits; limit && limit->kind != GB_LIMIT_NONE; limit++) {
		if (gb__limits_set(&changed, limit->kind, limit->value) == 0)
			continue;
		if (limit->kind < GB_LIMIT_NONE || limit->kind >= GB_LIMIT_COUNT)
			return gb_error_set(error, -EINVAL, "%s: limits has a kind %d, which is none",
				service->name, (int)limit->kind);
		return gb_error_set(error, -EINVAL,
			"%s: limits: %s cannot be %" PRIu64 ": out of range, or output-low above output-high",
			service->name, options[limit->kind], limit->value);
	}
	return 0;
}

/* Bytes of the codec's state, aligned: the service's lie behind it. */
static size_t codec_state_size(const struct gb_service *service)
{
	return service->codec ? (service->codec->state_size + 15) / 16 * 16 : 0;
}

static struct gb__terms *terms_create(
	struct gb__net *net, const struct gb_service *service, void *user, bool sequential, bool packets)
{
	struct gb__terms *terms = gb__slabs_take(&net->slabs, sizeof(*terms));

	if (!terms)
		return NULL;
	terms->on_message = service->on_message;
	terms->packets = packets;
	terms->codec = packets ? &gb_codec_packet : service->codec;
	terms->codec_options = service->codec_options;
	terms->service = terms->calls = service;
	terms->state_offset = (uint16_t)codec_state_size(service);
	if (service->routes && gb__terms_route(net, terms) < 0) {
		gb__slabs_give(&net->slabs, terms, sizeof(*terms));
		return NULL;
	}
	if (sequential)
		net->sequential->adapt(terms);
	else if (gb__service_takes_parts(service))
		gb__parts_adapt(terms);
	terms->endpoint_ops = packets ? &gb__conn_packet_ops
		: terms->parts        ? &gb__conn_parts_ops
		: terms->codec        ? &gb__conn_coded_ops
				      : &gb__conn_plain_ops;
	terms->user = user;
	terms->replies.loose = service->traits & GB_TRAIT_UNORDERED;
	terms->limits = net->limits;
	if (service->limits) {
		terms->own = *net->limits;
		terms->limits = &terms->own;
		/* gb_server_listen and gb_connect have looked at each. */
		for (const struct gb_limit *limit = service->limits; limit->kind != GB_LIMIT_NONE; limit++)
			gb__assert(gb__limits_set(&terms->own, limit->kind, limit->value) == 0);
	}
	return terms;
}

static struct gb__terms *find_packets(
	const struct gb__net *net, const struct gb_service *service, const void *user)
{
	struct gb__terms *terms = net->packet_terms;

	while (terms && (terms->service != service || terms->user != user))
		terms = terms->next;
	return terms;
}

struct gb__terms *gb__terms_take(
	struct gb__net *net, const struct gb_service *service, void *user, enum gb__for who)
{
	struct gb__terms *terms = who == GB__FOR_CLIENT ? net->terms : NULL;

	while (terms && (terms->service != service || terms->user != user))
		terms = terms->next;
	if (!terms && gb__unlikely(who == GB__FOR_PACKETS))
		terms = find_packets(net, service, user);
	if (!terms) {
		struct gb__terms **list = who & GB__FOR_PACKETS ? &net->packet_terms : &net->terms;

		terms = terms_create(
			net, service, user, service->serve || (who & GB__FOR_STREAM), who & GB__FOR_PACKETS);
		if (!terms)
			return NULL;
		if (!gb__for_one(who)) {
			terms->kept = true;
			terms->next = *list;
			*list = terms;
		} else {
			/* What we send on a connection of our own making is no answer to what it brings. */
			terms->one = terms->reads_on = true;
		}
		if (net->apart)
			terms->apart = (int16_t)(!gb__for_one(who)
					? net->apart_number(net->submit_arg, service, user)
					: -1);
		terms->here |= terms->apart < 0;
	}
	terms->holders++;
	return terms;
}

void gb__terms_give(struct gb__net *net, struct gb__terms *terms)
{
	gb__assert(terms->holders > 0 && !terms->peer);
	if (--terms->holders == 0 && !terms->kept) {
		gb__free(terms->proxied);
		gb__slabs_give(&net->slabs, terms, sizeof(*terms));
	}
}

void gb__terms_finish(struct gb__net *net)
{
	for (struct gb__terms *terms = net->terms; terms; terms = terms->next)
		gb__assert(terms->holders == 0);
	for (struct gb__terms *terms = net->packet_terms; terms; terms = terms->next)
		gb__assert(terms->holders == 0);
	net->terms = net->packet_terms = NULL; /* the memory goes with the slabs */
}

struct gb__terms *gb__terms_own(struct gb_conn *conn)
{
	struct gb__terms *terms = conn->terms, *own;

	if (terms->one && terms->limits != &terms->own) {
		/* One of our own making, which had nobody's limits but the net's. */
		terms->own = *terms->limits;
		terms->limits = &terms->own;
	}
	if (terms->one)
		return terms;
	own = gb__slabs_take(&conn->net->slabs, sizeof(*own));
	if (!own)
		return NULL;
	*own = *terms;
	own->own = *terms->limits;
	own->limits = &own->own;
	own->holders = 1;
	own->kept = false;
	own->one = true;
	gb__terms_give(conn->net, terms);
	conn->terms = own;
	return own;
}

/* The wheel must look no later than any deadline of the new limits. */
static void deadlines_sooner(struct gb_conn *conn, enum gb_limit_kind kind, uint64_t value)
{
	if (kind <= GB_LIMIT_CONNECT_TIMEOUT)
		gb__conn_deadline_within(conn, value);
}

int gb_conn_set(struct gb_conn *conn, enum gb_limit_kind kind, uint64_t value)
{
	struct gb__limits limits;
	struct gb__terms *terms;
	int result;

	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	limits = *conn->terms->limits;
	result = gb__limits_set(&limits, kind, value);
	if (result < 0)
		return result;
	terms = gb__terms_own(conn);
	if (!terms)
		return -ENOMEM;
	/* This one field: a handler in the pool may look at them (gb__limit). */
	__atomic_store_n((uint64_t *)((char *)&terms->own + rows[kind].offset), value, __ATOMIC_RELAXED);
	deadlines_sooner(conn, kind, value);
	return 0;
}

int gb_conn_read_while_high(struct gb_conn *conn, bool reads_on)
{
	struct gb__terms *terms;

	if (gb__conn_is_task(conn))
		return -EWOULDBLOCK;
	gb__conn_mine(conn);
	if (conn->terms->reads_on == reads_on)
		return 0;
	terms = gb__terms_own(conn);
	if (!terms)
		return -ENOMEM;
	terms->reads_on = reads_on;
	if (reads_on && (conn->flags & GB__CONN_HIGH)) {
		conn->flags = (uint16_t)((conn->flags & ~GB__CONN_HIGH) | GB__CONN_REFUSED_TRY);
		gb__conn_queue(conn);
	}
	return 0;
}
