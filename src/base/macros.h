/** Small macros that every folder uses. */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#ifndef static_assert
#define static_assert _Static_assert /* C17 spells it so without <assert.h> */
#endif

#include <stddef.h>

#define gb__likely(x) __builtin_expect(!!(x), 1)
#define gb__unlikely(x) __builtin_expect(!!(x), 0)

#define gb__countof(array) (sizeof(array) / sizeof(*(array)))
#define gb__container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define gb__min(a, b) ((a) < (b) ? (a) : (b))
#define gb__max(a, b) ((a) > (b) ? (a) : (b))

#endif
