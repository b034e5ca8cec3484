/** FNV-1a: for tables and for choosing, not where somebody who chooses the bytes must not choose the hash. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/** What hashes begin with; further bytes are added to what came before. */
#define GB__HASH32 2166136261u
#define GB__HASH64 14695981039346656037ull

static inline uint32_t gb__hash32_add(uint32_t hash, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 16777619u;
	return hash;
}

static inline uint32_t gb__hash32_add_text(uint32_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}

static inline uint64_t gb__hash64_add(uint64_t hash, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211ull;
	return hash;
}

#endif
