/**
 * Memory that is kept for later use must not be touched meanwhile: the address sanitizer then finds who does,
 * as it would after free. Without it these do nothing.
 */
#ifndef BASE_POISON_H
#define BASE_POISON_H

#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define gb__poison(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define gb__unpoison(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define gb__poison(memory, size) ((void)(memory), (void)(size))
#define gb__unpoison(memory, size) ((void)(memory), (void)(size))
#endif

#endif
