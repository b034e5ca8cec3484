#include "load/options.h"

#include "command.h"

#include <gearbox/args.h>

#include <stdio.h>

#define DURATION_DEFAULT_MS 10000u
#define WEEK_MS (7ull * 24 * 3600 * 1000) /* what timeouts of connections may be at most */

static const struct gb_setting flags[] = {
	{ "connections", GB_SETTING_COUNT, offsetof(struct load_options, connections), .fallback = "50",
		.min = 1, .max = 1000000, .summary = "connections at a time" },
	{ "protocol", GB_SETTING_CHOICE, offsetof(struct load_options, protocol_index), .fallback = "echo",
		.choices = PROTOCOL_CHOICES,
		.summary =
			"what the server must answer: the same bytes, or each line with the time before it "
			"(time-echo)" },
	{ "size", GB_SETTING_SIZE, offsetof(struct load_options, size), .fallback = "64", .min = 1,
		.max = 16 << 20, .summary = "bytes of each message, a line's end included" },
	{ "depth", GB_SETTING_COUNT, offsetof(struct load_options, depth), .fallback = "1", .min = 1,
		.max = 65536, .summary = "messages that each connection keeps unanswered" },
	{ "duration", GB_SETTING_DURATION, offsetof(struct load_options, duration_ms), .max = WEEK_MS,
		.summary =
			"how long to send (default 10s; with a number of messages, as long as they last)" },
	{ "messages", GB_SETTING_COUNT, offsetof(struct load_options, messages), .min = 1,
		.summary = "how many to send in all" },
	{ "messages-per-connection", GB_SETTING_COUNT, offsetof(struct load_options, messages_per_connection),
		.min = 1, .summary = "each connection closes once so many are answered" },
	{ "reconnect", GB_SETTING_SWITCH, offsetof(struct load_options, reconnect),
		.summary = "a new connection takes the place of one that has closed (connect, echo, close)" },
	{ "connect-timeout", GB_SETTING_DURATION, offsetof(struct load_options, connect_timeout_ms),
		.fallback = "10s", .max = WEEK_MS,
		.summary = "give up on a connection that is not established in time" },
	{ "timeout", GB_SETTING_DURATION, offsetof(struct load_options, timeout_ms), .fallback = "10s",
		.max = WEEK_MS, .summary = "give up when nothing moves for so long" },
	{ "engine", GB_SETTING_CHOICE, offsetof(struct load_options, engine_index), .fallback = "epoll",
		.choices = "auto|epoll|io_uring|poll|select",
		.summary = "what the generator itself runs on" },
	{ "json", GB_SETTING_SWITCH, offsetof(struct load_options, json),
		.summary = "print the result as JSON" },
	{ "progress", GB_SETTING_SWITCH, offsetof(struct load_options, progress),
		.summary = "print progress on standard error even when that is no terminal" },
	{ "quiet", GB_SETTING_SWITCH, offsetof(struct load_options, quiet), .summary = "print no progress" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct load_options, help), .summary = "print this help" },
	{ NULL },
};

void gb__load_options_help(void)
{
	const struct gb_args_table tables[] = { { "Flags:", flags }, { NULL, NULL } };

	printf("Usage: %s load ADDRESS [FLAG ...]\n\n"
	       "Sends messages to HOST:PORT or unix:PATH and checks every byte that comes back.\n\n",
		gb__program.name);
	gb_args_help(stdout, tables);
	puts("\nExit codes: 0 when every message was answered rightly, 1 when not, 2 wrong usage.");
}

static int check(struct load_options *options, struct gb_error *error)
{
	if (options->reconnect && !options->messages_per_connection)
		return gb_error_set(error, -GB_EUSAGE,
			"--reconnect needs to know when a connection closes: write --messages-per-connection N");
	return 0;
}

int gb__load_options_parse(int argc, char **argv, struct load_options *ret, struct gb_error *error)
{
	bool bounded;
	int rc = gb_settings_init(flags, ret, sizeof(*ret));

	if (rc < 0)
		return gb_error_set(error, rc, "%s", gb_strerror(rc));
	rc = gb_args_parse(argc, argv, flags, ret, &ret->address, 1, error);
	if (rc < 0 || ret->help)
		return rc < 0 ? rc : 0;
	if (rc == 0)
		return gb_error_set(error, -GB_EUSAGE, "no address to send to: write HOST:PORT or unix:PATH");
	/* With --reconnect a share per connection bounds nothing. */
	bounded = ret->messages || (ret->messages_per_connection && !ret->reconnect);
	if (!ret->duration_ms && !bounded)
		ret->duration_ms = DURATION_DEFAULT_MS;
	ret->protocol = gb__load_protocols[ret->protocol_index];
	gb_settings_get(flags, ret, "engine", ret->engine, sizeof(ret->engine));
	return check(ret, error);
}
