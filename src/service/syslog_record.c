#include "syslog_record.h"

#include <gearbox/error.h>

#include <stdint.h>
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

/* So many bytes from the front need no escape. */
static size_t plain(const unsigned char *data, size_t size)
{
	size_t i = 0;

	/* Eight at a time: a byte below 0x20 or of 0x7f leaves a bit where it is; one behind such a byte may, too. */
	for (; size - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
		const uint64_t ones = ~0ull / 255, tops = ones << 7;
		uint64_t word, low, del;

		memcpy(&word, data + i, sizeof(word));
		low = (word - ones * 0x20) & ~word & tops;
		del = ((word ^ ones * 0x7f) - ones) & ~(word ^ ones * 0x7f) & tops;
		if (low | del)
			break;
	}
	while (i < size && data[i] >= ' ' && data[i] != 0x7f)
		i++;
	return i;
}

size_t syslog_line(struct gb_bytes record, bool cut, unsigned char *to)
{
	const unsigned char *begin = to, *from = record.data;
	size_t left = record.size;

	if (left > 0 && !cut && from[left - 1] == '\n')
		left--;
	for (;;) {
		size_t size = plain(from, left);

		memcpy(to, from, size);
		to += size;
		if (size == left)
			break;
		from += size;
		left -= size + 1;
		*to++ = '#';
		*to++ = (unsigned char)('0' + (*from >> 6));
		*to++ = (unsigned char)('0' + (*from >> 3 & 7));
		*to++ = (unsigned char)('0' + (*from++ & 7));
	}
	if (cut) {
		memcpy(to, SYSLOG_CUT, SYSLOG_CUT_SIZE);
		to += SYSLOG_CUT_SIZE;
	}
	*to++ = '\n';
	return (size_t)(to - begin);
}

struct gb_bytes syslog_begun(struct gb_bytes rest)
{
	size_t at = 0;

	if (rest.size > 0 && rest.data[0] == '<')
		return rest;
	while (at < rest.size && rest.data[at] >= '0' && rest.data[at] <= '9')
		at++;
	if (at < rest.size)
		at++; /* the blank */
	return (struct gb_bytes){ rest.data + at, rest.size - at };
}
