/* Messages of one size. */
#include "base/assert.h"
#include "codec/part.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

static int fixed_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	const struct gb_fixed_options *fixed = options;

	gb__assert(fixed && fixed->size > 0);
	if (fixed->size > max_message)
		return -GB_ETOOLARGE;
	if (input.size < fixed->size)
		return 0;
	ret->offset = 0;
	ret->size = ret->consumed = fixed->size;
	return 1;
}

static int fixed_decode_part(const void *options, void *state, struct gb_bytes input, size_t max_part,
	struct gb_progress *progress, struct gb_frame *ret)
{
	const struct gb_fixed_options *fixed = options;

	gb__assert(fixed && fixed->size > 0);
	progress->total = fixed->size;
	return gb__part_of_total(progress, input, 0, max_part, ret);
}

const struct gb_codec_ops gb_codec_fixed = {
	.name = "fixed",
	.decode = fixed_decode,
	.decode_part = fixed_decode_part,
};
