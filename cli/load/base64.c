#include "load/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *gb__base64_encode(const unsigned char *data, size_t size)
{
	char *text = malloc((size + 2) / 3 * 4 + 1), *to = text;

	if (!text)
		return NULL;
	for (size_t at = 0; at < size; at += 3) {
		size_t left = size - at;
		unsigned long group = (unsigned long)data[at] << 16 |
			(unsigned long)(left > 1 ? data[at + 1] : 0) << 8 | (left > 2 ? data[at + 2] : 0u);

		*to++ = digits[group >> 18];
		*to++ = digits[group >> 12 & 63];
		*to++ = left > 1 ? digits[group >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[group & 63] : '=';
	}
	*to = '\0';
	return text;
}

static int value_of(char digit)
{
	const char *place = digit ? strchr(digits, digit) : NULL;

	return place ? (int)(place - digits) : -1;
}

int gb__base64_decode(const char *text, size_t length, unsigned char **ret_data, size_t *ret_size)
{
	size_t padding = 0, size = 0;
	unsigned long bits = 0;
	unsigned char *data;

	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	if (length % 4 != 0)
		return -EINVAL;
	data = malloc(length / 4 * 3 + 1);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < length - padding; i++) {
		int value = value_of(text[i]);

		if (value < 0) {
			free(data);
			return -EINVAL;
		}
		bits = bits << 6 | (unsigned long)value;
		if (i % 4 > 0)
			data[size++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
	}
	*ret_data = data;
	*ret_size = size;
	return 0;
}
