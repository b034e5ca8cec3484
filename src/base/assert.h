/** Assertions: programmer errors abort, in release builds too; the world's errors are handled instead. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/macros.h"

_Noreturn void gb__assert_failed(const char *expression, const char *file, int line, const char *function);

_Noreturn void gb__rule_broken(unsigned rule, const char *text, const char *function);

/** A rule of docs/lifetimes.md that a program has to keep; `text` says how it was not. */
#define gb__rule(rule, expression, text) gb__rule_in(__func__, rule, expression, text)
#define gb__rule_in(function, rule, expression, text) \
	do { \
		if (gb__unlikely(!(expression))) \
			gb__rule_broken(rule, text, function); \
	} while (0)

#define gb__assert(expression) \
	do { \
		if (gb__unlikely(!(expression))) \
			gb__assert_failed(#expression, __FILE__, __LINE__, __func__); \
	} while (0)

#endif
