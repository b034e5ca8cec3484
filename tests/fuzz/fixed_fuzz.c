#include "fuzz.h"

#include <gearbox/error.h>

static struct gb_fixed_options chosen;

static const void *choose(struct fuzz_source *source)
{
	const unsigned kind = fuzz_take(source), value = (unsigned)fuzz_take_number(source, 2);

	chosen.size = kind == 255 ? SIZE_MAX - value : 1 + value % (kind < 200 ? 32 : 4096);
	return &chosen;
}

static int decode(const void *options, struct gb_bytes input, size_t max_message, struct gb_frame *ret)
{
	const struct gb_fixed_options *fixed = options;

	if (fixed->size > max_message)
		return -GB_ETOOLARGE;
	if (input.size < fixed->size)
		return 0;
	ret->consumed = fixed->size;
	ret->offset = 0;
	ret->size = fixed->size;
	return 1;
}

static size_t encode(const void *options, struct gb_bytes from, size_t max_message, unsigned char *out,
	struct gb_bytes *ret_message)
{
	const struct gb_fixed_options *fixed = options;

	if (from.size < fixed->size)
		return 0;
	for (size_t i = 0; i < fixed->size; i++)
		out[i] = from.data[i];
	*ret_message = (struct gb_bytes){ out, fixed->size };
	return fixed->size;
}

const struct fuzz_codec fuzz_codec = { &gb_codec_fixed, "ab", 2, choose, decode, encode };
