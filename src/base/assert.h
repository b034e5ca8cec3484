/** Assertions: programmer errors abort, in release builds too; the world's errors are handled instead. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#ifndef static_assert
#define static_assert _Static_assert /* C17 spells it so without <assert.h> */
#endif

#include <stddef.h>

_Noreturn void gb__assert_failed(const char *expression, const char *file, int line, const char *function);

#define gb__likely(x) __builtin_expect(!!(x), 1)
#define gb__unlikely(x) __builtin_expect(!!(x), 0)

#define gb__assert(expression) \
	do { \
		if (gb__unlikely(!(expression))) \
			gb__assert_failed(#expression, __FILE__, __LINE__, __func__); \
	} while (0)

#define gb__countof(array) (sizeof(array) / sizeof(*(array)))
#define gb__container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define gb__min(a, b) ((a) < (b) ? (a) : (b))
#define gb__max(a, b) ((a) > (b) ? (a) : (b))

#endif
