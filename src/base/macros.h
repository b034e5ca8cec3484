/** Small macros that every folder uses. */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#ifndef static_assert
#define static_assert _Static_assert /* C17 spells it so without <assert.h> */
#endif

#include <stddef.h>
#include <stdint.h>

#define gb__likely(x) __builtin_expect(!!(x), 1)
#define gb__unlikely(x) __builtin_expect(!!(x), 0)

#define gb__countof(array) (sizeof(array) / sizeof(*(array)))
#define gb__container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define gb__min(a, b) ((a) < (b) ? (a) : (b))
#define gb__max(a, b) ((a) > (b) ? (a) : (b))

/**
 * Of a variable that each process writes as it begins: all of these lie together, so that a forked one copies a page or
 * two for them, and not one for each. (With the program's own large tables in between they are far apart otherwise.)
 */
#define GB__PER_PROCESS __attribute__((section("gb_process")))

/** The sum, respectively the product, or the largest number: a time that lies beyond all times never comes. */
static inline uint64_t gb__add_capped(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}
static inline uint64_t gb__multiply_capped(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

#endif
