#include "verify/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *gb__verify_grow(void *array, size_t count, size_t element_size)
{
	void *grown = reallocarray(array, count ? count : 1, element_size);

	if (!grown) {
		fputs("verify: no memory\n", stderr);
		exit(1);
	}
	return grown;
}

unsigned char *gb__verify_bytes_reserve(struct verify_bytes *bytes, size_t size)
{
	if (bytes->room - bytes->size < size) {
		bytes->room = bytes->size + size + bytes->room;
		bytes->data = gb__verify_grow(bytes->data, bytes->room, 1);
	}
	return bytes->data + bytes->size;
}

void gb__verify_bytes_append(struct verify_bytes *bytes, const void *data, size_t size)
{
	if (size == 0)
		return;
	memcpy(gb__verify_bytes_reserve(bytes, size), data, size);
	bytes->size += size;
}

void gb__verify_bytes_finish(struct verify_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct verify_bytes){ 0 };
}

uint64_t gb__verify_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}
