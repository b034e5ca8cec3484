/*
 * A message to its route. Nothing is asked that the table could have answered at start. What is out of the ordinary (a
 * message shorter than 8 bytes, a long word, keys that meet) is looked up by message_any, to which all comes the same: so
 * the short ways need no registers but what a call leaves them.
 */
#include "base/alloc.h"
#include "base/macros.h"
#include "net/route.h"
#include "net/task.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static const struct gb__route_entry *find_key(const struct gb__router *router, uint64_t key)
{
	return router->found[gb__route_slot(router, key)];
}

static inline const struct gb__route_entry *find_byte(
	const struct gb__router *router, struct gb_bytes message)
{
	if (gb__unlikely(message.size <= router->offset))
		return router->entries;
	return router->place.found[message.data[router->offset]];
}

static uint64_t number_of(const unsigned char *bytes, size_t width, bool little_endian)
{
	uint64_t number = 0;

	for (size_t i = 0; i < width; i++)
		number = number << 8 | bytes[little_endian ? width - 1 - i : i];
	return number;
}

static const struct gb__route_entry *find_integer(const struct gb__router *router, struct gb_bytes message)
{
	if (message.size < router->reach)
		return router->entries;
	return find_key(
		router, number_of(message.data + router->offset, router->width, router->little_endian));
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
		(text->size <= GB__ROUTE_HEAD ||
			same(router, message.data + GB__ROUTE_HEAD, text->bytes + GB__ROUTE_HEAD,
				text->size - GB__ROUTE_HEAD));
}

/* A word of 8 bytes or more. */
static const struct gb__route_entry *find_long(
	const struct gb__router *router, struct gb_bytes message, uint64_t head)
{
	const struct gb__route_text *text = &router->texts[find_key(router, head)->index];

	/* That of the default is empty. */
	for (; text && text->size > 0; text = text->next)
		if (has_rest(router, message, text) &&
			(message.size == text->size || message.data[text->size] <= GB__ROUTE_BLANK))
			return text->entry;
	return router->entries;
}

/* The top bit of the first byte that ends a word; those of later ones may be wrong. 0: none does. */
static inline uint64_t word_end(uint64_t head)
{
	const uint64_t ones = 0x0101010101010101u;

	return (head - (GB__ROUTE_BLANK + 1) * ones) & ~head & 0x80 * ones;
}

/* What is before it. */
static inline uint64_t word_before(uint64_t head, uint64_t end)
{
	return head & (end ^ (end - 1)) >> 8;
}

static const struct gb__route_entry *find_word(const struct gb__router *router, struct gb_bytes message)
{
	uint64_t head = gb__route_head(router, message.data, message.size), end = word_end(head);

	return end ? find_key(router, word_before(head, end)) : find_long(router, message, head);
}

static const struct gb__route_entry *find_prefix(const struct gb__router *router, struct gb_bytes message)
{
	uint64_t head = gb__route_head(router, message.data, message.size);

	for (unsigned i = router->firsts[head & 0xff]; i < router->firsts[(head & 0xff) + 1]; i++) {
		const struct gb__route_text *text = &router->texts[i];

		if (((head ^ text->head) & text->mask) == 0 && has_rest(router, message, text))
			return text->entry;
	}
	return router->entries;
}

const struct gb__route_entry *gb__route_find(const struct gb__terms *terms, struct gb_conn *conn,
	const struct gb_frame *frame, struct gb_bytes message)
{
	const struct gb__router *router = terms->router;

	switch (router->routes->by) {
	case GB_ROUTE_BY_BYTE:
		return find_byte(router, message);
	case GB_ROUTE_BY_INTEGER:
		return find_integer(router, message);
	case GB_ROUTE_BY_WORD:
		return find_word(router, message);
	case GB_ROUTE_BY_PREFIX:
		return find_prefix(router, message);
	case GB_ROUTE_BY_FUNCTION:
		return find_key(router, router->routes->choose(conn, frame, message));
	default:
		return find_key(router, frame->key);
	}
}

/* As gb__count. The compiler makes three instructions of that. */
static inline __attribute__((always_inline)) void count(uint64_t *counter)
{
#ifdef __x86_64__
	__asm__("addq $1, %0" : "+m"(*counter) : : "cc");
#else
	gb__count(*counter, 1);
#endif
}

/* Count it, and call its handler. */
static inline __attribute__((always_inline)) void dispatch(struct gb_conn *conn, struct gb_bytes message,
	struct gb__terms *terms, const struct gb__route_entry *entry)
{
	count(&terms->route_counts[entry->index]);
	terms->route = entry;
	entry->on_message(conn, message);
}

static __attribute__((noinline)) void message_any(struct gb_conn *conn, struct gb_bytes message)
{
	struct gb__terms *terms = conn->terms;

	dispatch(conn, message, terms, gb__route_find(terms, conn, &conn->net->message.frame, message));
}

/* No two keys meet: what is not in its place is not there. */
static inline __attribute__((always_inline)) const struct gb__route_entry *find_perfect(
	const struct gb__router *router, uint64_t key)
{
	const size_t at = key * router->multiplier / (UINT64_MAX / GB__ROUTE_SLOTS + 1);

	return gb__likely(router->place.keys[at] == key) ? router->place.found[at] : router->entries;
}

static void message_by_byte(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, conn->terms, find_byte(conn->terms->router, message));
}

static void message_by_two(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb__router *router = conn->terms->router;
	uint16_t number;

	if (gb__unlikely(message.size < router->reach)) {
		message_any(conn, message);
		return;
	}
	memcpy(&number, message.data + router->offset, sizeof(number));
	number = router->little_endian ? le16toh(number) : be16toh(number);
	dispatch(conn, message, conn->terms, find_perfect(router, number));
}

static void message_by_four(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb__router *router = conn->terms->router;
	uint32_t number;

	if (gb__unlikely(message.size < router->reach)) {
		message_any(conn, message);
		return;
	}
	memcpy(&number, message.data + router->offset, sizeof(number));
	number = router->little_endian ? le32toh(number) : be32toh(number);
	dispatch(conn, message, conn->terms, find_perfect(router, number));
}

static void message_by_key(struct gb_conn *conn, struct gb_bytes message)
{
	dispatch(conn, message, conn->terms, find_perfect(conn->terms->router, conn->net->message.frame.key));
}

static inline __attribute__((always_inline)) void by_word(
	struct gb_conn *conn, struct gb_bytes message, bool ignore_case)
{
	uint64_t head, end;

	if (gb__unlikely(message.size < GB__ROUTE_HEAD)) {
		message_any(conn, message);
		return;
	}
	memcpy(&head, message.data, sizeof(head));
	head = le64toh(head);
	if (ignore_case)
		head = gb__route_fold(head);
	end = word_end(head);
	if (gb__unlikely(end == 0))
		message_any(conn, message);
	else
		dispatch(conn, message, conn->terms,
			find_perfect(conn->terms->router, word_before(head, end)));
}

static void message_by_word(struct gb_conn *conn, struct gb_bytes message)
{
	by_word(conn, message, false);
}

static void message_by_word_in_any_case(struct gb_conn *conn, struct gb_bytes message)
{
	by_word(conn, message, true);
}

/* The short way of these routes, or that of all. */
static void (*way_of(const struct gb__router *router))(struct gb_conn *conn, struct gb_bytes message)
{
	if (router->routes->by == GB_ROUTE_BY_BYTE)
		return message_by_byte;
	if (!router->perfect)
		return message_any;
	switch (router->routes->by) {
	case GB_ROUTE_BY_INTEGER:
		return router->width == 4    ? message_by_four
			: router->width == 2 ? message_by_two
					     : message_any;
	case GB_ROUTE_BY_KEY:
		return message_by_key;
	case GB_ROUTE_BY_WORD:
		return router->ignore_case ? message_by_word_in_any_case : message_by_word;
	default:
		return message_any;
	}
}

void gb__route_pooled(struct gb_conn *conn, struct gb_bytes message)
{
	const struct gb_route *row = conn->terms->route->row;

	if (conn->net->submit && conn->terms->apart >= 0)
		gb__task_submit_routed(conn, message, row);
	else
		row->on_message(conn, message);
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
	return conn->terms->route->row;
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
	terms->on_message = way_of(router);
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
