/*
 * Lines. Where they are short their end is looked for here, else by memchr; a line that comes in pieces is
 * searched once, since `scanned` keeps the place where the last search ended.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "codec/part.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#include <stddef.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

/* The line in front of the LF at `end`. */
static inline size_t line_size(const unsigned char *data, size_t end)
{
	return end > 0 && data[end - 1] == '\r' ? end - 1 : end;
}

static inline int line_found(
	const struct gb_line_options *options, const unsigned char *data, size_t end, struct gb_frame *ret)
{
	ret->consumed = end + 1;
	ret->offset = 0;
	ret->size = options && options->keep_end ? end + 1 : line_size(data, end);
	return 1;
}

/* Takes its arguments as line_decode has them in registers: that one moves nothing about to go on here. */
static __attribute__((noinline)) int decode_far(const struct gb_line_options *options, struct gb_frame *ret,
	struct gb_bytes input, size_t max_message, uint32_t *scanned)
{
	const size_t window = window_size(input.size, max_message), from = *scanned;
	const unsigned char *found;
	size_t end;

	gb__assert(from <= input.size);
	found = from < window ? memchr(input.data + from, '\n', window - from) : NULL;
	if (!found)
		return decode_incomplete(input, max_message, scanned);
	end = (size_t)(found - input.data);
	if (line_size(input.data, end) > max_message)
		return -GB_ETOOLARGE;
	return line_found(options, input.data, end, ret);
}

#ifdef __SSE2__
#define BLOCK (ptrdiff_t)sizeof(__m128i)

/* A bit for each LF of 16 bytes. */
static inline uint64_t ends_of(const unsigned char *at)
{
	const __m128i bytes = _mm_loadu_si128((const __m128i *)at);

	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')));
}

/* Most lines are short: to look here for their end costs less than a call. */
static int line_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const unsigned char *data = input.data;
	size_t at = *scanned;
	uint64_t ends = 0;

	if (gb__unlikely(input.size > max_message)) /* else no line in it is too long */
		return decode_far(options, ret, input, max_message, scanned);
	if (gb__likely((ptrdiff_t)(input.size - at) >= 4 * BLOCK))
		ends = ends_of(data + at) | ends_of(data + at + BLOCK) << 16 |
			ends_of(data + at + 2 * BLOCK) << 32 | ends_of(data + at + 3 * BLOCK) << 48;
	else
		for (; (ptrdiff_t)(input.size - at) >= BLOCK && !(ends = ends_of(data + at)); at += BLOCK)
			;
	if (gb__likely(ends))
		return line_found(options, data, at + (size_t)__builtin_ctzll(ends), ret);
	return decode_far(options, ret, input, max_message, scanned);
}
#else
static int line_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	return decode_far(options, ret, input, max_message, scanned);
}
#endif

static int line_decode_part(const void *options, void *state, struct gb_bytes input, size_t max_part,
	struct gb_progress *progress, struct gb_frame *ret)
{
	const struct gb_line_options *line = options;
	const size_t window = window_size(input.size, max_part);
	const unsigned char *found = memchr(input.data, '\n', window);
	size_t end = found ? (size_t)(found - input.data) : input.size;

	if (found && line_size(input.data, end) <= max_part)
		return gb__part_last(progress, line && line->keep_end ? end + 1 : line_size(input.data, end),
			end + 1, ret);
	/* A CR behind all may begin the end. */
	if (!found && window == input.size && input.size > 0)
		end -= input.data[end - 1] == '\r';
	return gb__part_of_unknown(progress, end, max_part, ret);
}

const struct gb_codec_ops gb_codec_line = {
	.name = "line",
	.decode = line_decode,
	.decode_part = line_decode_part,
};
