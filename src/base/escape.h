/** Text that may come from strangers, made fit for one line of a terminal or a log. */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>

/**
 * Copy `text` to `ret`, with control characters and bytes that are not UTF-8 written as \xNN.
 *
 * Cuts at `size` (at least 1), never inside a character or an escape; always terminates. `text` and
 * `ret` must not overlap. Thread: any. Returns the bytes written, without the terminator.
 */
size_t gb__escape(const char *text, char *ret, size_t size);

#endif
