/*
 * Messages behind their length as a variable-length integer, seven bits a byte, the lowest first, the highest bit of
 * each but the last set: LEB128, as Protocol Buffers delimit messages.
 */
#include "base/macros.h"
#include "codec/part.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#define BYTES_MAX 10u /* of 64 bits */

/* Returns the bytes of it, 0 when it is incomplete, or -GB_EBADFRAME. */
static int varint(struct gb_bytes input, uint64_t *ret, const char **problem)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < gb__min(input.size, (size_t)BYTES_MAX); i++) {
		const uint64_t bits = input.data[i] & 0x7f;

		if (i == BYTES_MAX - 1 && input.data[i] > 1) {
			*problem = "the length has more than 64 bits";
			return -GB_EBADFRAME;
		}
		value |= bits << 7 * i;
		if (!(input.data[i] & 0x80)) {
			*ret = value;
			return (int)i + 1;
		}
	}
	return 0;
}

static int varint_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_varint_options *varint_options = options;
	uint64_t length;
	int header = varint(input, &length, &ret->problem);

	if (header <= 0)
		return header;
	if (gb__unlikely(length > max_message))
		return -GB_ETOOLARGE;
	if (length > input.size - (size_t)header)
		return 0;
	ret->consumed = (size_t)header + (size_t)length;
	ret->offset = varint_options && varint_options->keep_header ? 0 : (size_t)header;
	ret->size = ret->consumed - ret->offset;
	return 1;
}

static int varint_decode_part(const void *options, void *state, struct gb_bytes input, size_t max_part,
	struct gb_progress *progress, struct gb_frame *ret)
{
	const struct gb_varint_options *varint_options = options;
	uint64_t length;
	int header;

	if (progress->begun)
		return gb__part_of_total(progress, input, 0, max_part, ret);
	header = varint(input, &length, &ret->problem);
	if (header <= 0)
		return header;
	if (gb__unlikely(length >= GB_TOTAL_UNKNOWN - BYTES_MAX))
		return -GB_ETOOLARGE;
	if (!varint_options || !varint_options->keep_header) {
		progress->total = length;
		return gb__part_of_total(progress, input, (size_t)header, max_part, ret);
	}
	progress->total = (unsigned)header + length;
	return gb__part_of_total(progress, input, 0, max_part, ret);
}

const struct gb_codec_ops gb_codec_varint = {
	.name = "varint",
	.decode = varint_decode,
	.decode_part = varint_decode_part,
};
