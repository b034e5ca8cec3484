#include "load/options.h"

#include "command.h"
#include "load/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_DEFAULT_MS 10000u
#define THREAD_RATE_MAX 5e6               /* messages per second that no thread comes near */
#define WEEK_MS (7ull * 24 * 3600 * 1000) /* what timeouts of connections may be at most */
#define PACKET_MAX 60000u                 /* of GB_PACKET_MAX; the period of what is sent is longer */

static const struct gb_setting flags[] = {
	{ "connections", GB_SETTING_COUNT, offsetof(struct load_options, connections), .fallback = "50",
		.min = 1, .max = 1000000, .summary = "connections at a time" },
	{ "protocol", GB_SETTING_CHOICE, offsetof(struct load_options, protocol_index), .fallback = "echo",
		.choices = PROTOCOL_CHOICES,
		.summary =
			"what the server must answer: the same bytes; a line to each line; that line with the "
			"time before it; gearbox's work service, in any order; HTTP/1.1; Redis's RESP; a recorded conversation; or nothing, to log records of syslog" },
	{ "reply-lines", GB_SETTING_COUNT, offsetof(struct load_options, reply_lines), .fallback = "1",
		.min = 1, .max = UINT32_MAX, .summary = "with --protocol line: lines of each reply" },
	{ "path", GB_SETTING_TEXT, offsetof(struct load_options, path),
		.summary = "with --protocol http: what to ask for (default /)" },
	{ "method", GB_SETTING_CHOICE, offsetof(struct load_options, method_index), .fallback = "GET",
		.choices = "GET|POST",
		.summary =
			"with --protocol http: POST has a body of --size; --expect is the body of each response" },
	{ "command", GB_SETTING_TEXT, offsetof(struct load_options, command), .argument = "MIX",
		.summary = "with --protocol resp: ping, set, get, or a mixture with weights, as set:1,get:9; "
			   "values have --size (default ping)" },
	{ "conversation", GB_SETTING_TEXT, offsetof(struct load_options, conversation), .argument = "FILE",
		.summary =
			"with --protocol conversation: \"> REQUEST\" and \"< REPLY\" lines, over and over again" },
	{ "framing", GB_SETTING_CHOICE, offsetof(struct load_options, framing_index), .fallback = "newline",
		.choices = "newline|octets",
		.summary =
			"with --protocol syslog: records end with a line feed, or begin with their length" },
	{ "keys", GB_SETTING_COUNT, offsetof(struct load_options, keys), .fallback = "10000", .min = 1,
		.summary = "with --protocol resp: how many keys set and get choose from" },
	{ "compute-us", GB_SETTING_COUNT, offsetof(struct load_options, compute_us), .fallback = "0",
		.max = UINT32_MAX, .summary = "with --protocol work: microseconds of computing to ask for" },
	{ "block-us", GB_SETTING_COUNT, offsetof(struct load_options, block_us), .fallback = "0",
		.max = UINT32_MAX, .summary = "with --protocol work: microseconds of blocking to ask for" },
	{ "depth", GB_SETTING_COUNT, offsetof(struct load_options, depth), .fallback = "1", .min = 1,
		.max = 65536, .summary = "messages that each connection keeps unanswered" },
	{ "arrivals", GB_SETTING_CHOICE, offsetof(struct load_options, arrivals_index),
		.fallback = "constant", .choices = "constant|poisson",
		.summary = "with --rate: distances that are equal, or those of many independent clients" },
	{ "seed", GB_SETTING_COUNT, offsetof(struct load_options, seed), .fallback = "1", .min = 1,
		.summary = "of what is drawn at random: another one draws something else" },
	{ "threads", GB_SETTING_COUNT, offsetof(struct load_options, threads), .fallback = "1", .min = 1,
		.max = 256,
		.summary = "of the generator; each has its part of connections, messages and rate" },
	{ "warm-up", GB_SETTING_DURATION, offsetof(struct load_options, warm_up_ms), .fallback = "0",
		.max = WEEK_MS, .summary = "how long to send before messages count" },
	{ "ramp", GB_SETTING_DURATION, offsetof(struct load_options, ramp_ms), .fallback = "0",
		.max = WEEK_MS,
		.summary =
			"spread connecting over so long; each sends at once, and what counts begins when all are there" },
	{ "reply-timeout", GB_SETTING_DURATION, offsetof(struct load_options, reply_timeout_ms),
		.fallback = "0", .max = WEEK_MS,
		.summary = "drop a connection whose reply takes longer, count it, and open another" },
	{ "duration", GB_SETTING_DURATION, offsetof(struct load_options, duration_ms), .max = WEEK_MS,
		.summary =
			"how long to send (default 10s; with a number of messages, as long as they last)" },
	{ "messages", GB_SETTING_COUNT, offsetof(struct load_options, message_count), .min = 1,
		.summary = "how many to send in all" },
	{ "messages-per-connection", GB_SETTING_COUNT, offsetof(struct load_options, messages_per_connection),
		.min = 1, .summary = "each connection closes once so many are answered" },
	{ "reconnect", GB_SETTING_SWITCH, offsetof(struct load_options, reconnect),
		.summary = "a new connection takes the place of one that has closed (connect, echo, close)" },
	{ "connect-timeout", GB_SETTING_DURATION, offsetof(struct load_options, connect_timeout_ms),
		.fallback = "10s", .max = WEEK_MS,
		.summary = "give up on a connection that is not established in time" },
	{ "resolver", GB_SETTING_TEXT, offsetof(struct load_options, resolver), .argument = "ADDRESSES",
		.summary =
			"name servers for a HOST:PORT or _service._proto.NAME, as ADDRESS[:PORT] with commas between" },
	{ "timeout", GB_SETTING_DURATION, offsetof(struct load_options, timeout_ms), .fallback = "10s",
		.max = WEEK_MS, .summary = "give up when nothing moves for so long" },
	{ "engine", GB_SETTING_CHOICE, offsetof(struct load_options, engine_index), .fallback = "epoll",
		.choices = "auto|epoll|io_uring|poll|select",
		.summary = "what the generator itself runs on" },
	{ "model", GB_SETTING_TEXT, offsetof(struct load_options, model), .argument = "SPEC",
		.summary = "the same as a model: threads with a reactor or proactor, compute=inline" },
	{ "idle", GB_SETTING_COUNT, offsetof(struct load_options, idle), .max = 1000000,
		.summary = "connections beside these that say nothing" },
	{ "source", GB_SETTING_TEXT, offsetof(struct load_options, source), .argument = "ADDRESS,...",
		.summary = "own addresses of idle connections, in turn (on loopback 127.0.0.2 and so on)" },
	{ "histogram", GB_SETTING_TEXT, offsetof(struct load_options, histogram_path), .argument = "FILE",
		.summary = "write response and service times as HdrHistogram's log" },
	{ "series", GB_SETTING_TEXT, offsetof(struct load_options, series_path), .argument = "FILE",
		.summary = "write a line of JSON for each --interval of the measured time" },
	{ "interval", GB_SETTING_DURATION, offsetof(struct load_options, interval_ms), .fallback = "1s",
		.min = 10, .max = WEEK_MS, .summary = "of --series" },
	{ "json", GB_SETTING_SWITCH, offsetof(struct load_options, json),
		.summary = "print the result as JSON" },
	{ "progress", GB_SETTING_SWITCH, offsetof(struct load_options, progress),
		.summary = "print progress on standard error even when that is no terminal" },
	{ "quiet", GB_SETTING_SWITCH, offsetof(struct load_options, quiet), .summary = "print no progress" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct load_options, help), .summary = "print this help" },
	{ NULL },
};

/* These are taken one by one. */
static const struct gb_setting said[] = {
	{ "size", GB_SETTING_TEXT, 0, .argument = "SIZE", .fallback = "64",
		.summary =
			"bytes of each message that is made up, a line's end included; 64:0.9,16KiB:0.1 and "
			"64..4096 are some with weights, and a range (echo and line)" },
	{ "merge", GB_SETTING_TEXT, 0, .argument = "FILE", .repeated = true,
		.summary = "no load: add up files that --histogram wrote, and print percentiles" },
	{ "rate", GB_SETTING_TEXT, 0, .argument = "RATE",
		.summary =
			"an open loop: messages per second in all, due at their time whatever the replies do; "
			"1000..50000 rises over the duration" },
	{ "message", GB_SETTING_TEXT, 0, .argument = "TEXT", .repeated = true,
		.summary =
			"what to send, with a line's end for --protocol line; \\r, \\n, \\t, \\0 and \\xHH are "
			"bytes; may be repeated: sent in turn" },
	{ "message-file", GB_SETTING_TEXT, 0, .argument = "FILE",
		.summary = "the same from a file, a message a line" },
	{ "expect", GB_SETTING_TEXT, 0, .argument = "TEXT",
		.summary =
			"with --protocol line: what each reply must be (else lines are counted); with http: its body" },
	{ NULL },
};
const struct gb_args_table gb__load_tables[] = { { "Flags:", flags }, { "TLS:", gb__load_secure_flags },
	{ "Rate, sizes, and messages of one's own:", said }, { NULL, NULL } };

void gb__load_options_help(void)
{
	printf("Usage: %s load ADDRESS [FLAG ...]\n\n"
	       "Sends messages to HOST:PORT, unix:PATH or unix-seqpacket:PATH and checks every byte that comes back.\n\n",
		gb__program.name);
	gb_args_help(stdout, gb__load_tables);
	puts("\nExit codes: 0 when every message was answered rightly, 1 when not, 2 wrong usage, 3 when all were\n"
	     "but the figures are not to be trusted: the reasons come first.");
}

/* What an open loop needs, and cannot be. */
static int check_rate(const struct load_options *options, struct gb_error *error)
{
	double highest = options->rate_from > options->rate_to ? options->rate_from : options->rate_to;

	if (highest > THREAD_RATE_MAX * (double)options->threads)
		return gb_error_set(error, -GB_EUSAGE,
			"--rate %.0f is more than %llu thread%s can send: write at most %.0f, or more --threads",
			highest, (unsigned long long)options->threads, options->threads == 1 ? "" : "s",
			THREAD_RATE_MAX * (double)options->threads);
	if (options->rate_from != options->rate_to && !options->duration_ms)
		return gb_error_set(
			error, -GB_EUSAGE, "a --rate that rises needs to know until when: write --duration");
	if (options->poisson && highest == 0)
		return gb_error_set(error, -GB_EUSAGE, "--arrivals go with --rate");
	return 0;
}

/* It is read again when the load is made: here it is to be told what is wrong with it. */
static int check_conversation(const struct load_options *options, struct gb_error *error)
{
	struct traffic traffic;
	int rc = gb__conversation_read(options->conversation, &traffic, error);

	if (rc == 0)
		gb__traffic_finish(&traffic);
	return rc;
}

static int check(const struct load_options *options, struct gb_error *error)
{
	const struct protocol *protocol = options->protocol;
	int rc = check_rate(options, error);

	if (rc == 0)
		rc = gb__load_secure_check(options, error);
	if (rc < 0)
		return rc;
	if (options->threads > options->connections)
		return gb_error_set(error, -GB_EUSAGE,
			"--threads %llu is more than --connections %llu: each thread needs one",
			(unsigned long long)options->threads, (unsigned long long)options->connections);
	if (options->reconnect && !options->messages_per_connection)
		return gb_error_set(error, -GB_EUSAGE,
			"--reconnect needs to know when a connection closes: write --messages-per-connection N");
	if (protocol == &gb__protocol_resp && options->command) {
		rc = gb__resp_check_mix(options->command, error);
		if (rc < 0)
			return rc;
	}
	if ((protocol == &gb__protocol_conversation) != (options->conversation != NULL))
		return gb_error_set(
			error, -GB_EUSAGE, "--conversation FILE and --protocol conversation go together");
	if (options->conversation) {
		rc = check_conversation(options, error);
		if (rc < 0)
			return rc;
	}
	if (options->source && !options->idle)
		return gb_error_set(error, -GB_EUSAGE, "--source goes with --idle");
	if (options->path && options->path[0] != '/')
		return gb_error_set(error, -GB_EUSAGE, "--path %s: write what follows the host, from / on",
			options->path);
	if (options->messages.count > 0 && protocol != &gb__protocol_echo && protocol != &gb__protocol_line)
		return gb_error_set(error, -GB_EUSAGE,
			"--message goes with --protocol echo or line: %s makes up its own", protocol->name);
	if (options->expected.count > 0 && protocol == &gb__protocol_http)
		return 0;
	if ((options->expected.count > 0 || options->reply_lines > 1) && protocol != &gb__protocol_line)
		return gb_error_set(error, -GB_EUSAGE, "--%s goes with --protocol line",
			options->expected.count ? "expect" : "reply-lines");
	if (options->expected.count > 0 && options->reply_lines > 1)
		return gb_error_set(error, -GB_EUSAGE,
			"--expect says all lines of a reply (with \\n between them): leave --reply-lines out");
	return 0;
}

/* The message codec of a protocol: what own messages need at their end. */
static int frame(struct load_options *options, struct gb_error *error)
{
	if (options->protocol != &gb__protocol_line)
		return 0;
	return gb__messages_frame(&options->messages, &gb_codec_line, NULL, error);
}

static bool is_too_large(const struct messages *messages)
{
	for (size_t i = 0; i < messages->count; i++)
		if (messages->list[i].size == 0 || messages->list[i].size > PACKET_MAX)
			return true;
	return false;
}

/* A message is a packet there, and so is its reply. */
static int check_packets(const struct load_options *options, struct gb_error *error)
{
	if (!options->packets)
		return 0;
	if (options->protocol != &gb__protocol_echo)
		return gb_error_set(error, -GB_EUSAGE,
			"%s: --protocol %s is for streams: to a socket of packets goes --protocol echo",
			options->address, options->protocol->name);
	if (options->idle || options->tls.use)
		return gb_error_set(error, -GB_EUSAGE, "%s: --%s is not for sockets of packets",
			options->address, options->idle ? "idle" : "tls");
	if (options->size > PACKET_MAX || is_too_large(&options->messages) || is_too_large(&options->made))
		return gb_error_set(error, -GB_EUSAGE, "%s: a message is a packet there, of 1 to %u bytes",
			options->address, PACKET_MAX);
	return 0;
}

/* A number above 0 and nothing else. */
static bool read_rate(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return end > text && !*end && *ret > 0 && *ret <= 1e12;
}

static int set_rate(struct load_options *options, const char *value, struct gb_error *error)
{
	const char *dots = strstr(value, "..");
	char from[32];

	snprintf(from, sizeof(from), "%.*s", dots ? (int)(dots - value) : (int)sizeof(from) - 1, value);
	if (read_rate(from, &options->rate_from) && read_rate(dots ? dots + 2 : from, &options->rate_to))
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"--rate %s: messages per second, as 5000, 0.5 or, rising over the duration, 1000..50000",
		value);
}

static int set_flag(struct load_options *options, const struct gb_setting *flag, const char *value,
	struct gb_error *error)
{
	if (strcmp(flag->key, "size") == 0)
		return gb__sizes_parse(value, &options->sizes, error);
	if (strcmp(flag->key, "merge") == 0)
		return gb__messages_add(&options->merged, value, error);
	if (strcmp(flag->key, "rate") == 0)
		return set_rate(options, value, error);
	if (strcmp(flag->key, "message") == 0)
		return gb__messages_add(&options->messages, value, error);
	if (strcmp(flag->key, "message-file") == 0)
		return gb__messages_load(&options->messages, value, error);
	if (strcmp(flag->key, "expect") == 0)
		return gb__messages_add(&options->expected, value, error);
	return gb_settings_set(gb_settings_find(flags, flag->key) ? flags : gb__load_secure_flags, options,
		flag->key, value, error);
}

/* Messages of different sizes lie ready, as those of one's own do. */
static int make_sizes(struct load_options *options, struct gb_error *error)
{
	const struct protocol *protocol = options->protocol;
	int rc;

	options->size = gb__sizes_mean(&options->sizes);
	if (!gb__sizes_vary(&options->sizes) || options->messages.count > 0)
		return 0;
	if (protocol != &gb__protocol_echo && protocol != &gb__protocol_line)
		return gb_error_set(
			error, -GB_EUSAGE, "--size of several sizes goes with --protocol echo or line");
	rc = gb__sizes_make(&options->sizes, protocol == &gb__protocol_line, options->seed, &options->made);
	return rc < 0 ? gb_error_set(error, rc, "%s", gb_strerror(rc)) : 0;
}

static int parse(int argc, char **argv, struct load_options *ret, struct gb_error *error)
{
	struct gb_args args = { .argc = argc, .argv = argv, .tables = gb__load_tables };
	const struct gb_setting *flag;
	const char *value;
	int rc;

	while ((rc = gb_args_next(&args, &flag, &value, error)) > 0) {
		if (flag)
			rc = set_flag(ret, flag, value, error);
		else if (ret->address)
			rc = gb_error_set(error, -GB_EUSAGE, "unexpected \"%s\": at most one address", value);
		else
			ret->address = value;
		if (rc < 0)
			return rc;
	}
	return rc;
}

int gb__load_options_parse(int argc, char **argv, struct load_options *ret, struct gb_error *error)
{
	bool bounded;
	int rc = gb_settings_init(flags, ret, sizeof(*ret));

	if (rc < 0)
		return gb_error_set(error, rc, "%s", gb_strerror(rc));
	ret->tls.resume = true;
	rc = gb__sizes_parse("64", &ret->sizes, error);
	if (rc == 0)
		rc = parse(argc, argv, ret, error);
	if (rc < 0 || ret->help || ret->merged.count > 0)
		return rc;
	if (!ret->address)
		return gb_error_set(error, -GB_EUSAGE,
			"no address to send to: write HOST:PORT, unix:PATH or unix-seqpacket:PATH");
	/* With --reconnect a share per connection bounds nothing. */
	bounded = ret->message_count || (ret->messages_per_connection && !ret->reconnect);
	if (!ret->duration_ms && !bounded)
		ret->duration_ms = DURATION_DEFAULT_MS;
	ret->poisson = ret->arrivals_index == 1;
	ret->protocol = gb__load_protocols[ret->protocol_index];
	gb_settings_get(flags, ret, "engine", ret->engine, sizeof(ret->engine));
	ret->packets = strncmp(ret->address, "unix-seqpacket:", 15) == 0;
	rc = check(ret, error);
	if (rc == 0)
		rc = make_sizes(ret, error);
	if (rc == 0)
		rc = check_packets(ret, error);
	return rc < 0 ? rc : frame(ret, error);
}

void gb__load_options_finish(struct load_options *options)
{
	gb_settings_finish(flags, options);
	gb_settings_finish(gb__load_secure_flags, options);
	gb__messages_finish(&options->messages);
	gb__messages_finish(&options->made);
	gb__messages_finish(&options->merged);
	gb__messages_finish(&options->expected);
}
