/*
 * A message to its route. Nothing is asked that the table could have answered at start: some 15 to 25 instructions.
 */
#include "base/alloc.h"
#include "base/macros.h"
#include "net/route.h"
#include "net/task.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define BLANK 0x20u
#define HEAD 8u

static inline uint32_t find_key(const struct gb__router *router, uint64_t key)
{
	size_t at = key * router->multiplier >> router->shift;

	/* The first is it, or none, where no two keys meet. */
	while (router->slots[at].key != key || gb__unlikely(!router->slots[at].found)) {
		if (!router->slots[at].found)
			return 0;
		at = (at + 1) & router->slots_mask;
	}
	return router->slots[at].found - 1;
}

static inline uint32_t find_byte(const struct gb__router *router, struct gb_bytes message)
{
	if (gb__unlikely(message.size <= router->offset))
		return 0;
	return router->bytes[message.data[router->offset]];
}

static uint64_t number_of(const unsigned char *bytes, size_t width, bool little_endian)
{
	uint64_t number = 0;

	for (size_t i = 0; i < width; i++)
		number = number << 8 | bytes[little_endian ? width - 1 - i : i];
	return number;
}

static inline uint32_t find_integer(const struct gb__router *router, struct gb_bytes message)
{
	const unsigned char *bytes = message.data + router->offset;
	uint16_t two;
	uint32_t four;

	if (gb__unlikely(message.size < router->reach))
		return 0;
	if (gb__likely(router->width == 4)) {
		memcpy(&four, bytes, sizeof(four));
		return find_key(router, router->little_endian ? le32toh(four) : be32toh(four));
	}
	if (gb__likely(router->width == 2)) {
		memcpy(&two, bytes, sizeof(two));
		return find_key(router, router->little_endian ? le16toh(two) : be16toh(two));
	}
	return find_key(router, number_of(bytes, router->width, router->little_endian));
}

/* Its first 8 bytes as a number, the first of them lowest; zeros behind its end. */
static inline uint64_t head_of(const struct gb__router *router, struct gb_bytes message)
{
	const unsigned char *bytes = message.data;
	uint64_t head = 0;

	if (gb__likely(message.size >= HEAD)) {
		memcpy(&head, bytes, HEAD);
		head = le64toh(head);
	} else {
		head = number_of(bytes, message.size, true);
	}
	return gb__unlikely(router->ignore_case) ? gb__route_fold(head) : head;
}

static bool same(const struct gb__router *router, const unsigned char *a, const unsigned char *b, size_t size)
{
	if (!router->ignore_case)
		return memcmp(a, b, size) == 0;
	for (; size > 0; size--, a++, b++)
		if ((unsigned char)gb__route_fold(*a) != (unsigned char)gb__route_fold(*b))
			return false;
	return true;
}

/* `bytes` has the text's head. */
static bool has_rest(
	const struct gb__router *router, struct gb_bytes message, const struct gb__route_text *text)
{
	return message.size >= text->size &&
		(text->size <= HEAD ||
			same(router, message.data + HEAD, text->bytes + HEAD, text->size - HEAD));
}

/* A word of 8 bytes or more. */
static __attribute__((noinline)) uint32_t find_long(
	const struct gb__router *router, struct gb_bytes message, uint64_t head)
{
	uint32_t found = find_key(router, head);

	if (found == 0)
		return 0;
	for (const struct gb__route_text *text = &router->texts[found];;
		text = &router->texts[text->next - 1]) {
		if (has_rest(router, message, text) &&
			(message.size == text->size || message.data[text->size] <= BLANK))
			return text->entry;
		if (text->next == 0)
			return 0;
	}
}

static inline uint32_t find_word(const struct gb__router *router, struct gb_bytes message)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t head = head_of(router, message);
	/* The top bit of the first byte that ends a word; those of later ones may be wrong. */
	uint64_t ends = (head - (BLANK + 1) * ones) & ~head & 0x80 * ones;

	if (gb__unlikely(ends == 0))
		return find_long(router, message, head);
	return find_key(router, head & (((ends & -ends) >> 7) - 1));
}

static inline uint32_t find_prefix(const struct gb__router *router, struct gb_bytes message)
{
	uint64_t head;

	if (gb__unlikely(message.size == 0))
		return 0;
	head = head_of(router, message);
	for (unsigned i = router->bytes[head & 0xff]; i < router->bytes[(head & 0xff) + 1]; i++) {
		const struct gb__route_text *text = &router->texts[i];

		if (((head ^ text->head) & text->mask) == 0 && has_rest(router, message, text))
			return text->entry;
	}
	return 0;
}

/* Count it, and call its handler here or in the pool. */
static inline __attribute__((always_inline)) void dispatch(
	struct gb_conn *conn, struct gb_bytes message, uint32_t found)
{
	const struct gb__terms *terms = conn->terms;
	const struct gb__route_entry *entry = &terms->router->entries[found];

	gb__count(terms->route_counts[found], 1);
	if (gb__unlikely(entry->pooled) && conn->net->submit) {
		gb__task_submit_routed(conn, message, entry);
		return;
	}
	conn->net->message.route = entry->row;
	entry->on_message(conn, message);
}

static void message_by_byte(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, find_byte(conn->terms->router, message));
}

static void message_by_integer(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, find_integer(conn->terms->router, message));
}

static void message_by_key(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, find_key(conn->terms->router, conn->net->message.frame.key));
}

static void message_by_word(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, find_word(conn->terms->router, message));
}

static void message_by_prefix(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, find_prefix(conn->terms->router, message));
}

static void message_by_function(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb__router *router = conn->terms->router;

	dispatch(conn, message,
		find_key(router, router->routes->choose(conn, &conn->net->message.frame, message)));
}

static void (*const by[])(struct gb_conn *conn, struct gb_bytes message) = {
	[GB_ROUTE_BY_BYTE] = message_by_byte,
	[GB_ROUTE_BY_INTEGER] = message_by_integer,
	[GB_ROUTE_BY_KEY] = message_by_key,
	[GB_ROUTE_BY_WORD] = message_by_word,
	[GB_ROUTE_BY_PREFIX] = message_by_prefix,
	[GB_ROUTE_BY_FUNCTION] = message_by_function,
};

const struct gb__route_entry *gb__route_find(const struct gb__terms *terms, struct gb_conn *conn,
	const struct gb_frame *frame, struct gb_bytes message)
{
	const struct gb__router *router = terms->router;
	uint32_t found;

	switch (router->routes->by) {
	case GB_ROUTE_BY_BYTE:
		found = find_byte(router, message);
		break;
	case GB_ROUTE_BY_INTEGER:
		found = find_integer(router, message);
		break;
	case GB_ROUTE_BY_WORD:
		found = find_word(router, message);
		break;
	case GB_ROUTE_BY_PREFIX:
		found = find_prefix(router, message);
		break;
	default:
		found = find_key(router,
			router->routes->choose ? router->routes->choose(conn, frame, message) : frame->key);
	}
	gb__count(terms->route_counts[found], 1);
	return &router->entries[found];
}

void gb__route_none(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__net *net = conn->net;

	(void)message;
	net->problem = net->message.frame.problem = "no route takes this message";
	gb__conn_close_for_error(conn, GB_CLOSE_BAD_FRAME);
	net->problem = net->message.frame.problem = NULL;
}

const struct gb_route *gb_conn_route(const struct gb_conn *conn)
{
	if (gb__conn_is_task(conn))
		return ((const struct gb__task *)conn)->route;
	return conn->net->message.route;
}

/* Of a service that this net alone knows: of gb_connect. */
static const struct gb__router *router_own(struct gb__net *net, const struct gb_service *service)
{
	struct gb__router *router = net->routers_own;

	while (router && router->service != service)
		router = router->next;
	if (router)
		return router;
	router = gb__router_create(service);
	if (!router)
		return NULL;
	router->counts = gb__alloc_zero(router->entries_count * sizeof(*router->counts));
	if (!router->counts) {
		gb__router_destroy(router);
		return NULL;
	}
	router->next = net->routers_own;
	net->routers_own = router;
	return router;
}

int gb__terms_route(struct gb__net *net, struct gb__terms *terms)
{
	const struct gb__router *router = net->routers;

	while (router && router->service != terms->service)
		router = router->next;
	if (!router)
		router = router_own(net, terms->service);
	if (!router)
		return -ENOMEM;
	terms->router = router;
	terms->route_counts = router->counts ? router->counts : net->route_counts + router->first_count;
	terms->on_message = by[router->routes->by];
	terms->here = true; /* or in the pool: the route says */
	return 0;
}

void gb__net_routes_finish(struct gb__net *net)
{
	while (net->routers_own) {
		struct gb__router *next = net->routers_own->next;

		gb__router_destroy(net->routers_own);
		net->routers_own = next;
	}
}
