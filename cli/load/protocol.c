#include "load/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_WANTED 65536u /* bytes of different lines */
#define NUMBER_DIGITS 8u     /* each line begins with its number, as far as there is room */
#define LINES_MIN 2u         /* however long they are */

const struct protocol *const gb__load_protocols[] = { &gb__protocol_echo, &gb__protocol_line,
	&gb__protocol_time_echo, &gb__protocol_work, &gb__protocol_http, &gb__protocol_resp,
	&gb__protocol_conversation, &gb__protocol_syslog, NULL };

/* `size` - 1 printable characters and a line feed. */
static void fill_line(unsigned char *line, size_t size, size_t number)
{
	char digits[NUMBER_DIGITS + 1];
	size_t room = size - 1 < NUMBER_DIGITS ? size - 1 : NUMBER_DIGITS;

	snprintf(digits, sizeof(digits), "%08zx", number & 0xffffffffu);
	memcpy(line, digits + NUMBER_DIGITS - room, room);
	for (size_t i = room; i < size - 1; i++)
		line[i] = (unsigned char)(' ' + (number * 31 + i) % 95);
	line[size - 1] = '\n';
}

int gb__traffic_of_lines(size_t request_size, struct traffic *ret)
{
	size_t lines = PERIOD_WANTED / request_size;
	unsigned char *data;

	if (lines < LINES_MIN)
		lines = LINES_MIN;
	data = malloc(lines * request_size);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < lines; i++)
		fill_line(data + i * request_size, request_size, i);
	*ret = (struct traffic){ .data = data,
		.size = lines * request_size,
		.period = lines * request_size,
		.request_size = request_size };
	return 0;
}

int gb__traffic_of_messages(const struct messages *messages, struct traffic *ret)
{
	struct traffic traffic = { .sizes = calloc(messages->count, sizeof(size_t)),
		.count = messages->count };
	size_t at = 0;

	for (size_t i = 0; i < messages->count; i++)
		traffic.period += messages->list[i].size;
	traffic.size = traffic.period;
	traffic.data = malloc(traffic.size);
	if (!traffic.sizes || !traffic.data) {
		gb__traffic_finish(&traffic);
		return -ENOMEM;
	}
	for (size_t i = 0; i < messages->count; at += messages->list[i++].size) {
		memcpy(traffic.data + at, messages->list[i].data, messages->list[i].size);
		traffic.sizes[i] = messages->list[i].size;
	}
	*ret = traffic;
	return 0;
}

void gb__traffic_finish(struct traffic *traffic)
{
	free(traffic->data);
	free(traffic->sizes);
	free(traffic->reply_data);
	free(traffic->replies);
	traffic->data = NULL;
	traffic->sizes = NULL;
	traffic->reply_data = NULL;
	traffic->replies = NULL;
}

size_t gb__traffic_turn(const struct traffic *traffic, size_t at)
{
	size_t turn = 0;

	for (size_t place = 0; traffic->sizes && place < at; turn++)
		place += traffic->sizes[turn];
	return turn;
}

int64_t gb__protocol_wrong_byte(
	uint64_t offset, unsigned char expected, unsigned char got, struct gb_error *error)
{
	return gb_error_set(error, -GB_EBADFRAME, "byte %llu of the replies is 0x%02x, expected 0x%02x",
		(unsigned long long)offset, got, expected);
}

int64_t gb__protocol_surplus(uint64_t offset, struct gb_error *error)
{
	return gb_error_set(error, -GB_EBADFRAME, "byte %llu of the replies is one that no request asked for",
		(unsigned long long)offset);
}

int64_t gb__protocol_compare(const unsigned char *expected, const unsigned char *got, size_t size,
	uint64_t offset, struct gb_error *error)
{
	size_t i = 0;

	if (memcmp(expected, got, size) == 0)
		return 0;
	while (expected[i] == got[i])
		i++;
	return gb__protocol_wrong_byte(offset + i, expected[i], got[i], error);
}
