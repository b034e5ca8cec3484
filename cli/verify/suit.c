/* A codec says itself what it takes: it has no I/O, so it can be asked. */
#include "verify/suit.h"

#include "verify/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first three suffice for talks that cut at every place, or send a byte at a time. Behind them comes one of LONG bytes. */
static const char *const usual_messages[] = { "hello, world of servers!", "a", "goodbye", NULL };
#define LONG 4000u

const char *const gb__suit_ends[] = { "", "\\n", "\\r\\n", "\\r\\n\\r\\n", "\\0", NULL };
#define ENDS (sizeof(gb__suit_ends) / sizeof(*gb__suit_ends) - 1)
static const struct gb_length_options usual_headers[] = { { .width = 4 }, { .width = 2 }, { .width = 1 },
	{ .width = 4, .little_endian = 1 }, { .width = 2, .little_endian = 1 },
	{ .width = 4, .counts_itself = 1 }, { .width = 8 } };

static bool of_library(const struct gb_codec_ops *codec)
{
	return !codec || codec == &gb_codec_line || codec == &gb_codec_length || codec == &gb_codec_varint ||
		codec == &gb_codec_delimiter || codec == &gb_codec_fixed;
}

/* Returns 0 when the bytes fall into whole messages, else what the codec says of the first at `*ret_at` that is none. */
static int decode_all(const struct gb_service *service, struct gb_bytes bytes, size_t *ret_at)
{
	const struct gb_codec_ops *codec = service->codec;
	void *state = codec->state_size ? calloc(1, codec->state_size) : NULL;
	int result = codec->state_size && !state ? -ENOMEM : 1;

	*ret_at = 0;
	while (result == 1 && *ret_at < bytes.size) {
		const struct gb_bytes rest = { bytes.data + *ret_at, bytes.size - *ret_at };
		struct gb_frame frame = { 0 };
		uint32_t scanned = 0;

		result = codec->decode(
			service->codec_options, state, rest, VERIFY_MESSAGE_MAX, &scanned, &frame);
		if (result == 1 && (frame.consumed == 0 || frame.consumed > rest.size))
			result = -GB_EBADFRAME;
		if (result == 1)
			*ret_at += frame.consumed;
		else if (result == 0)
			result = -EAGAIN;
	}
	free(state);
	return result == 1 ? 0 : result;
}

/* All of them, as a client would send them. Returns 0 or -ENOMEM. */
static int join(const struct messages *messages, struct gb_bytes *ret)
{
	unsigned char *data;
	size_t size = 0;

	for (size_t i = 0; i < messages->count; i++)
		size += messages->list[i].size;
	data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	*ret = (struct gb_bytes){ data, size };
	for (size_t i = 0; i < messages->count; i++) {
		memcpy(data, messages->list[i].data, messages->list[i].size);
		data += messages->list[i].size;
	}
	return 0;
}

static int check(const struct gb_service *service, const struct messages *messages, struct gb_error *error)
{
	const struct gb_bytes *message = messages->list;
	struct gb_bytes bytes;
	size_t at;
	int result = join(messages, &bytes);

	if (result < 0)
		return gb_error_set(error, result, "no memory for messages");
	result = decode_all(service, bytes, &at);
	free((void *)bytes.data);
	if (result == 0)
		return 0;
	while (at >= message->size)
		at -= message++->size;
	return gb_error_set(error, -GB_EUSAGE,
		"%s: message %zu, \"%.*s\", %s the codec \"%s\", which gets what clients send as it is, its framing "
		"included (in messages \\r, \\n, \\0 and \\xHH are bytes)",
		service->name, (size_t)(message - messages->list) + 1,
		(int)(message->size < 40 ? message->size : 40), (const char *)message->data,
		result == -EAGAIN                 ? "is not complete for"
			: result == -GB_ETOOLARGE ? "is too large for"
						  : "is refused by",
		service->codec->name ? service->codec->name : "?");
}

static int add_long(struct messages *messages, const char *end, struct gb_error *error)
{
	static const char line[] = "the quick brown fox jumps over the lazy dog ";
	char text[LONG + 16];

	for (size_t i = 0; i < LONG; i++)
		text[i] = line[i % (sizeof(line) - 1)];
	snprintf(text + LONG, sizeof(text) - LONG, "%s", end);
	return gb__messages_add(messages, text, error);
}

static int add_usual(struct messages *messages, bool brief, const char *end, struct gb_error *error)
{
	int result = 0;

	for (const char *const *text = usual_messages; *text && result == 0; text++) {
		char ended[64];

		snprintf(ended, sizeof(ended), "%s%s", *text, end);
		result = gb__messages_add(messages, ended, error);
	}
	return result < 0 || brief ? result : add_long(messages, end, error);
}

/* A way of framing in which a codec of one's own takes the usual messages. */
static int find_usual(
	const struct gb_service *service, bool brief, struct messages *ret, struct gb_error *error)
{
	const size_t headers = sizeof(usual_headers) / sizeof(*usual_headers);

	for (size_t i = 0; i < ENDS + headers; i++) {
		int result = add_usual(ret, brief, i < ENDS ? gb__suit_ends[i] : "", error);

		if (result == 0 && i >= ENDS)
			result = gb__messages_frame(ret, &gb_codec_length, &usual_headers[i - ENDS], error);
		if (result == -ENOMEM)
			return result;
		if (result == 0 && check(service, ret, error) == 0)
			return 0;
		gb__messages_finish(ret);
	}
	return gb_error_set(error, -GB_EUSAGE,
		"%s: its codec \"%s\" takes none of the usual messages: say what clients send by --message TEXT or "
		"--message-file FILE, framing included, or in the service's `samples`",
		service->name, service->codec->name ? service->codec->name : "?");
}

bool gb__suit_usual(const struct gb_service *service, const struct messages *given)
{
	return given->count == 0 && !(service->samples && *service->samples);
}

int gb__suit_messages(const struct gb_service *service, const struct messages *given, bool brief,
	const char *end, struct messages *ret, struct gb_error *error)
{
	int result;

	if (gb__suit_usual(service, given) && !of_library(service->codec))
		return find_usual(service, brief, ret, error);
	if (given->count > 0) {
		result = gb__messages_copy(given, ret, error);
	} else {
		for (const char *const *text = service->samples; text && *text; text++) {
			result = gb__messages_add(ret, *text, error);
			if (result < 0)
				return result;
		}
		result = ret->count > 0 ? 0 : add_usual(ret, brief, service->codec ? "" : end, error);
	}
	if (result == 0)
		result = gb__messages_frame(ret, service->codec, service->codec_options, error);
	return result == 0 && !of_library(service->codec) ? check(service, ret, error) : result;
}

bool gb__suit_framed(const struct gb_service *service, const struct messages *messages)
{
	if (!service->codec)
		return false;
	if (of_library(service->codec))
		return true;
	for (size_t i = 0; i < messages->count; i++) {
		const struct gb_bytes *message = &messages->list[i];
		size_t at;

		if (message->size < 2 ||
			decode_all(service, (struct gb_bytes){ message->data, message->size - 1 }, &at) !=
				-EAGAIN ||
			at > 0)
			return false;
	}
	return messages->count > 0;
}
