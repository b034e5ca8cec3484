/** Bytes that grow. Without memory the command ends: nothing it could still say would be worth much. */
#ifndef CLI_VERIFY_BYTES_H
#define CLI_VERIFY_BYTES_H

#include <stddef.h>
#include <stdint.h>

/** All zero is empty. */
struct verify_bytes {
	unsigned char *data;
	size_t size, room;
};

/** Room for `size` more bytes at the end. Returns where they begin; `size` is raised by the caller's append. */
unsigned char *gb__verify_bytes_reserve(struct verify_bytes *bytes, size_t size);
void gb__verify_bytes_append(struct verify_bytes *bytes, const void *data, size_t size);
void gb__verify_bytes_finish(struct verify_bytes *bytes);

/** Grow an array to `count` elements. Never NULL. */
void *gb__verify_grow(void *array, size_t count, size_t element_size);

/** The next number of a reproducible sequence (splitmix64; Steele, Lea and Flood, 2014). */
uint64_t gb__verify_random(uint64_t *state);

#endif
