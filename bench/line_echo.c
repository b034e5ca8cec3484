/*
 * echo by lines, with the library: each line, its end included, is a message and goes back as it came. What it
 * costs beyond `gearbox serve echo` is the codec; with --by-… first, what it costs beyond that is the route; with --deferred
 * first, the reply; with --parts first, that of taking lines in parts alone; with --produced first, that of a reply in
 * parts. It is measured, and measures nothing.
 */
#include <gearbox/gearbox.h>

#include <string.h>

static const struct gb_line_options whole = { .keep_end = 1 };

static void on_line(struct gb_conn *conn, struct gb_bytes line)
{
	gb_conn_send(conn, line.data, line.size);
}

static void defer_line(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_reply reply;

	if (gb_conn_defer(conn, &reply) == 0)
		gb_reply_finish(reply, line.data, line.size);
}

static void on_part(struct gb_conn *conn, const struct gb_part *part)
{
	gb_conn_send(conn, part->bytes.data, part->bytes.size);
}

/* By descriptor, two each in turn: the next line may come before the last reply is told to be complete. */
struct made {
	struct gb_producer producer;
	unsigned char line[256];
	size_t size;
};
static struct made made[1024][2];
static unsigned turns[1024];

static int64_t produce(void *user, void *room, size_t size)
{
	struct made *one = user;
	const size_t left = one->size < size ? one->size : size;

	memcpy(room, one->line, left);
	one->size -= left;
	return (int64_t)left;
}

static void produce_line(struct gb_conn *conn, struct gb_bytes line)
{
	const int fd = gb_conn_descriptor(conn) % 1024;
	struct made *one = &made[fd][turns[fd]++ % 2];

	one->size = line.size < sizeof(one->line) ? line.size : sizeof(one->line);
	memcpy(one->line, line.data, one->size);
	gb_conn_produce_begin(conn, &one->producer, produce, NULL, one);
}

static const struct gb_service line_echo = {
	GB_SERVICE_INIT,
	.state = GB_STATE_NONE,
	.name = "line-echo",
	.summary = "sends back each line",
	.codec = &gb_codec_line,
	.codec_options = &whole,
	.on_message = on_line,
};

/* The loads' lines are numbers. */
static const struct gb_route by_byte[] = {
	{ "number", .key = '0', .on_message = on_line },
	{ "other", .otherwise = true, .on_message = on_line },
	{ NULL },
};
static const struct gb_route by_word[] = {
	{ "get", .text = "get", .on_message = on_line },
	{ "set", .text = "set", .on_message = on_line },
	{ "other", .otherwise = true, .on_message = on_line },
	{ NULL },
};
static const struct gb_route by_integer[] = {
	{ "zeros", .key = 0x30303030, .on_message = on_line },
	{ "ones", .key = 0x31313131, .on_message = on_line },
	{ NULL },
};
static const struct gb_route by_prefix[] = {
	{ "zeros", .text = "0000", .on_message = on_line },
	{ "more zeros", .text = "0000000x", .on_message = on_line },
	{ NULL },
};

static const struct {
	const char *option;
	struct gb_routes routes;
} routed[] = {
	{ "--by-byte", { .by = GB_ROUTE_BY_BYTE, .table = by_byte } },
	{ "--by-integer", { .by = GB_ROUTE_BY_INTEGER, .table = by_integer } },
	{ "--by-word", { .by = GB_ROUTE_BY_WORD, .table = by_word } },
	{ "--by-prefix", { .by = GB_ROUTE_BY_PREFIX, .table = by_prefix } },
};

int main(int argc, char **argv)
{
	struct gb_service service = line_echo;

	for (size_t i = 0; argc > 1 && i < sizeof(routed) / sizeof(*routed); i++)
		if (strcmp(argv[1], routed[i].option) == 0) {
			service.on_message = NULL;
			service.routes = &routed[i].routes;
			argv[1] = argv[0];
			return gb_main(argc - 1, argv + 1, &service);
		}
	if (argc > 1 && strcmp(argv[1], "--deferred") == 0) {
		service.on_message = defer_line;
		argv[1] = argv[0];
		return gb_main(argc - 1, argv + 1, &service);
	}
	if (argc > 1 && (strcmp(argv[1], "--parts") == 0 || strcmp(argv[1], "--produced") == 0)) {
		service.on_message = strcmp(argv[1], "--parts") == 0 ? NULL : produce_line;
		service.on_part = service.on_message ? NULL : on_part;
		argv[1] = argv[0];
		return gb_main(argc - 1, argv + 1, &service);
	}
	return gb_main(argc, argv, &service);
}
