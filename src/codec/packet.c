/* Messages as a socket of packets delivers them: each is one, behind its size (buffer/output.h). */
#include "base/macros.h"
#include "buffer/output.h"

#include <gearbox/codec.h>
#include <gearbox/error.h>

#include <string.h>

static_assert(GB_PACKET_MAX == GB__PACKET_MAX, "the same, as the public has it");

static int packet_decode(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	uint32_t size;

	if (input.size < GB__PACKET_HEADER)
		return 0;
	memcpy(&size, input.data, sizeof(size));
	if (gb__unlikely(size == GB__PACKET_CUT)) {
		ret->problem = "a packet of more than 65536 bytes";
		return -GB_ETOOLARGE;
	}
	if (gb__unlikely(size > max_message))
		return -GB_ETOOLARGE;
	if (size > input.size - GB__PACKET_HEADER)
		return 0;
	ret->offset = GB__PACKET_HEADER;
	ret->size = size;
	ret->consumed = GB__PACKET_HEADER + size;
	return 1;
}

const struct gb_codec_ops gb_codec_packet = {
	.name = "packet",
	.decode = packet_decode,
};
