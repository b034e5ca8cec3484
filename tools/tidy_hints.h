/* For clang-tidy only: gb_error_set returns its code, which an analyzer cannot see from the declaration. */
#ifndef TIDY_HINTS_H
#define TIDY_HINTS_H

#include <gearbox/error.h>

#define gb_error_set(error, code, ...) (gb_error_set(error, code, __VA_ARGS__), (code))

#endif
