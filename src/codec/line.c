/*
 * Lines. Where they are short their end is looked for here, else by memchr; a line that comes in pieces is
 * searched once, since `scanned` keeps the place where the last search ended.
 */
#include "base/assert.h"

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

static inline int line_found(const struct gb_line_options *options, struct gb_bytes input, size_t max,
	const unsigned char *end, struct gb_frame *ret)
{
	const size_t consumed = (size_t)(end - input.data) + 1;
	size_t size = consumed - 1;

	if (size > 0 && end[-1] == '\r')
		size--;
	if (gb__unlikely(size > max))
		return -GB_ETOOLARGE;
	ret->consumed = consumed;
	ret->offset = 0;
	ret->size = gb__unlikely(options && options->keep_end) ? consumed : size;
	return 1;
}

static __attribute__((noinline)) int decode_far(const void *options, void *state, struct gb_bytes input,
	size_t max_message, uint32_t *scanned, struct gb_frame *ret)
{
	const size_t window = window_size(input.size, max_message), from = *scanned;
	const unsigned char *end;

	gb__assert(from <= input.size);
	end = from < window ? memchr(input.data + from, '\n', window - from) : NULL;
	return end ? line_found(options, input, max_message, end, ret)
		   : decode_incomplete(input, max_message, scanned);
}

#ifdef __SSE2__
#define BLOCK sizeof(__m128i)

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
	const unsigned char *at = input.data + *scanned, *limit = input.data + input.size;
	uint64_t ends = 0;

	if (gb__unlikely(input.size > max_message))
		return decode_far(options, state, input, max_message, scanned, ret);
	if (gb__likely(limit - at >= (ptrdiff_t)(4 * BLOCK)))
		ends = ends_of(at) | ends_of(at + BLOCK) << 16 | ends_of(at + 2 * BLOCK) << 32 |
			ends_of(at + 3 * BLOCK) << 48;
	else
		for (; limit - at >= (ptrdiff_t)BLOCK && !(ends = ends_of(at)); at += BLOCK)
			;
	if (gb__likely(ends))
		return line_found(options, input, max_message, at + __builtin_ctzll(ends), ret);
	return decode_far(options, state, input, max_message, scanned, ret);
}
#else
#define line_decode decode_far
#endif

const struct gb_codec_ops gb_codec_line = { .name = "line", .decode = line_decode };
