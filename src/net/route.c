/* Routes as the service writes them, to what is looked up; and what is wrong with them. */
#include "net/route.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "net/job.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define ROUTES_MAX 10000u
#define TRAITS (GB_TRAIT_MAY_BLOCK | GB_TRAIT_HEAVY_COMPUTE)
#define TRIES 256u    /* of multipliers */
#define TRIED_MAX 64u /* entries: of more, some meet in any case */
#define GOLDEN 0x9e3779b97f4a7c15u

static bool by_text(const struct gb_routes *routes)
{
	return routes->by == GB_ROUTE_BY_WORD || routes->by == GB_ROUTE_BY_PREFIX;
}

static unsigned width_of(const struct gb_routes *routes)
{
	if (routes->by == GB_ROUTE_BY_BYTE)
		return 1;
	return routes->width ? routes->width : 4;
}

static bool same_text(const struct gb_routes *routes, const char *a, const char *b)
{
	while (*a &&
		(*a == *b ||
			(routes->ignore_case &&
				gb__route_fold((unsigned char)*a) == gb__route_fold((unsigned char)*b))))
		a++, b++;
	return *a == *b;
}

/* What is wrong with what the routes are chosen by, or NULL. */
static const char *wrong_choice(const struct gb_service *service)
{
	const struct gb_routes *routes = service->routes;

	if (routes->by < GB_ROUTE_BY_BYTE || routes->by > GB_ROUTE_BY_FUNCTION)
		return ".by is none of GB_ROUTE_BY_…: say what a message is routed by";
	if (!service->codec)
		return "it has no .codec: without one bytes come in pieces of any size, which cannot be routed";
	if (routes->by == GB_ROUTE_BY_INTEGER && routes->width > 8)
		return ".width is more than 8 bytes";
	if (routes->by == GB_ROUTE_BY_FUNCTION && !routes->choose)
		return ".choose is NULL, and they are routed by function";
	if (routes->by != GB_ROUTE_BY_FUNCTION && routes->choose)
		return ".choose is set, and they are not routed by function";
	if (routes->offset > UINT32_MAX)
		return ".offset is beyond any message";
	if (!routes->table || !routes->table->name)
		return ".table is empty";
	return NULL;
}

/* What is wrong with what a row matches, or NULL. */
static const char *wrong_match(const struct gb_routes *routes, const struct gb_route *row)
{
	if (row->otherwise)
		return row->text || row->key ? "it is the default (.otherwise), and .key or .text is set"
					     : NULL;
	if (!by_text(routes)) {
		if (row->text)
			return ".text is set, and they are routed by a number";
		if ((routes->by == GB_ROUTE_BY_BYTE || routes->by == GB_ROUTE_BY_INTEGER) &&
			width_of(routes) < 8 && row->key >> 8 * width_of(routes))
			return ".key does not fit into so many bytes";
		return NULL;
	}
	if (row->key)
		return ".key is set, and they are routed by text";
	if (!row->text || !*row->text)
		return ".text is empty";
	for (const char *text = row->text; routes->by == GB_ROUTE_BY_WORD && *text; text++)
		if ((unsigned char)*text <= GB__ROUTE_BLANK)
			return ".text is more than a word";
	return NULL;
}

static const char *wrong_row(const struct gb_service *service, const struct gb_route *row, bool handles)
{
	const char *wrong = wrong_match(service->routes, row);

	if (wrong)
		return wrong;
	if (row->traits & ~TRAITS)
		return ".traits may be GB_TRAIT_MAY_BLOCK and GB_TRAIT_HEAVY_COMPUTE; the others are of the service";
	if (!gb__priority_known(row->priority))
		return ".priority is none of GB_PRIORITY_…";
	if (!handles)
		return NULL;
	if (service->serve && !row->serve)
		return ".serve is NULL, and the service has a straight-line handler: it has no handler";
	if (!service->serve && !row->on_message && !row->on_part)
		return ".on_message is NULL: it has no handler";
	return NULL;
}

/* Why two rows cannot be told apart, or NULL. */
static const char *wrong_pair(
	const struct gb_routes *routes, const struct gb_route *a, const struct gb_route *b)
{
	if (strcmp(a->name, b->name) == 0)
		return "have the same name";
	if (a->otherwise || b->otherwise)
		return a->otherwise && b->otherwise ? "are both the default" : NULL;
	if (by_text(routes) ? same_text(routes, a->text, b->text) : a->key == b->key)
		return "take the same messages";
	return NULL;
}

int gb__routes_check(const struct gb_service *service, bool handles, struct gb_error *error)
{
	const struct gb_routes *routes = service->routes;
	const char *wrong = wrong_choice(service);
	size_t count = 0;

	if (wrong)
		return gb_error_set(error, -EINVAL, "service %s: .routes: %s", service->name, wrong);
	for (const struct gb_route *row = routes->table; row->name; row++) {
		wrong = wrong_row(service, row, handles);
		if (wrong)
			return gb_error_set(
				error, -EINVAL, "service %s: route %s: %s", service->name, row->name, wrong);
		if (++count > ROUTES_MAX)
			return gb_error_set(error, -EINVAL, "service %s: .routes: more than %u",
				service->name, ROUTES_MAX);
		for (const struct gb_route *other = routes->table; other < row; other++) {
			wrong = wrong_pair(routes, other, row);
			if (wrong)
				return gb_error_set(error, -EINVAL, "service %s: routes %s and %s %s",
					service->name, other->name, row->name, wrong);
		}
	}
	return 0;
}

unsigned gb__service_traits(const struct gb_service *service)
{
	unsigned traits = service->traits;

	if (!service->routes)
		return traits;
	traits &= ~(unsigned)TRAITS; /* where a message runs is its route's */
	for (const struct gb_route *row = service->routes->table; row->name; row++)
		traits |= row->traits;
	return traits;
}

static void set_text(struct gb__router *router, struct gb__route_text *text, uint32_t entry)
{
	const char *bytes = router->entries[entry].row->text;
	size_t size = strlen(bytes);

	*text = (struct gb__route_text){
		.head = gb__route_head(router, bytes, size),
		.mask = size < GB__ROUTE_HEAD ? (1ull << 8 * size) - 1 : ~0ull,
		.bytes = (const unsigned char *)bytes,
		.size = size,
		.entry = &router->entries[entry],
	};
}

/* The key that an entry is found by. */
static uint64_t key_of(const struct gb__router *router, uint32_t entry)
{
	const struct gb_route *row = router->entries[entry].row;

	return row->text ? gb__route_head(router, row->text, strlen(row->text)) : row->key;
}

static bool default_row(const struct gb__router *router, uint32_t entry)
{
	return router->entries[entry].row->otherwise;
}

/* A word that is no number: before `next`, with the same head. */
static void add_long(struct gb__router *router, uint32_t entry, const struct gb__route_entry *next)
{
	struct gb__route_text *text = &router->texts[entry];

	set_text(router, text, entry);
	text->next = next == router->entries ? NULL : &router->texts[next->index];
}

/* Put all keys in. Returns how many lie where another one should. */
static unsigned fill(struct gb__router *router)
{
	unsigned astray = 0;

	for (unsigned at = 0; at <= router->slots_mask; at++) {
		router->keys[at] = 0;
		router->found[at] = router->entries;
	}
	for (uint32_t entry = 1; entry < router->entries_count; entry++) {
		const struct gb_route *row = router->entries[entry].row;
		uint64_t key;
		size_t at;

		if (default_row(router, entry))
			continue;
		key = key_of(router, entry);
		at = gb__route_slot(router, key);
		astray += at != key * router->multiplier >> router->shift;
		if (row->text && strlen(row->text) >= GB__ROUTE_HEAD)
			add_long(router, entry, router->found[at]);
		router->keys[at] = key;
		router->found[at] = &router->entries[entry];
	}
	return astray;
}

static unsigned bits_of(size_t number)
{
	return 64 - (unsigned)__builtin_clzll(number);
}

static void set_slots(struct gb__router *router, unsigned bits)
{
	router->shift = 64 - bits;
	router->slots_mask = (1u << bits) - 1;
	router->multiplier = GOLDEN;
}

/* Whether a multiplier by which no two keys meet is found soon. */
static bool make_perfect(struct gb__router *router)
{
	router->keys = router->place.keys;
	router->found = router->place.found;
	set_slots(router, bits_of(GB__ROUTE_SLOTS - 1));
	for (unsigned i = 0; router->entries_count <= TRIED_MAX && i < TRIES; i++) {
		router->multiplier = (2 * i + 1) * GOLDEN;
		if (fill(router) == 0)
			return true;
	}
	return false;
}

/* Some meet: they follow one another. */
static int make_slots(struct gb__router *router)
{
	unsigned bits = bits_of(2 * router->entries_count);

	router->perfect = make_perfect(router);
	if (router->perfect)
		return 0;
	router->keys = gb__alloc(sizeof(*router->keys) << bits);
	router->found = gb__alloc(sizeof(*router->found) << bits);
	if (!router->keys || !router->found)
		return -ENOMEM;
	set_slots(router, bits);
	fill(router);
	return 0;
}

static int make_bytes(struct gb__router *router)
{
	for (unsigned byte = 0; byte < GB__ROUTE_SLOTS; byte++)
		router->place.found[byte] = router->entries;
	for (uint32_t entry = 1; entry < router->entries_count; entry++)
		if (!default_row(router, entry))
			router->place.found[router->entries[entry].row->key] = &router->entries[entry];
	return 0;
}

static bool before(const struct gb__route_text *a, const struct gb__route_text *b)
{
	unsigned char first_a = (unsigned char)a->head, first_b = (unsigned char)b->head;

	return first_a != first_b ? first_a < first_b : a->size > b->size;
}

/* By their first bytes, the longest first. */
static int make_prefixes(struct gb__router *router)
{
	uint32_t count = 0, at = 0;

	router->firsts = gb__alloc_zero(257 * sizeof(*router->firsts));
	if (!router->firsts)
		return -ENOMEM;
	for (uint32_t entry = 1; entry < router->entries_count; entry++) {
		struct gb__route_text text;
		uint32_t place = count;

		if (default_row(router, entry))
			continue;
		set_text(router, &text, entry);
		for (; place > 0 && before(&text, &router->texts[place - 1]); place--)
			router->texts[place] = router->texts[place - 1];
		router->texts[place] = text;
		count++;
	}
	for (unsigned byte = 0; byte <= 256; byte++) {
		while (at < count && (unsigned char)router->texts[at].head < byte)
			at++;
		router->firsts[byte] = (uint16_t)at;
	}
	return 0;
}

static void make_entries(struct gb__router *router)
{
	router->entries[0].on_message = gb__route_none;
	for (uint32_t i = 1; i < router->entries_count; i++) {
		const struct gb_route *row = &router->routes->table[i - 1];
		struct gb__route_entry *entry = &router->entries[i];

		const bool pooled = row->traits & TRAITS;

		*entry = (struct gb__route_entry){ pooled ? gb__route_pooled : row->on_message, row, i,
			pooled };
		if (row->otherwise)
			router->entries[0] = (struct gb__route_entry){ entry->on_message, row, 0, pooled };
	}
}

static int make_table(struct gb__router *router)
{
	if (by_text(router->routes)) {
		router->texts = gb__alloc_zero(router->entries_count * sizeof(*router->texts));
		if (!router->texts)
			return -ENOMEM;
	}
	switch (router->routes->by) {
	case GB_ROUTE_BY_BYTE:
		return make_bytes(router);
	case GB_ROUTE_BY_PREFIX:
		return make_prefixes(router);
	default:
		return make_slots(router);
	}
}

struct gb__router *gb__router_create(const struct gb_service *service)
{
	const struct gb_routes *routes = service->routes;
	struct gb__router *router;
	size_t count = 1;

	while (routes->table[count - 1].name)
		count++;
	router = gb__alloc_lines(sizeof(*router) + count * sizeof(*router->entries));
	if (!router)
		return NULL;
	memset(router, 0, sizeof(*router) + count * sizeof(*router->entries));
	router->service = service;
	router->routes = routes;
	router->offset = routes->offset;
	router->width = width_of(routes);
	router->reach = routes->offset + router->width;
	router->little_endian = routes->little_endian;
	router->ignore_case = routes->ignore_case;
	router->entries_count = count;
	make_entries(router);
	if (make_table(router) < 0) {
		gb__router_destroy(router);
		return NULL;
	}
	return router;
}

void gb__router_destroy(struct gb__router *router)
{
	if (!router)
		return;
	gb__free(router->counts);
	if (router->keys != router->place.keys) {
		gb__free(router->keys);
		gb__free(router->found);
	}
	gb__free(router->texts);
	gb__free(router->firsts);
	gb__free(router);
}
