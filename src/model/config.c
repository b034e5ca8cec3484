#include "model/config.h"

#include "base/macros.h"
#include "base/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 128 /* rows of the tables together; no program comes near */

struct reader {
	const struct gb_args_table *tables;
	gb__config_cb *take;
	void *arg;
	const struct gb_setting *seen[SEEN_MAX]; /* in this file */
	size_t seen_count;
};

int gb__config_refuse(const struct gb_args_table *tables, const char *key, struct gb_error *error)
{
	struct gb__nearest nearest;

	if (key[0] == '[')
		return gb_error_set(error, -GB_EUSAGE,
			"\"%s\": there are no sections: write \"key value\" lines, e.g. idle-timeout 30s",
			key);
	if (strcmp(key, "listen") == 0) /* of a file that is no program's but a server's: gb_options_load */
		return gb_error_set(error, -GB_EUSAGE,
			"\"listen\" is no option of a server: gb_server_listen takes addresses");
	gb__nearest_init(&nearest, key + strspn(key, "-"));
	for (const struct gb_args_table *table = tables; table->settings; table++)
		for (const struct gb_setting *row = table->settings; row->key; row++)
			gb__nearest_offer(&nearest, row->key);
	if (nearest.word)
		return gb_error_set(error, -GB_EUSAGE, "unknown option \"%.48s\": did you mean \"%s\"?", key,
			nearest.word);
	return gb_error_set(error, -GB_EUSAGE, "unknown option \"%.48s\": --help lists them", key);
}

/* Cut off blanks at both ends. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t\r\n");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

static int take_pair(struct reader *reader, const char *key, const char *value, struct gb_error *error)
{
	const struct gb_setting *row = NULL;

	for (const struct gb_args_table *table = reader->tables; !row && table->settings; table++)
		row = gb_settings_find(table->settings, key);
	if (!row)
		return gb__config_refuse(reader->tables, key, error);
	for (size_t i = 0; i < reader->seen_count; i++)
		if (reader->seen[i] == row && !row->repeated)
			return gb_error_set(error, -GB_EUSAGE, "%s is given twice: write it once", key);
	if (reader->seen_count < gb__countof(reader->seen))
		reader->seen[reader->seen_count++] = row;
	return reader->take(reader->arg, row, value, error);
}

/* A line, which is cut apart in place. */
static int take_line(struct reader *reader, char *line, struct gb_error *error)
{
	char *key, *value;

	line[strcspn(line, "#")] = '\0';
	key = trim(line);
	if (!*key)
		return 0;
	value = key + strcspn(key, " \t=");
	if (*value) {
		*value++ = '\0';
		value += strspn(value, " \t=");
	}
	return take_pair(reader, key, trim(value), error);
}

int gb__config_read(const char *path, const struct gb_args_table *tables, gb__config_cb *take, void *arg,
	struct gb_error *error)
{
	struct reader reader = { .tables = tables, .take = take, .arg = arg };
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int result = 0;

	if (!file) {
		result = -errno;
		return gb_error_set(error, result, "%s: %s", path, gb_strerror(result));
	}
	for (unsigned number = 1; result == 0 && getline(&line, &size, file) >= 0; number++) {
		struct gb_error inner = { 0 };

		result = take_line(&reader, line, &inner);
		if (result < 0)
			gb_error_set(error, result, "%s:%u: %s", path, number, inner.text);
	}
	if (result == 0 && ferror(file))
		result = gb_error_set(error, -EIO, "%s: cannot be read to its end", path);
	free(line);
	fclose(file);
	return result;
}
