#include "buffer/text.h"

#include "base/macros.h"

#include <errno.h>
#include <stdio.h>

int gb__text_format(struct gb__text *text, struct gb__pool *pool, const char *format, va_list arguments)
{
	/* Of this thread's last text: long ones come in rows, and one that does not fit costs far more than
	 * formatting it again (glibc 2.36 counts the rest in steps of 64 bytes). */
	static _Thread_local size_t last;
	size_t room = sizeof(text->brief), wanted = last + 1;
	char *to = text->brief;
	int length;

	text->chunk = NULL;
	do {
		va_list again;

		if (gb__unlikely(wanted > room)) {
			gb__chunk_destroy(pool, text->chunk);
			text->chunk = gb__chunk_create(pool, wanted);
			if (!text->chunk)
				return -ENOMEM;
			to = (char *)text->chunk->data;
			room = text->chunk->capacity;
		}
		va_copy(again, arguments);
		length = vsnprintf(to, room, format, again);
		va_end(again);
		wanted = (size_t)gb__max(length, 0) + 1;
	} while (gb__unlikely(wanted > room));
	last = wanted - 1;
	if (gb__unlikely(length < 0)) {
		gb__text_give(text, pool);
		return -EINVAL;
	}
	text->data = to;
	text->size = (size_t)length;
	return 0;
}
