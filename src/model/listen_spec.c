#include "model/listen_spec.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES "abcdefghijklmnopqrstuvwxyz0123456789-"
#define LIST_MAX 320u /* bytes of the list of keys in an error's text */

/* Whether an option begins behind this comma. */
static bool begins_option(const char *comma)
{
	const size_t length = strspn(comma + 1, KEY_BYTES);

	return length > 0 && comma[1 + length] == '=';
}

/* Copy what stands before the next option, or the end, and move on to there. */
static void next_part(const char **text, char *ret)
{
	const char *at = *text;

	for (; *at; *ret++ = *at++) {
		if (*at != ',')
			continue;
		if (begins_option(at))
			break;
		if (at[1] == ',' && begins_option(at + 1))
			at++; /* a doubled one stands for itself */
	}
	*ret = '\0';
	*text = at;
}

/* Whether it is of the family that the key gives its name: tls-cert of tls. */
static bool is_of(const char *key, const char *family)
{
	const size_t size = family ? strlen(family) : 0;

	return size > 0 && strncmp(key, family, size) == 0 && key[size] == '-';
}

/* Families by their first, or they would be too many. */
static void list_keys(char text[LIST_MAX])
{
	const char *first = NULL, *told = NULL;
	size_t used = 0;

	*text = '\0';
	for (const struct gb_setting *row = gb_option_settings; row->key && used < LIST_MAX; row++) {
		const bool of_first = is_of(row->key, first);

		if (!row->per_address || (of_first && told == first))
			continue;
		used += (size_t)snprintf(text + used, LIST_MAX - used, "%s%s%s", used ? ", " : "",
			of_first ? first : row->key, of_first ? "-…" : "");
		told = of_first ? first : told;
		first = of_first ? first : row->key;
	}
}

static int refuse_key(const char *key, struct gb_error *error)
{
	struct gb__nearest nearest;
	char list[LIST_MAX];

	gb__nearest_init(&nearest, key);
	for (const struct gb_setting *row = gb_option_settings; row->key; row++)
		if (row->per_address)
			gb__nearest_offer(&nearest, row->key);
	if (nearest.word)
		return gb_error_set(error, -GB_EUSAGE,
			"unknown option \"%.48s\" of an address: did you mean \"%s\"?", key, nearest.word);
	list_keys(list);
	return gb_error_set(error, -GB_EUSAGE,
		"unknown option \"%.48s\" of an address: known are %s; a comma in a path that is no option is doubled",
		key, list);
}

/* "KEY=VALUE", which is cut apart. */
static int take(struct gb__listen_spec *spec, char *pair, struct gb_error *error)
{
	char *value = strchr(pair, '=');
	const struct gb_setting *row;
	char list[LIST_MAX];

	*value++ = '\0';
	row = gb_settings_find(gb_option_settings, pair);
	if (!row)
		return refuse_key(pair, error);
	if (!row->per_address) {
		list_keys(list);
		return gb_error_set(error, -GB_EUSAGE,
			"%s is an option of the whole server, --%s: an address has %s of its own", pair, pair,
			list);
	}
	gb__assert(row - gb_option_settings < (ptrdiff_t)GB__OPTIONS_MAX);
	if (spec->given[row - gb_option_settings])
		return gb_error_set(error, -GB_EUSAGE, "%s is given twice: write it once", pair);
	spec->given[row - gb_option_settings] = true;
	return gb_options_set(spec->options, pair, value, error);
}

static int take_all(const char *text, const struct gb_options *defaults, struct gb__listen_spec *spec,
	struct gb_error *error)
{
	const size_t size = strlen(text) + 1;
	char *pair = gb__alloc(size);
	struct gb_error inner = { 0 };
	int result = pair ? gb__options_copy(defaults, &spec->options) : -ENOMEM;

	spec->address = gb__alloc(size);
	if (result < 0 || !spec->address) {
		gb__free(pair);
		return gb_error_set(error, -ENOMEM, "no memory for another address");
	}
	next_part(&text, spec->address);
	while (result == 0 && *text) {
		text++;
		next_part(&text, pair);
		result = take(spec, pair, &inner);
	}
	gb__free(pair);
	return result < 0 ? gb_error_set(error, result, "%s: %s", spec->address, inner.text) : 0;
}

int gb__listen_spec_parse(const char *text, const struct gb_options *defaults, struct gb__listen_spec *ret,
	struct gb_error *error)
{
	struct gb__listen_spec spec = { 0 };
	int result = take_all(text, defaults, &spec, error);

	if (result < 0)
		gb__listen_spec_finish(&spec);
	else
		*ret = spec;
	return result;
}

void gb__listen_spec_finish(struct gb__listen_spec *spec)
{
	gb__free(spec->address);
	gb_options_destroy(spec->options);
	spec->address = NULL;
	spec->options = NULL;
}

bool gb__listen_spec_gives(const struct gb__listen_spec *spec, const char *key)
{
	const struct gb_setting *row = gb_settings_find(gb_option_settings, key);

	gb__assert(row != NULL);
	return spec->given[row - gb_option_settings];
}

size_t gb__listen_service_length(const char *text)
{
	const size_t length = strcspn(text, "=:/,[*");

	return text[length] == '=' ? length : 0;
}
