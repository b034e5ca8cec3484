/*
 * Lines. Fused input costs one memchr per line; a line that comes in pieces is searched once, since
 * `scanned` keeps the place where the last search ended.
 */
#include "base/assert.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#include <string.h>

/* A line of `max` bytes may be followed by two of its end. */
static size_t window_size(size_t size, size_t max)
{
	return size > max && size - max > 2 ? max + 2 : size;
}

static int decode_incomplete(struct gb_bytes input, size_t max, uint32_t *scanned)
{
	/* With max + 1 bytes only a CR behind the maximum can still be the beginning of an end. */
	if (input.size > max && (input.size - max >= 2 || input.data[max] != '\r'))
		return -GB_ETOOLARGE;
	*scanned = (uint32_t)gb__min(input.size, (size_t)UINT32_MAX);
	return 0;
}

static int line_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_line_options *line_options = options;
	size_t window = window_size(input.size, max_message), from = *scanned, consumed, size;
	const unsigned char *end;

	gb__assert(from <= input.size);
	end = gb__likely(from < window) ? memchr(input.data + from, '\n', window - from) : NULL;
	if (!end)
		return decode_incomplete(input, max_message, scanned);
	consumed = (size_t)(end - input.data) + 1;
	size = consumed - 1;
	if (size > 0 && end[-1] == '\r')
		size--;
	if (gb__unlikely(size > max_message))
		return -GB_ETOOLARGE;
	ret->consumed = consumed;
	ret->offset = 0;
	ret->size = line_options && line_options->keep_end ? consumed : size;
	return 1;
}

const struct gb_codec_ops gb_codec_line = { .name = "line", .decode = line_decode };
