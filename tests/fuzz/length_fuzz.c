#include "fuzz.h"

#include <gearbox/error.h>

#include <limits.h>

#define OFFSET_MAX 4096u

static struct gb_length_options chosen;

static int64_t take_adjustment(struct fuzz_source *source)
{
	const unsigned kind = fuzz_take(source);

	switch (kind % 8) {
	case 0:
		return (int64_t)fuzz_take_number(source, 8);
	case 1:
		return kind & 8 ? INT64_MAX : INT64_MIN;
	case 2:
	case 3:
		return (int64_t)fuzz_take(source) % 32 - 16;
	case 4:
		return -(int64_t)(chosen.offset + (chosen.width ? chosen.width : 4));
	default:
		return 0;
	}
}

static unsigned take_strip(struct fuzz_source *source)
{
	const unsigned kind = fuzz_take(source);

	if (kind == 255)
		return UINT_MAX;
	return kind % 2 ? kind / 2 % 24 : 0;
}

static const void *choose(struct fuzz_source *source)
{
	const unsigned flags = fuzz_take(source);
	unsigned offset;

	if (flags % 32 == 31)
		return NULL;
	chosen.little_endian = flags & 1;
	chosen.counts_itself = flags & 2;
	chosen.keep_header = flags & 4;
	chosen.width = fuzz_take(source) % 9;
	offset = fuzz_take(source);
	chosen.offset = offset == 255 ? OFFSET_MAX : flags & 8 ? offset % 20 : 0;
	chosen.adjustment = take_adjustment(source);
	chosen.strip = take_strip(source);
	return &chosen;
}

/* The options with their defaults in place. */
static struct gb_length_options filled(const void *options)
{
	struct gb_length_options length = { 0 };

	if (options)
		length = *(const struct gb_length_options *)options;
	if (length.width == 0)
		length.width = 4;
	if (length.strip == 0 && !length.keep_header)
		length.strip = length.offset + length.width;
	return length;
}

static int decode(const void *options, struct gb_bytes input, size_t max_message, struct gb_frame *ret)
{
	const struct gb_length_options length = filled(options);
	const size_t header = length.offset + length.width;
	__int128 body = 0;

	if (input.size < header)
		return 0;
	for (unsigned i = 0; i < length.width; i++)
		body += (__int128)input.data[length.offset + i]
			<< 8 * (length.little_endian ? i : length.width - 1 - i);
	if (length.counts_itself)
		body -= length.width;
	if (body < 0 || body + length.adjustment < 0)
		return -GB_EBADFRAME;
	body += length.adjustment;
	if (body > (__int128)max_message)
		return -GB_ETOOLARGE;
	if ((__int128)header + body < length.strip)
		return -GB_EBADFRAME;
	if ((__int128)header + body > (__int128)input.size)
		return 0;
	ret->consumed = header + (size_t)body;
	ret->offset = length.strip;
	ret->size = ret->consumed - ret->offset;
	return 1;
}

static size_t encode(const void *options, struct gb_bytes from, size_t max_message, unsigned char *out,
	struct gb_bytes *ret_message)
{
	const struct gb_length_options length = filled(options);
	const size_t header = length.offset + length.width, size = header + from.size;
	__int128 number = (__int128)from.size - length.adjustment;

	if (number < 0 || size < length.strip)
		return 0;
	if (length.counts_itself)
		number += length.width;
	if (number >> 8 * length.width)
		return 0;
	for (unsigned i = 0; i < length.offset; i++)
		out[i] = (unsigned char)~i;
	for (unsigned i = 0; i < length.width; i++)
		out[length.offset + i] =
			(unsigned char)(number >> 8 * (length.little_endian ? i : length.width - 1 - i));
	for (size_t i = 0; i < from.size; i++)
		out[header + i] = from.data[i];
	*ret_message = (struct gb_bytes){ out + length.strip, size - length.strip };
	return size;
}

const struct fuzz_codec fuzz_codec = { &gb_codec_length, "\0\0\0\1\2\3\x10\xff", 8, choose, decode, encode };
