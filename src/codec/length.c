/*
 * Messages behind their length. The header alone decides: once it is there, a length that is too large
 * or impossible ends the connection before any byte of the message is kept.
 */
#include "base/assert.h"
#include "base/macros.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#define WIDTH_DEFAULT 4u

static const struct gb_length_options no_options;

static unsigned width_of(const struct gb_length_options *options)
{
	unsigned width = options->width ? options->width : WIDTH_DEFAULT;

	gb__assert(width == 1 || width == 2 || width == 4 || width == 8);
	return width;
}

static uint64_t read_length(const unsigned char *header, unsigned width, int little_endian)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < width; i++)
		length = length << 8 | header[little_endian ? width - 1 - i : i];
	return length;
}

static int length_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_length_options *length_options = options ? options : &no_options;
	unsigned width = width_of(length_options);
	uint64_t length;

	if (input.size < width)
		return 0;
	length = read_length(input.data, width, length_options->little_endian);
	if (length_options->counts_itself) {
		if (gb__unlikely(length < width)) {
			ret->problem = "the length counts itself and is smaller than its own bytes";
			return -GB_EBADFRAME;
		}
		length -= width;
	}
	if (gb__unlikely(length > max_message))
		return -GB_ETOOLARGE;
	if (length > input.size - width)
		return 0;
	ret->consumed = width + (size_t)length;
	ret->offset = length_options->keep_header ? 0 : width;
	ret->size = ret->consumed - ret->offset;
	return 1;
}

const struct gb_codec_ops gb_codec_length = { .name = "length", .decode = length_decode };
