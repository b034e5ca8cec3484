#include "load/protocol.h"

#include <stdlib.h>
#include <string.h>

const struct protocol *const gb__load_protocols[] = { &gb__protocol_echo, &gb__protocol_line, NULL };

void gb__traffic_finish(struct traffic *traffic)
{
	free(traffic->data);
	traffic->data = NULL;
}

int64_t gb__protocol_wrong_byte(
	uint64_t offset, unsigned char expected, unsigned char got, struct gb_error *error)
{
	return gb_error_set(error, -GB_EBADFRAME, "byte %llu of the replies is 0x%02x, expected 0x%02x",
		(unsigned long long)offset, got, expected);
}

int64_t gb__protocol_surplus(uint64_t offset, struct gb_error *error)
{
	return gb_error_set(error, -GB_EBADFRAME, "byte %llu of the replies is one that no request asked for",
		(unsigned long long)offset);
}

int64_t gb__protocol_compare(const unsigned char *expected, const unsigned char *got, size_t size,
	uint64_t offset, struct gb_error *error)
{
	size_t i = 0;

	if (memcmp(expected, got, size) == 0)
		return 0;
	while (expected[i] == got[i])
		i++;
	return gb__protocol_wrong_byte(offset + i, expected[i], got[i], error);
}
