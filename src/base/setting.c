/*
 * Settings tables: text in, typed fields out, and back. Each type has a way to be parsed and a sentence
 * that says what would have been right; tables, ranges and the wording around them are common.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/parse.h"

#include <gearbox/setting.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 48 /* bytes of a user's text that are shown again */
#define LIST_MAX 320  /* bytes of a list of words in an error's text */

/* Format and arguments to quote a user's text, cut when it is long. */
#define QUOTED "\"%.*s%s\""
#define QUOTE(text) QUOTED_MAX, (text), strlen(text) > QUOTED_MAX ? "..." : ""

static void *field(const struct gb_setting *row, void *object)
{
	return (char *)object + row->offset;
}

static const void *const_field(const struct gb_setting *row, const void *object)
{
	return (const char *)object + row->offset;
}

/* How each type of number is written; no units for the other types. */
static const struct number_form {
	const struct gb__unit *units;
	const char *name, *wanted; /* "… is NAME: write WANTED" */
} forms[GB_SETTING_CHOICE + 1] = {
	[GB_SETTING_COUNT] = { gb__count_units, "not a whole number", "digits only, e.g. 16" },
	[GB_SETTING_SIZE] = { gb__size_units, "not a size",
		"a number of bytes, or one with KiB, MiB or GiB, e.g. 64KiB" },
	[GB_SETTING_DURATION] = { gb__duration_units, "not a duration",
		"a number with ms, s, m or h, e.g. 30s" },
};

const struct gb_setting *gb_settings_find(const struct gb_setting *table, const char *key)
{
	for (; table->key; table++)
		if (strcmp(table->key, key) == 0)
			return table;
	return NULL;
}

static int refuse_key(const struct gb_setting *table, const char *key, struct gb_error *error)
{
	struct gb__nearest nearest;
	char list[LIST_MAX];
	size_t used = 0;

	gb__nearest_init(&nearest, key);
	for (const struct gb_setting *row = table; row->key; row++)
		gb__nearest_offer(&nearest, row->key);
	if (nearest.word)
		return gb_error_set(error, -GB_EUSAGE, "unknown setting " QUOTED ": did you mean \"%s\"?",
			QUOTE(key), nearest.word);
	if (!table->key)
		return gb_error_set(
			error, -GB_EUSAGE, "unknown setting " QUOTED ": there are none", QUOTE(key));
	list[0] = '\0';
	for (const struct gb_setting *row = table; row->key; row++) {
		/* Room for ", ..." stays, so that a list that was cut says so. */
		if (used + strlen(row->key) + sizeof(", , ...") > sizeof(list)) {
			snprintf(list + used, sizeof(list) - used, ", ...");
			break;
		}
		used += (size_t)snprintf(
			list + used, sizeof(list) - used, "%s%s", used ? ", " : "", row->key);
	}
	return gb_error_set(error, -GB_EUSAGE, "unknown setting " QUOTED ": known are %s", QUOTE(key), list);
}

/* `wanted` continues "write …". */
static int refuse_value(const struct gb_setting *row, const char *value, const char *what, const char *wanted,
	struct gb_error *error)
{
	return gb_error_set(
		error, -GB_EUSAGE, "%s: " QUOTED " is %s: write %s", row->key, QUOTE(value), what, wanted);
}

static int format_number(const struct gb_setting *row, uint64_t number, char *text, size_t size)
{
	if (row->type == GB_SETTING_DURATION && number == 0)
		return snprintf(text, size, "0");
	return gb__format_units(number, forms[row->type].units, text, size);
}

static int refuse_range(const struct gb_setting *row, const char *value, uint64_t max, struct gb_error *error)
{
	char low[32], high[32], wanted[80];

	format_number(row, row->min, low, sizeof(low));
	format_number(row, max, high, sizeof(high));
	if (max == UINT64_MAX && row->min > 0)
		snprintf(wanted, sizeof(wanted), "%s or more", low);
	else
		snprintf(wanted, sizeof(wanted), "%s to %s", low, high);
	return refuse_value(row, value, "out of range", wanted, error);
}

static int set_number(const struct gb_setting *row, void *object, const char *value, struct gb_error *error)
{
	const struct number_form *form = &forms[row->type];
	uint64_t max = row->max ? row->max : UINT64_MAX;
	uint64_t number;
	int rc;

	if (row->type == GB_SETTING_DURATION)
		rc = gb__parse_duration(value, &number);
	else
		rc = gb__parse_units(value, form->units, &number);
	if (rc == -EINVAL)
		return refuse_value(row, value, form->name, form->wanted, error);
	if (rc < 0 || number < row->min || number > max)
		return refuse_range(row, value, max, error);
	*(uint64_t *)field(row, object) = number;
	return 0;
}

static int set_switch(const struct gb_setting *row, void *object, const char *value, struct gb_error *error)
{
	if (gb_parse_switch(value, field(row, object)) < 0)
		return refuse_value(row, value, "not a switch", "yes or no", error);
	return 0;
}

static int set_text(const struct gb_setting *row, void *object, const char *value, struct gb_error *error)
{
	char **text = field(row, object);
	char *copy = gb__strdup(value);

	if (!copy)
		return gb_error_set(error, -ENOMEM, "%s: %s", row->key, gb_strerror(-ENOMEM));
	gb__free(*text);
	*text = copy;
	return 0;
}

/* The word at `*at` in "epoll|poll|select", and its length; moves `*at` on. NULL behind the last. */
static const char *next_choice(const char **at, size_t *ret_size)
{
	const char *word = *at;

	if (!word)
		return NULL;
	*ret_size = strcspn(word, "|");
	*at = word[*ret_size] ? word + *ret_size + 1 : NULL;
	return word;
}

static int set_choice(const struct gb_setting *row, void *object, const char *value, struct gb_error *error)
{
	size_t value_size = strlen(value), size, used = 0;
	const char *at = row->choices, *word;
	char list[LIST_MAX];
	unsigned index = 0;

	for (; (word = next_choice(&at, &size)); index++)
		if (size == value_size && memcmp(word, value, size) == 0) {
			*(unsigned *)field(row, object) = index;
			return 0;
		}
	list[0] = '\0';
	for (at = row->choices; (word = next_choice(&at, &size)) && used < sizeof(list);)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.*s",
			!used        ? ""
				: at ? ", "
				     : " or ",
			(int)size, word);
	return refuse_value(row, value, "not a choice", list, error);
}

int gb_settings_set(const struct gb_setting *table, void *object, const char *key, const char *value,
	struct gb_error *error)
{
	const struct gb_setting *row = gb_settings_find(table, key);

	gb__assert(value != NULL);
	if (!row)
		return refuse_key(table, key, error);
	switch (row->type) {
	case GB_SETTING_SWITCH:
		return set_switch(row, object, value, error);
	case GB_SETTING_COUNT:
	case GB_SETTING_SIZE:
	case GB_SETTING_DURATION:
		return set_number(row, object, value, error);
	case GB_SETTING_TEXT:
		return set_text(row, object, value, error);
	case GB_SETTING_CHOICE:
		return set_choice(row, object, value, error);
	}
	gb__assert(!"a settings table with an unknown type");
}

int gb_settings_get(
	const struct gb_setting *table, const void *object, const char *key, char *text, size_t size)
{
	const struct gb_setting *row = gb_settings_find(table, key);
	const char *at, *word = NULL;
	size_t word_size = 0;

	if (!row)
		return -GB_EUSAGE;
	if (forms[row->type].units)
		return format_number(row, *(const uint64_t *)const_field(row, object), text, size);
	if (row->type == GB_SETTING_SWITCH)
		return snprintf(text, size, "%s", *(const bool *)const_field(row, object) ? "yes" : "no");
	if (row->type == GB_SETTING_TEXT) {
		word = *(char *const *)const_field(row, object);
		return snprintf(text, size, "%s", word ? word : "");
	}
	at = row->choices;
	for (unsigned index = *(const unsigned *)const_field(row, object) + 1; index > 0; index--)
		word = next_choice(&at, &word_size);
	gb__assert(word != NULL);
	return snprintf(text, size, "%.*s", (int)word_size, word);
}

int gb_settings_init(const struct gb_setting *table, void *object, size_t size)
{
	struct gb_error error;

	memset(object, 0, size);
	for (const struct gb_setting *row = table; row->key; row++) {
		int rc = row->fallback ? gb_settings_set(row, object, row->key, row->fallback, &error) : 0;

		if (rc == -ENOMEM) {
			gb_settings_finish(table, object);
			return rc;
		}
		if (rc < 0)
			gb__log(GB__LOG_ERROR, "a fallback that its own row refuses: %s", error.text);
		gb__assert(rc == 0);
	}
	return 0;
}

void gb_settings_finish(const struct gb_setting *table, void *object)
{
	for (; table->key; table++)
		if (table->type == GB_SETTING_TEXT) {
			char **text = field(table, object);

			gb__free(*text);
			*text = NULL;
		}
}
