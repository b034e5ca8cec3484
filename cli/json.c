#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 64 /* of an axis */

json_t *gb__json_text(const char *text)
{
	json_t *value;
	char *copy;

	if (!text)
		return json_null();
	value = json_string(text);
	if (value)
		return value; /* it is UTF-8 */
	copy = strdup(text);
	for (char *at = copy; at && *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	value = json_string(copy ? copy : "?");
	free(copy);
	return value;
}

double gb__json_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

json_t *gb__json_axes(const char *axes)
{
	json_t *object = json_object();

	for (const char *at = axes; *at;) {
		size_t key = strcspn(at, "="), value = strcspn(at + key + 1, ",");
		char name[KEY_MAX];

		snprintf(name, sizeof(name), "%.*s", (int)key, at);
		json_object_set_new(object, name, json_stringn(at + key + 1, value));
		at += key + 1 + value;
		at += *at == ',';
	}
	return object;
}
