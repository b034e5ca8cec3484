/** What codecs share that take a message in parts. */
#ifndef CODEC_PART_H
#define CODEC_PART_H

#include "base/macros.h"

#include <gearbox/codec.h>

/**
 * The next part of a message whose size is known, of which `total` and `passed` are set: it begins at `offset` of the input.
 * Returns 1, or 0 when nothing of it is there.
 */
static inline int gb__part_of_total(struct gb_progress *progress, struct gb_bytes input, size_t offset,
	size_t max_part, struct gb_frame *ret)
{
	const uint64_t left = progress->total - progress->passed;
	size_t size;

	if (input.size < offset || (input.size == offset && left > 0))
		return 0;
	size = gb__min(input.size - offset, max_part);
	size = (size_t)gb__min((uint64_t)size, left);
	progress->last = size == left;
	ret->offset = offset;
	ret->size = size;
	ret->consumed = offset + size;
	return 1;
}

/** The same of one that ends with something that is not there: the first `size` bytes can be no part of that end. */
static inline int gb__part_of_unknown(
	struct gb_progress *progress, size_t size, size_t max_part, struct gb_frame *ret)
{
	if (size == 0)
		return 0;
	progress->total = GB_TOTAL_UNKNOWN;
	progress->last = false;
	ret->offset = 0;
	ret->size = ret->consumed = gb__min(size, max_part);
	return 1;
}

/** The last part of it: so many bytes, behind which lies the end. */
static inline int gb__part_last(
	struct gb_progress *progress, size_t size, size_t consumed, struct gb_frame *ret)
{
	progress->total = progress->passed + size;
	progress->last = true;
	ret->offset = 0;
	ret->size = size;
	ret->consumed = consumed;
	return 1;
}

#endif
