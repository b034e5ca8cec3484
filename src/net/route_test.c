/* Which row takes which message, against a search through the table; and tables that are refused. */
#include "net/route.h"

#include "base/macros.h"
#include "net/conn.h"

#include "harness.h"

#include <errno.h>

#define ROWS_MAX 600u

static void handle(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn;
	(void)message;
}

static int decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	return 0;
}

static const struct gb_codec_ops codec = { .name = "none", .decode = decode };

static struct gb_service service_of(const struct gb_routes *routes)
{
	return (struct gb_service){ GB_SERVICE_INIT, .name = "routed", .codec = &codec, .routes = routes };
}

/* Made ready, and asked. */
struct asked {
	struct gb_service service;
	struct gb__router *router;
	uint64_t counts[ROWS_MAX + 2];
	struct gb__terms terms;
	struct gb__net net;
};

static void ready(struct asked *asked, const struct gb_routes *routes)
{
	struct gb_error error = { 0 };

	*asked = (struct asked){ .service = service_of(routes) };
	if (gb__routes_check(&asked->service, true, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s", error.text);
	asked->router = gb__router_create(&asked->service);
	CHECK(asked->router);
	if (!asked->router->entries->row) {
		CHECK(asked->router->entries->on_message == gb__route_none);
		asked->router->entries->on_message = handle;
	}
	asked->net.routers = asked->router;
	asked->net.route_counts = asked->counts;
	asked->terms.service = &asked->service;
	CHECK_INT(gb__terms_route(&asked->net, &asked->terms), 0);
}

/* The name of the row, from memory that ends with the message. */
static const char *ask_frame(struct asked *asked, const void *data, size_t size, uint64_t key)
{
	unsigned char *copy = malloc(size ? size : 1);
	const struct gb_frame frame = { .size = size, .key = key };
	const struct gb__route_entry *entry;
	struct gb_conn conn = { .terms = &asked->terms, .net = &asked->net };

	memcpy(copy, data, size);
	entry = gb__route_find(&asked->terms, NULL, &frame, (struct gb_bytes){ copy, size });
	CHECK(entry->on_message == handle);
	/* As with a message: it may go a shorter way. */
	asked->net.message.frame = frame;
	asked->terms.on_message(&conn, (struct gb_bytes){ copy, size });
	CHECK(asked->terms.route == entry);
	free(copy);
	return entry->row ? entry->row->name : "none";
}

static const char *ask(struct asked *asked, const char *text)
{
	return ask_frame(asked, text, strlen(text), 0);
}

TEST(a_byte_is_looked_up_at_its_offset)
{
	static const struct gb_route table[] = { { "a", .key = 'a', .on_message = handle },
		{ "zero", .key = 0, .on_message = handle }, { "last", .key = 255, .on_message = handle },
		{ NULL } };
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_BYTE, .offset = 2, .table = table };
	struct asked asked;

	ready(&asked, &routes);
	CHECK_STR(ask(&asked, "xxa"), "a");
	CHECK_STR(ask(&asked, "xxab"), "a");
	CHECK_STR(ask_frame(&asked, "xx\0", 3, 0), "zero");
	CHECK_STR(ask(&asked, "xx\xff"), "last");
	CHECK_STR(ask(&asked, "xxb"), "none");
	CHECK_STR(ask(&asked, "xx"), "none");
	CHECK_STR(ask(&asked, ""), "none");
	CHECK_INT(asked.counts[1], 2);
	CHECK_INT(asked.counts[0], 3);
	gb__router_destroy(asked.router);
}

/* Rows with random numbers of that width, asked for each, for others, and cut. */
static void check_integers(unsigned width, bool little_endian, unsigned rows, uint64_t *random)
{
	static struct gb_route table[ROWS_MAX + 1];
	static char names[ROWS_MAX][8];
	struct gb_routes routes = { .by = GB_ROUTE_BY_INTEGER,
		.offset = width % 3,
		.width = width,
		.little_endian = little_endian,
		.table = table };
	const uint64_t mask = width == 8 ? ~0ull : (1ull << 8 * width) - 1;
	static struct asked asked;

	memset(table, 0, sizeof(table));
	for (unsigned i = 0; i < rows; i++) {
		sprintf(names[i], "%u", i);
		/* Some side by side, some anywhere. */
		table[i] = (struct gb_route){ names[i], .on_message = handle,
			.key = (width == 1             ? i * 3
					       : i % 2 ? test_random(random) << 8 | (i & 0xff)
						       : i) &
				mask };
		for (unsigned j = 0; j < i; j++)
			if (table[j].key == table[i].key)
				table[i--].name = NULL, rows--, j = i;
	}
	table[rows] = (struct gb_route){ NULL };
	ready(&asked, &routes);
	for (unsigned i = 0; i < 2 * rows; i++) {
		uint64_t key = i < rows ? table[i].key : test_random(random) & mask;
		unsigned char bytes[16] = { 0 };
		const char *expected = "none";

		for (unsigned j = 0; j < rows; j++)
			if (table[j].key == key)
				expected = table[j].name;
		for (unsigned j = 0; j < width; j++)
			bytes[routes.offset + (little_endian ? j : width - 1 - j)] =
				(unsigned char)(key >> 8 * j);
		CHECK_STR(ask_frame(&asked, bytes, routes.offset + width, 0), expected);
		CHECK_STR(ask_frame(&asked, bytes, sizeof(bytes), 0), expected);
		CHECK_STR(ask_frame(&asked, bytes, routes.offset + width - 1, 0), "none");
	}
	gb__router_destroy(asked.router);
}

TEST(an_integer_is_looked_up_in_its_width_and_order)
{
	uint64_t random = test_seed();

	for (unsigned width = 1; width <= 8; width++)
		for (unsigned rows = 1; rows <= ROWS_MAX; rows = rows * 4 + 1) {
			check_integers(width, false, width == 1 ? gb__min(rows, 80u) : rows, &random);
			check_integers(width, true, width == 1 ? gb__min(rows, 80u) : rows, &random);
		}
}

TEST(the_key_of_the_codec_is_looked_up)
{
	static const struct gb_route table[] = { { "zero", .key = 0, .on_message = handle },
		{ "large", .key = ~0ull, .on_message = handle },
		{ "rest", .otherwise = true, .on_message = handle }, { NULL } };
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_KEY, .table = table };
	struct asked asked;

	ready(&asked, &routes);
	CHECK_STR(ask_frame(&asked, "x", 1, 0), "zero");
	CHECK_STR(ask_frame(&asked, "x", 1, ~0ull), "large");
	CHECK_STR(ask_frame(&asked, "x", 1, 1), "rest");
	CHECK_INT(asked.counts[0], 1);
	gb__router_destroy(asked.router);
}

static uint64_t length(struct gb_conn *conn, const struct gb_frame *frame, struct gb_bytes message)
{
	CHECK_INT(frame->size, message.size);
	return message.size;
}

TEST(what_the_function_returns_is_looked_up)
{
	static const struct gb_route table[] = { { "empty", .key = 0, .on_message = handle },
		{ "three", .key = 3, .on_message = handle }, { NULL } };
	static const struct gb_routes routes = {
		.by = GB_ROUTE_BY_FUNCTION, .choose = length, .table = table
	};
	struct asked asked;

	ready(&asked, &routes);
	CHECK_STR(ask(&asked, ""), "empty");
	CHECK_STR(ask(&asked, "abc"), "three");
	CHECK_STR(ask(&asked, "ab"), "none");
	gb__router_destroy(asked.router);
}

static const struct gb_route words[] = { { "get", .text = "get", .on_message = handle },
	{ "gets", .text = "gets", .on_message = handle },
	{ "seven", .text = "1234567", .on_message = handle },
	{ "eight", .text = "12345678", .on_message = handle },
	{ "nine", .text = "123456789", .on_message = handle },
	{ "long", .text = "subscribe-to-all", .on_message = handle },
	{ "longer", .text = "subscribe-to-all-of-it", .on_message = handle },
	{ "umlaut",
		.text = "gr\xc3\xb6\xc3\x9f"
			"er",
		.on_message = handle },
	{ NULL } };

TEST(the_first_word_is_looked_up_whole)
{
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_WORD, .table = words };
	static const char *const ends[] = { "", " ", " more", "\t", "\r\n",
		" and more words than eight bytes" };
	struct asked asked;

	ready(&asked, &routes);
	for (unsigned i = 0; i < gb__countof(words) - 1; i++)
		for (unsigned j = 0; j < gb__countof(ends); j++) {
			char text[80];

			sprintf(text, "%s%s", words[i].text, ends[j]);
			CHECK_STR(ask(&asked, text), words[i].name);
			sprintf(text, "%sx%s", words[i].text, ends[j]);
			CHECK_STR(ask(&asked, text), "none");
			sprintf(text, " %s%s", words[i].text, ends[j]);
			CHECK_STR(ask(&asked, text), "none");
		}
	CHECK_STR(ask_frame(&asked, "get\0x", 5, 0), "get");
	CHECK_STR(ask(&asked, "GET"), "none");
	CHECK_STR(ask(&asked, "g"), "none");
	CHECK_STR(ask(&asked, ""), "none");
	CHECK_STR(ask(&asked, "        "), "none");
	CHECK_STR(ask(&asked, "123456"), "none");
	CHECK_STR(ask(&asked, "subscribe-to-nobody"), "none");
	gb__router_destroy(asked.router);
}

TEST(words_may_differ_in_case)
{
	static const struct gb_routes routes = {
		.by = GB_ROUTE_BY_WORD, .ignore_case = true, .table = words
	};
	struct asked asked;

	ready(&asked, &routes);
	CHECK_STR(ask(&asked, "GET it"), "get");
	CHECK_STR(ask(&asked, "GeTs"), "gets");
	CHECK_STR(ask(&asked, "SubScribe-TO-all-OF-it x"), "longer");
	CHECK_STR(ask(&asked,
			  "GR\xc3\xb6\xc3\x9f"
			  "ER"),
		"umlaut");
	CHECK_STR(ask(&asked,
			  "GR\xc3\x96\xc3\x9f"
			  "ER"),
		"none");
	CHECK_STR(ask(&asked, "g`t"), "none");
	gb__router_destroy(asked.router);
}

TEST(letters_alone_are_folded)
{
	for (unsigned byte = 0; byte < 256; byte++)
		for (unsigned at = 0; at < 8; at++) {
			uint64_t folded = gb__route_fold((uint64_t)byte << 8 * at);
			unsigned expected = byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;

			CHECK_INT(folded, (uint64_t)expected << 8 * at);
		}
}

TEST(the_longest_prefix_takes_it)
{
	static const struct gb_route table[] = { { "slash", .text = "/", .on_message = handle },
		{ "img", .text = "/img/", .on_message = handle },
		{ "large", .text = "/img/large/", .on_message = handle },
		{ "api", .text = "/api", .on_message = handle },
		{ "eight", .text = "12345678", .on_message = handle },
		{ "rest", .otherwise = true, .on_message = handle }, { NULL } };
	struct gb_routes routes = { .by = GB_ROUTE_BY_PREFIX, .table = table };
	struct asked asked;

	ready(&asked, &routes);
	CHECK_STR(ask(&asked, "/"), "slash");
	CHECK_STR(ask(&asked, "/index"), "slash");
	CHECK_STR(ask(&asked, "/img"), "slash");
	CHECK_STR(ask(&asked, "/img/"), "img");
	CHECK_STR(ask(&asked, "/img/large"), "img");
	CHECK_STR(ask(&asked, "/img/large/"), "large");
	CHECK_STR(ask(&asked, "/img/large/x"), "large");
	CHECK_STR(ask(&asked, "/img/larger/x"), "img");
	CHECK_STR(ask(&asked, "/apix"), "api");
	CHECK_STR(ask(&asked, "/API"), "slash");
	CHECK_STR(ask(&asked, "12345678"), "eight");
	CHECK_STR(ask(&asked, "1234567"), "rest");
	CHECK_STR(ask(&asked, "\xff"), "rest");
	CHECK_STR(ask(&asked, ""), "rest");
	gb__router_destroy(asked.router);
	routes.ignore_case = true;
	ready(&asked, &routes);
	CHECK_STR(ask(&asked, "/API"), "api");
	CHECK_STR(ask(&asked, "/IMG/Large/x"), "large");
	gb__router_destroy(asked.router);
}

#define REFUSED(text, ...) \
	do { \
		static const struct gb_route refused_table[] = { __VA_ARGS__, { NULL } }; \
		refused.table = refused_table; \
		check_refused(&refused, text); \
	} while (0)

static void check_refused(const struct gb_routes *routes, const char *text)
{
	const struct gb_service service = service_of(routes);
	struct gb_error error = { 0 };

	CHECK_INT(gb__routes_check(&service, true, &error), -EINVAL);
	CHECK(strstr(error.text, "service routed"));
	if (!strstr(error.text, text))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", error.text, text);
}

TEST(tables_that_make_no_sense_are_refused)
{
	struct gb_routes refused = { .by = GB_ROUTE_BY_BYTE };
	static const struct gb_route nothing[] = { { NULL } };

	check_refused(&refused, ".routes: .table is empty");
	refused.table = nothing;
	check_refused(&refused, ".routes: .table is empty");
	REFUSED("route a: .on_message is NULL: it has no handler", { "a", .key = 1 });
	REFUSED("routes a and b take the same messages", { "a", .key = 1, .on_message = handle },
		{ "b", .key = 1, .on_message = handle });
	REFUSED("routes a and a have the same name", { "a", .key = 1, .on_message = handle },
		{ "a", .key = 2, .on_message = handle });
	REFUSED("routes a and b are both the default", { "a", .otherwise = true, .on_message = handle },
		{ "b", .otherwise = true, .on_message = handle });
	REFUSED("route a: .key does not fit", { "a", .key = 256, .on_message = handle });
	REFUSED("route a: .text is set", { "a", .text = "a", .on_message = handle });
	REFUSED("route a: it is the default", { "a", .key = 1, .otherwise = true, .on_message = handle });
	REFUSED("route a: .traits", { "a", .key = 1, .on_message = handle, .traits = GB_TRAIT_THREAD_SAFE });
	REFUSED("route a: .priority",
		{ "a", .key = 1, .on_message = handle, .priority = (enum gb_priority)2 });
	refused.choose = length;
	REFUSED(".choose is set", { "a", .key = 1, .on_message = handle });
	refused.by = GB_ROUTE_BY_FUNCTION;
	refused.choose = NULL;
	REFUSED(".choose is NULL", { "a", .key = 1, .on_message = handle });
	refused.by = GB_ROUTE_BY_INTEGER;
	refused.width = 3;
	REFUSED("route a: .key does not fit", { "a", .key = 1u << 24, .on_message = handle });
	refused.width = 9;
	REFUSED(".width", { "a", .key = 1, .on_message = handle });
	refused.width = 0;
	refused.by = GB_ROUTE_BY_WORD;
	REFUSED("route a: .text is empty", { "a", .on_message = handle });
	REFUSED("route a: .text is more than a word", { "a", .text = "a b", .on_message = handle });
	REFUSED("route a: .key is set", { "a", .key = 1, .text = "a", .on_message = handle });
	REFUSED("routes a and b take the same messages", { "a", .text = "a", .on_message = handle },
		{ "b", .text = "a", .on_message = handle });
	refused.ignore_case = true;
	REFUSED("routes a and b take the same messages", { "a", .text = "Ab", .on_message = handle },
		{ "b", .text = "aB", .on_message = handle });
	refused.by = 0;
	REFUSED(".by is none", { "a", .key = 1, .on_message = handle });
}

TEST(routes_without_a_codec_are_refused)
{
	static const struct gb_route table[] = { { "a", .key = 1, .on_message = handle }, { NULL } };
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_BYTE, .table = table };
	struct gb_service service = service_of(&routes);
	struct gb_error error = { 0 };

	service.codec = NULL;
	CHECK_INT(gb__routes_check(&service, true, &error), -EINVAL);
	CHECK(strstr(error.text, "service routed: .routes: it has no .codec"));
}
