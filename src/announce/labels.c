#include "announce/labels.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPE_MAX 15u /* letters of a type's name (RFC 6335, 5.1) */

/* "_echo._tcp" */
static bool is_type(const char *text)
{
	const size_t size = *text == '_' ? strcspn(text, ".") : 0;

	for (size_t i = 1; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return size > 1 && size <= TYPE_MAX + 1 && strcmp(text + size, "._tcp") == 0;
}

int gb__label_split(const char *text, char *instance, size_t instance_size, char *type, size_t type_size)
{
	const char *at = text;
	size_t size;

	while (!is_type(at)) {
		at = strstr(at, "._");
		if (!at)
			return -EINVAL;
		at++;
	}
	size = (size_t)(at - text);
	if (strlen(at) >= type_size || size > instance_size || size == 1)
		return -EINVAL;
	if (size == 0)
		gb__label_of_machine(instance, instance_size);
	else
		snprintf(instance, instance_size, "%.*s", (int)size - 1, text);
	snprintf(type, type_size, "%s", at);
	return 0;
}

void gb__label_alternative(char *instance, size_t size)
{
	char *mark = strrchr(instance, '#'), suffix[24];
	unsigned long number = mark && mark > instance && mark[-1] == ' ' ? strtoul(mark + 1, NULL, 10) : 0;
	size_t base = number ? (size_t)(mark - instance) - 1 : strlen(instance), tail;

	snprintf(suffix, sizeof(suffix), " #%lu", number ? number + 1 : 2);
	tail = strlen(suffix) + 1;
	if (base + tail > size)
		base = size - tail;
	while (base > 0 && ((unsigned char)instance[base] & 0xc0) == 0x80)
		base--; /* amid a character */
	memcpy(instance + base, suffix, tail);
}

void gb__label_of_machine(char *text, size_t size)
{
	char name[256] = "";
	size_t used = 0;

	(void)gethostname(name, sizeof(name) - 1);
	for (size_t i = 0; name[i] && name[i] != '.' && used < 63 && used + 1 < size; i++)
		if (isalnum((unsigned char)name[i]) || name[i] == '-')
			text[used++] = (char)tolower((unsigned char)name[i]);
	text[used] = '\0';
	if (used == 0)
		snprintf(text, size, "localhost");
}
