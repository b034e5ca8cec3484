/* Options of sockets that are texts, and what sockets are made of. */
#include "model/options.h"

#include "base/macros.h"
#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX 64u /* bytes of a part of a list, terminator included */
#define KEEPALIVE_MS_MIN 1000u
#define KEEPALIVE_MS_MAX 32767000u /* MAX_TCP_KEEPIDLE, in seconds, of the kernel */
#define KEEPALIVE_COUNT_MAX 127u

static bool is_none(const char *text)
{
	return strcmp(text, "none") == 0;
}

static int parse_mode(const char *text, struct gb_options *options, struct gb_error *error)
{
	char *rest;
	unsigned long mode = strtoul(text, &rest, 8);

	if (is_none(text))
		mode = 0;
	else if (*text < '0' || *text > '7' || *rest || mode == 0 || mode > 0777)
		return gb_error_set(error, -GB_EUSAGE,
			"unix-mode: \"%.20s\" is no mode: write permissions in octal, e.g. 660, or none",
			text);
	options->unix_mode = (unsigned)mode;
	return 0;
}

/* A number is one, whether or not somebody has it. */
static bool parse_id(const char *text, uint32_t *ret)
{
	char *rest;
	unsigned long number = strtoul(text, &rest, 10);

	if (*text < '0' || *text > '9' || *rest || number >= UINT32_MAX)
		return false;
	*ret = (uint32_t)number;
	return true;
}

static int parse_owner(const char *text, struct gb_options *options, struct gb_error *error)
{
	uint32_t id = 0;

	if (!is_none(text) && !parse_id(text, &id)) {
		const struct passwd *user = getpwnam(text);

		if (!user)
			return gb_error_set(error, -GB_EUSAGE,
				"unix-owner: there is no user \"%.40s\": see `getent passwd`", text);
		id = user->pw_uid;
	}
	options->unix_owner = (struct gb__owner){ !is_none(text), id };
	return 0;
}

static int parse_group(const char *text, struct gb_options *options, struct gb_error *error)
{
	uint32_t id = 0;

	if (!is_none(text) && !parse_id(text, &id)) {
		const struct group *group = getgrnam(text);

		if (!group)
			return gb_error_set(error, -GB_EUSAGE,
				"unix-group: there is no group \"%.40s\": see `getent group`", text);
		id = group->gr_gid;
	}
	options->unix_group = (struct gb__owner){ !is_none(text), id };
	return 0;
}

/* The next part of a list with commas. Returns whether there is one; one that is too long is cut, and so wrong. */
static bool next_part(const char **text, char ret[PART_MAX])
{
	size_t length;

	if (!*text)
		return false;
	length = strcspn(*text, ",");
	snprintf(ret, PART_MAX, "%.*s", (int)length, *text);
	*text = (*text)[length] ? *text + length + 1 : NULL;
	return true;
}

static bool parse_time(const char *text, uint64_t *ret_ms)
{
	return gb__parse_duration(text, ret_ms) == 0 && *ret_ms >= KEEPALIVE_MS_MIN &&
		*ret_ms <= KEEPALIVE_MS_MAX;
}

static int parse_keepalive(const char *text, struct gb_options *options, struct gb_error *error)
{
	struct gb__keepalive keepalive = { 0 };
	const char *at = is_none(text) ? NULL : text;
	char part[PART_MAX];
	uint64_t count = 0;
	bool right = true;

	if (next_part(&at, part))
		right = parse_time(part, &keepalive.idle_ms);
	if (right && next_part(&at, part))
		right = parse_time(part, &keepalive.interval_ms);
	if (right && next_part(&at, part))
		right = gb__parse_units(part, gb__count_units, &count) == 0 && count > 0 &&
			count <= KEEPALIVE_COUNT_MAX;
	if (!right || at)
		return gb_error_set(error, -GB_EUSAGE,
			"keepalive: \"%.48s\" is wrong: write IDLE, IDLE,INTERVAL or IDLE,INTERVAL,COUNT, times from 1s to "
			"32767s, a count to 127, e.g. 60s,10s,3; or none",
			text);
	keepalive.count = (unsigned)count;
	options->keepalive = keepalive;
	return 0;
}

static int check_device(const char *key, const char *text, struct gb_error *error)
{
	if (*text && strlen(text) < IFNAMSIZ)
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"%s: \"%.40s\" is no interface: a name has 1 to %d bytes; see `ip link`", key, text,
		IFNAMSIZ - 1);
}

static int parse_device(const char *text, struct gb_options *options, struct gb_error *error)
{
	return check_device("device", text, error);
}

static int parse_connect_device(const char *text, struct gb_options *options, struct gb_error *error)
{
	return check_device("connect-device", text, error);
}

/* An address without a port; IPv6 with or without brackets, as nothing else has colons here. */
static int parse_source_address(const char *text, struct gb__address *ret, struct gb_error *error)
{
	char address[PART_MAX + 8];
	struct in_addr v4;
	struct gb_error reason = { 0 };
	int result;

	snprintf(address, sizeof(address), strchr(text, ':') && *text != '[' ? "[%s]:0" : "%s:0", text);
	result = *text && strcmp(text, "*") != 0 ? gb__address_parse(address, false, ret, &reason)
						 : -GB_EUSAGE;
	/* getaddrinfo takes 1.2.3 as well, which others read otherwise. */
	if (result == 0 && ret->any.sa_family == AF_INET && inet_pton(AF_INET, text, &v4) != 1)
		result = -GB_EUSAGE;
	if (result == 0 && gb__address_is_ip(ret))
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"connect-source: \"%.48s\" is no address: write one of IPv4, of IPv6, or both, as 192.0.2.1,2001:db8::1",
		text);
}

static int parse_source(const char *text, struct gb_options *options, struct gb_error *error)
{
	struct gb__source source = { 0 };
	const char *at = is_none(text) ? NULL : text;
	char part[PART_MAX];

	while (next_part(&at, part)) {
		struct gb__address address, *place;
		int result = parse_source_address(part, &address, error);

		if (result < 0)
			return result;
		place = address.any.sa_family == AF_INET ? &source.v4 : &source.v6;
		if (place->size)
			return gb_error_set(error, -GB_EUSAGE,
				"connect-source: \"%.80s\" has two addresses of one family: write one of each",
				text);
		*place = address;
	}
	options->source = source;
	return 0;
}

gb__option_parse *gb__option_of_sockets(const char *key)
{
	static const struct {
		const char *key;
		gb__option_parse *parse;
	} rows[] = { { "unix-mode", parse_mode }, { "unix-owner", parse_owner },
		{ "unix-group", parse_group }, { "keepalive", parse_keepalive }, { "device", parse_device },
		{ "connect-device", parse_connect_device }, { "connect-source", parse_source } };

	for (size_t i = 0; i < gb__countof(rows); i++)
		if (strcmp(rows[i].key, key) == 0)
			return rows[i].parse;
	return NULL;
}

struct gb__socket_options gb__options_socket(const struct gb_options *options)
{
	struct gb__socket_options socket = {
		.backlog = (unsigned)options->backlog,
		.nodelay = options->nodelay,
		.sndbuf = options->sndbuf,
		.rcvbuf = options->rcvbuf,
		.user_timeout_ms = options->user_timeout_ms,
		.keepalive = options->keepalive,
		.mark = (uint32_t)options->mark,
		.defer_accept_ms = options->defer_accept_ms,
		.fastopen = (unsigned)options->fastopen,
		.freebind = options->freebind,
		.v6only = (enum gb__v6only)options->v6only,
		.unix_mode = options->unix_mode,
		.unix_owner = options->unix_owner,
		.unix_group = options->unix_group,
		.source = options->source,
	};

	if (!is_none(options->device))
		snprintf(socket.device, sizeof(socket.device), "%s", options->device);
	if (!is_none(options->connect_device))
		snprintf(socket.connect_device, sizeof(socket.connect_device), "%s", options->connect_device);
	return socket;
}
