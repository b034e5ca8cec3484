/*
 * Messages behind their length. The header alone decides: once it is there, a length that is too large
 * or impossible ends the connection before any byte of the message is kept.
 */
#include "base/assert.h"
#include "base/macros.h"
#include "codec/part.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#define WIDTH_DEFAULT 4u

static const struct gb_length_options no_options;

#define OFFSET_MAX 4096u

static const char stripped_short[] = "the message is shorter than what is to be dropped of it";

static unsigned width_of(const struct gb_length_options *options)
{
	unsigned width = options->width ? options->width : WIDTH_DEFAULT;

	gb__assert(width <= 8 && options->offset <= OFFSET_MAX);
	return width;
}

static uint64_t read_length(const unsigned char *header, unsigned width, int little_endian)
{
	uint64_t length = 0;

	for (unsigned i = 0; i < width; i++)
		length = length << 8 | header[little_endian ? width - 1 - i : i];
	return length;
}

/* What the options make of a length. Returns 0 or -GB_EBADFRAME. */
static int adjust(
	const struct gb_length_options *options, unsigned width, uint64_t *length, const char **problem)
{
	if (options->counts_itself) {
		if (gb__unlikely(*length < width)) {
			*problem = "the length counts itself and is smaller than its own bytes";
			return -GB_EBADFRAME;
		}
		*length -= width;
	}
	if (options->adjustment < 0 && *length < 0 - (uint64_t)options->adjustment) {
		*problem = "the length is smaller than what it counts";
		return -GB_EBADFRAME;
	}
	if (options->adjustment > 0 && *length > UINT64_MAX - (uint64_t)options->adjustment)
		return -GB_ETOOLARGE;
	*length += (uint64_t)options->adjustment;
	return 0;
}

/* What lies in front of the message is dropped. */
static inline size_t offset_of(const struct gb_length_options *options, size_t header)
{
	return options->strip ? options->strip : options->keep_header ? 0 : header;
}

static int length_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_length_options *length_options = options ? options : &no_options;
	const unsigned width = width_of(length_options);
	const size_t header = length_options->offset + width;
	uint64_t length;
	int result;

	if (input.size < header)
		return 0;
	length = read_length(input.data + length_options->offset, width, length_options->little_endian);
	result = adjust(length_options, width, &length, &ret->problem);
	if (gb__unlikely(result < 0))
		return result;
	if (gb__unlikely(length > max_message))
		return -GB_ETOOLARGE;
	if (gb__unlikely(length_options->strip > header && length < length_options->strip - header)) {
		ret->problem = stripped_short;
		return -GB_EBADFRAME;
	}
	if (length > input.size - header)
		return 0;
	ret->consumed = header + (size_t)length;
	ret->offset = offset_of(length_options, header);
	ret->size = ret->consumed - ret->offset;
	return 1;
}

static int length_decode_part(const void *options, void *state, struct gb_bytes input, size_t max_part,
	struct gb_progress *progress, struct gb_frame *ret)
{
	const struct gb_length_options *length_options = options ? options : &no_options;
	const unsigned width = width_of(length_options);
	const size_t header = length_options->offset + width, offset = offset_of(length_options, header);
	uint64_t length;
	int result;

	if (progress->begun)
		return gb__part_of_total(progress, input, 0, max_part, ret);
	if (input.size < header)
		return 0;
	length = read_length(input.data + length_options->offset, width, length_options->little_endian);
	result = adjust(length_options, width, &length, &ret->problem);
	if (gb__unlikely(result < 0))
		return result;
	if (gb__unlikely(length >= GB_TOTAL_UNKNOWN - header))
		return -GB_ETOOLARGE;
	if (gb__unlikely(header + length < offset)) {
		ret->problem = stripped_short;
		return -GB_EBADFRAME;
	}
	progress->total = header + length - offset;
	return gb__part_of_total(progress, input, offset, max_part, ret);
}

const struct gb_codec_ops gb_codec_length = {
	.name = "length",
	.decode = length_decode,
	.decode_part = length_decode_part,
};
