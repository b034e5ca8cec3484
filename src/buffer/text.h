/** Text of printf's: short ones where the caller has room for them, longer ones in a chunk. */
#ifndef BUFFER_TEXT_H
#define BUFFER_TEXT_H

#include "buffer/pool.h"

#include <stdarg.h>

#define GB__TEXT_BRIEF 512u /* most fit */

struct gb__text {
	const char *data;
	size_t size;
	struct gb__chunk *chunk; /* or NULL: `brief` */
	char brief[GB__TEXT_BRIEF];
};

/** Returns 0, -EINVAL (printf refuses the format), -ENOMEM; only after 0 it is to be given back. */
int gb__text_format(struct gb__text *text, struct gb__pool *pool, const char *format, va_list arguments);

static inline void gb__text_give(struct gb__text *text, struct gb__pool *pool)
{
	gb__chunk_destroy(pool, text->chunk);
}

#endif
