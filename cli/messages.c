#include "messages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct gb_error *error)
{
	return gb_error_set(error, -ENOMEM, "no memory for messages");
}

/* Takes `data`. */
static int append(struct messages *messages, unsigned char *data, size_t size, struct gb_error *error)
{
	struct gb_bytes *grown = reallocarray(messages->list, messages->count + 1, sizeof(*grown));

	if (!grown) {
		free(data);
		return no_memory(error);
	}
	messages->list = grown;
	grown[messages->count++] = (struct gb_bytes){ data, size };
	return 0;
}

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = digit ? strchr(digits, digit) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

/* The byte that `*at`, behind a backslash, stands for; moves `*at` behind it. */
static int unescape(const char **at)
{
	static const char names[] = "rnt0\\", bytes[] = "\r\n\t\0\\";
	const char *name = **at ? strchr(names, **at) : NULL;
	int high, low;

	if (name) {
		(*at)++;
		return (unsigned char)bytes[name - names];
	}
	if (**at != 'x')
		return -1;
	high = hex_digit((*at)[1]);
	low = high < 0 ? -1 : hex_digit((*at)[2]);
	if (low < 0)
		return -1;
	*at += 3;
	return high * 16 + low;
}

int gb__messages_add(struct messages *messages, const char *text, struct gb_error *error)
{
	unsigned char *data = malloc(strlen(text) + 1);
	size_t size = 0;

	if (!data)
		return no_memory(error);
	while (*text) {
		int byte = (unsigned char)*text++;

		if (byte == '\\')
			byte = unescape(&text);
		if (byte < 0) {
			free(data);
			return gb_error_set(error, -GB_EUSAGE,
				"\"\\%.3s\": behind a backslash stand r, n, t, 0, \\ or xHH", text);
		}
		data[size++] = (unsigned char)byte;
	}
	if (size == 0) {
		free(data);
		return gb_error_set(error, -GB_EUSAGE, "a message must not be empty");
	}
	return append(messages, data, size, error);
}

int gb__messages_load(struct messages *messages, const char *path, struct gb_error *error)
{
	FILE *file = fopen(path, "re");
	size_t room = 0, before = messages->count;
	char *line = NULL;
	int result = 0;

	if (!file)
		return gb_error_set(error, -errno, "%s: %s", path, gb_strerror(errno));
	for (unsigned number = 1; result == 0 && getline(&line, &room, file) >= 0; number++) {
		struct gb_error inner;

		line[strcspn(line, "\r\n")] = '\0';
		if (!*line)
			continue;
		result = gb__messages_add(messages, line, &inner);
		if (result < 0)
			gb_error_set(error, result, "%s:%u: %s", path, number, inner.text);
	}
	if (result == 0 && ferror(file))
		result = gb_error_set(error, -EIO, "%s: cannot be read to its end", path);
	if (result == 0 && messages->count == before)
		result = gb_error_set(error, -GB_EUSAGE, "%s: no message in it: write one a line", path);
	free(line);
	fclose(file);
	return result;
}

/* The message with `before` bytes of room in front and `behind` at its end. Frees the one that there was. */
static unsigned char *make_room(struct gb_bytes *message, size_t before, size_t behind)
{
	unsigned char *data = malloc(before + message->size + behind);

	if (!data)
		return NULL;
	memcpy(data + before, message->data, message->size);
	free((void *)message->data);
	*message = (struct gb_bytes){ data, before + message->size + behind };
	return data;
}

static int frame_line(struct gb_bytes *message, struct gb_error *error)
{
	unsigned char *data;

	if (message->data[message->size - 1] == '\n')
		return 0;
	data = make_room(message, 0, 1);
	if (!data)
		return no_memory(error);
	data[message->size - 1] = '\n';
	return 0;
}

static int frame_length(
	struct gb_bytes *message, const struct gb_length_options *options, struct gb_error *error)
{
	static const struct gb_length_options none;
	const struct gb_length_options *header = options ? options : &none;
	const unsigned width = header->width ? header->width : 4;
	int64_t length = (int64_t)message->size - header->adjustment + (header->counts_itself ? width : 0);
	unsigned char *data;

	if (length < 0 || (width < 8 && length >> (8 * width)))
		return gb_error_set(error, -GB_EUSAGE,
			"a message of %zu bytes has no length in the %u bytes for it", message->size, width);
	data = make_room(message, header->offset + width, 0);
	if (!data)
		return no_memory(error);
	memset(data, 0, header->offset);
	for (unsigned i = 0; i < width; i++)
		data[header->offset + i] =
			(unsigned char)(length >> 8 * (header->little_endian ? i : width - 1 - i));
	return 0;
}

static int frame_varint(struct gb_bytes *message, struct gb_error *error)
{
	size_t left = message->size;
	unsigned char header[10], *data;
	unsigned size = 0;

	do {
		header[size] = (unsigned char)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
		left >>= 7;
		size++;
	} while (left);
	data = make_room(message, size, 0);
	if (!data)
		return no_memory(error);
	memcpy(data, header, size);
	return 0;
}

static int frame_delimiter(
	struct gb_bytes *message, const struct gb_delimiter_options *options, struct gb_error *error)
{
	size_t size = message->size;
	unsigned char *data = make_room(message, 0, options->size);

	if (!data)
		return no_memory(error);
	memcpy(data + size, options->bytes, options->size);
	return 0;
}

/* Cut, or filled with blanks. */
static int frame_fixed(
	struct gb_bytes *message, const struct gb_fixed_options *options, struct gb_error *error)
{
	size_t size = message->size;

	if (size < options->size) {
		unsigned char *data = make_room(message, 0, options->size - size);

		if (!data)
			return no_memory(error);
		memset(data + size, ' ', options->size - size);
	}
	message->size = options->size;
	return 0;
}

static int frame(struct gb_bytes *message, const struct gb_codec_ops *codec, const void *options,
	struct gb_error *error)
{
	if (codec == &gb_codec_line)
		return frame_line(message, error);
	if (codec == &gb_codec_length)
		return frame_length(message, options, error);
	if (codec == &gb_codec_varint)
		return frame_varint(message, error);
	if (codec == &gb_codec_delimiter)
		return frame_delimiter(message, options, error);
	if (codec == &gb_codec_fixed)
		return frame_fixed(message, options, error);
	return 0;
}

int gb__messages_frame(struct messages *messages, const struct gb_codec_ops *codec, const void *codec_options,
	struct gb_error *error)
{
	int result = 0;

	for (size_t i = 0; i < messages->count && result == 0; i++)
		result = frame(&messages->list[i], codec, codec_options, error);
	return result;
}

int gb__messages_copy(const struct messages *from, struct messages *to, struct gb_error *error)
{
	int result = 0;

	for (size_t i = 0; i < from->count && result == 0; i++) {
		unsigned char *data = malloc(from->list[i].size);

		if (!data)
			return no_memory(error);
		memcpy(data, from->list[i].data, from->list[i].size);
		result = append(to, data, from->list[i].size, error);
	}
	return result;
}

void gb__messages_finish(struct messages *messages)
{
	for (size_t i = 0; i < messages->count; i++)
		free((void *)messages->list[i].data);
	free(messages->list);
	*messages = (struct messages){ 0 };
}
