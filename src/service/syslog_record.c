#include "syslog_record.h"

#include <gearbox/error.h>

#include <string.h>

#define DIGITS_MAX 9u /* of a length: no overflow */

/* The record that its length is written before. */
static int decode_counted(struct gb_bytes input, size_t max_message, struct gb_frame *ret)
{
	size_t at = 0, size = 0;

	for (; at < input.size && input.data[at] >= '0' && input.data[at] <= '9'; at++) {
		size = size * 10 + (size_t)(input.data[at] - '0');
		if (at == DIGITS_MAX || size > max_message)
			return -GB_ETOOLARGE;
	}
	if (at == input.size)
		return 0;
	if (input.data[at++] != ' ') {
		ret->problem = "no space behind the length of a record";
		return -GB_EBADFRAME;
	}
	if (at == input.size)
		return 0;
	if (input.data[at] != '<') {
		ret->problem = "a record behind its length does not begin with <";
		return -GB_EBADFRAME;
	}
	if (input.size - at < size)
		return 0;
	*ret = (struct gb_frame){ .consumed = at + size, .offset = at, .size = size };
	return 1;
}

/* The record up to the end of its line, which does not count towards the maximum. */
static int decode_line(struct gb_bytes input, size_t max_message, uint32_t *scanned, struct gb_frame *ret)
{
	const unsigned char *found = memchr(input.data + *scanned, '\n', input.size - *scanned);
	size_t size = found ? (size_t)(found - input.data) : input.size;

	if (size > 0 && input.data[size - 1] == '\r')
		size--;
	if (size > max_message)
		return -GB_ETOOLARGE;
	if (!found) {
		*scanned = (uint32_t)(input.size < UINT32_MAX ? input.size : UINT32_MAX);
		return 0;
	}
	*ret = (struct gb_frame){ .consumed = (size_t)(found - input.data) + 1, .size = size };
	return 1;
}

static int decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	(void)options;
	(void)state;
	if (input.size == 0)
		return 0;
	if (input.data[0] == '<')
		return decode_line(input, max_message, scanned, ret);
	if (input.data[0] >= '1' && input.data[0] <= '9')
		return decode_counted(input, max_message, ret);
	ret->problem = "a record begins with neither a length nor <";
	return -GB_EBADFRAME;
}

const struct gb_codec_ops syslog_codec = { .name = "syslog", .decode = decode };

size_t syslog_line(struct gb_bytes record, unsigned char *to)
{
	const unsigned char *begin = to;

	if (record.size > 0 && record.data[record.size - 1] == '\n')
		record.size--;
	for (size_t i = 0; i < record.size; i++) {
		unsigned char byte = record.data[i];

		if (byte >= ' ' && byte != 0x7f) {
			*to++ = byte;
			continue;
		}
		*to++ = '#';
		*to++ = (unsigned char)('0' + (byte >> 6));
		*to++ = (unsigned char)('0' + (byte >> 3 & 7));
		*to++ = (unsigned char)('0' + (byte & 7));
	}
	*to++ = '\n';
	return (size_t)(to - begin);
}
