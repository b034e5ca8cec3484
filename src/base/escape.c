#include "base/escape.h"

#include "base/assert.h"

#include <stdbool.h>
#include <string.h>

static bool continues(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

/*
 * The bytes of the printable UTF-8 character at `text`, or 0. RFC 3629: no overlong forms, no surrogates,
 * nothing above U+10FFFF. The C1 controls (U+0080 to U+009F) count as unprintable: terminals obey them.
 */
static size_t printable(const unsigned char *text)
{
	unsigned char lead = text[0];

	if (lead < 0x80)
		return lead >= 0x20 && lead != 0x7f ? 1 : 0;
	if (lead < 0xc2 || lead > 0xf4 || !continues(text[1]))
		return 0;
	if (lead < 0xe0)
		return lead == 0xc2 && text[1] < 0xa0 ? 0 : 2;
	if (!continues(text[2]))
		return 0;
	if (lead < 0xf0)
		return (lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ? 0 : 3;
	if (!continues(text[3]) || (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f))
		return 0;
	return 4;
}

size_t gb__escape(const char *text, char *ret, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *from = (const unsigned char *)text;
	size_t used = 0;

	gb__assert(size > 0);
	while (*from) {
		size_t length = printable(from);
		size_t need = length ? length : 4;

		if (need >= size - used)
			break;
		if (length) {
			memcpy(ret + used, from, length);
			from += length;
		} else {
			ret[used] = '\\';
			ret[used + 1] = 'x';
			ret[used + 2] = digits[*from >> 4];
			ret[used + 3] = digits[*from & 15];
			from++;
		}
		used += need;
	}
	ret[used] = '\0';
	return used;
}
