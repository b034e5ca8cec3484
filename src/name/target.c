#include "name/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 63u
#define SERVICE_PREFIX "srv:"

bool gb__target_is_name(const char *text)
{
	const char *colon = strrchr(text, ':');

	if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "unix-seqpacket:", 15) == 0)
		return false;
	if (*text == '_' || strncmp(text, SERVICE_PREFIX, 4) == 0)
		return true;
	if (*text == '[' || !colon || memchr(text, ':', (size_t)(colon - text)))
		return false;
	for (const char *at = text; at < colon; at++)
		if ((*at < '0' || *at > '9') && *at != '.')
			return colon != text + 1 || *text != '*';
	return false;
}

static bool belongs(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

/* Copied in lower case. Returns whether it is one. */
static bool take_name(const char *name, size_t length, char *ret)
{
	size_t label = 0;

	if (length == 0 || length >= GB__NAME_SIZE ||
		(length == GB__NAME_SIZE - 1 && name[length - 1] != '.'))
		return false;
	for (size_t i = 0; i < length; i++) {
		char byte = name[i];

		if (byte >= 'A' && byte <= 'Z')
			byte = (char)(byte - 'A' + 'a');
		ret[i] = byte;
		label = byte == '.' ? 0 : label + 1;
		if (byte == '.' ? i == 0 || ret[i - 1] == '.' : !belongs(byte) || label > LABEL_MAX)
			return false;
	}
	ret[length] = '\0';
	return true;
}

static int parse_name(
	const char *text, const char *name, size_t length, struct gb__target *ret, struct gb_error *error)
{
	if (take_name(name, length, ret->name))
		return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"\"%.*s%s\" is not a name: write labels of 1 to 63 letters, digits, - and _ with dots between, 253 bytes in all (xn--… for others)",
		60, text, strlen(text) > 60 ? "…" : "");
}

int gb__target_parse(const char *text, struct gb__target *ret, struct gb_error *error)
{
	const char *colon = strrchr(text, ':');
	unsigned long port;
	char *rest;
	int result;

	if (!gb__target_is_name(text)) {
		result = gb__address_parse(text, false, &ret->address, error);
		if (result < 0)
			return result;
		ret->kind = GB__TARGET_ADDRESS;
		gb__address_to_client(&ret->address);
		return 0;
	}
	if (strncmp(text, SERVICE_PREFIX, 4) == 0 || !colon) {
		const char *name = *text == '_' ? text : text + 4;

		ret->kind = GB__TARGET_SERVICE;
		if (*text == '_' && !strstr(text, "._"))
			return gb_error_set(error, -GB_EUSAGE,
				"\"%.60s\" is no service: write _service._proto.NAME, or srv:NAME for any other name with SRV records",
				text);
		return parse_name(text, name, strlen(name), ret, error);
	}
	port = strtoul(colon + 1, &rest, 10);
	if (colon[1] < '0' || colon[1] > '9' || *rest || port > UINT16_MAX)
		return gb_error_set(error, -GB_EUSAGE,
			"\"%.60s\": the port must be a number from 0 to 65535; a service (SRV) is written _service._proto.NAME",
			text);
	ret->kind = GB__TARGET_HOST;
	ret->port = (uint16_t)port;
	return parse_name(text, text, (size_t)(colon - text), ret, error);
}

int gb__servers_check(const char *text, struct gb_error *error)
{
	char one[GB__ADDRESS_TEXT / 2];
	struct gb__address server;

	while (*text) {
		size_t length = strcspn(text, ",");

		snprintf(one, sizeof(one), "%.*s", (int)length, text);
		if (length == 0 || length >= sizeof(one) || gb__address_parse_server(one, 53, &server) < 0)
			return gb_error_set(error, -GB_EUSAGE,
				"\"%s\" is no name server: write ADDRESS or ADDRESS:PORT, numeric ([IPv6]:PORT), several with commas between",
				one);
		text += length;
		if (*text == ',' && !*++text)
			return gb_error_set(error, -GB_EUSAGE, "nothing follows the last comma");
	}
	return 0;
}

void gb__target_format(const struct gb__target *target, char *text, size_t size)
{
	switch (target->kind) {
	case GB__TARGET_ADDRESS:
		if (gb__address_format(&target->address, text, size) < 0)
			snprintf(text, size, "somewhere");
		return;
	case GB__TARGET_HOST:
		snprintf(text, size, "%s:%u", target->name, target->port);
		return;
	case GB__TARGET_SERVICE:
		snprintf(text, size, "%s", target->name);
	}
}
