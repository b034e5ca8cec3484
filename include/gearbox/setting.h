/**
 * Settings: string keys with a type, a range and a sentence, filled into a struct.
 *
 * One table serves the command line, the configuration file, the program and the help text.
 */
#ifndef GEARBOX_SETTING_H
#define GEARBOX_SETTING_H

#include <gearbox/error.h>
#include <gearbox/types.h>

GB_BEGIN

/** What a value is, and which type the field has that it fills. */
enum gb_setting_type {
	GB_SETTING_SWITCH,   /* bool: yes|no, or as gb_parse_switch has it */
	GB_SETTING_COUNT,    /* uint64_t: a whole number */
	GB_SETTING_SIZE,     /* uint64_t, bytes: a number with optional KiB, MiB, GiB */
	GB_SETTING_DURATION, /* uint64_t, milliseconds: a number with ms, s, m or h; "0" and "off" disable */
	GB_SETTING_TEXT,     /* char *: owned by the struct, see gb_settings_finish */
	GB_SETTING_CHOICE,   /* unsigned: the index into `choices`, words separated by '|' */
};

/** One row of a table that ends with a row whose key is NULL. */
struct gb_setting {
	const char *key;           /* as typed, without the leading dashes */
	enum gb_setting_type type; /* decides the type of the field at `offset` */
	size_t offset;             /* of the field in the struct */
	const char *fallback;      /* the default in the form a user would type; NULL leaves zero */
	uint64_t min, max;         /* inclusive, for numbers; max 0 means no upper bound */
	const char *choices;       /* for GB_SETTING_CHOICE: "epoll|poll|select" */
	const char *argument;      /* what help shows after the key: "TIME", "N" */
	const char *summary;       /* one sentence without full stop */
	bool repeated;             /* on a command line or in a file it may stand several times */
	bool per_address; /* of gb_option_settings: an address may have its own, "*:7000,KEY=VALUE" */
};

/**
 * Zero `size` bytes at `object`, then apply every fallback.
 *
 * Returns 0 or -ENOMEM; a fallback that its own row refuses aborts (a programmer's error).
 */
GB_API int gb_settings_init(const struct gb_setting *table, void *object, size_t size);

/** Free the texts in `object`. */
GB_API void gb_settings_finish(const struct gb_setting *table, void *object);

/**
 * Set one field from text.
 *
 * Copies `value`. Returns 0, -GB_EUSAGE with a text that names key, value and what would be right
 * (an unknown key names the nearest known one, or all when none is near), -ENOMEM. On an error the object
 * is as before.
 */
GB_API int gb_settings_set(const struct gb_setting *table, void *object, const char *key, const char *value,
	struct gb_error *error);

/** Write the field as text, as gb_settings_set would take it. Returns the length as snprintf does, or -GB_EUSAGE. */
GB_API int gb_settings_get(
	const struct gb_setting *table, const void *object, const char *key, char *text, size_t size);

/** The row of a key, or NULL. */
GB_API const struct gb_setting *gb_settings_find(const struct gb_setting *table, const char *key);

/** Parse "yes", "on", "true" or "1", or their opposites "no", "off", "false" and "0". Returns 0 or -GB_EUSAGE. */
GB_API int gb_parse_switch(const char *text, bool *ret);

/** Parse "250ms", "30s", "5m", "2h", "0" or "off" into milliseconds. Returns 0 or -GB_EUSAGE. */
GB_API int gb_parse_duration(const char *text, uint64_t *ret_ms);

/** Parse "512", "64KiB", "1MiB", "2GiB" into bytes. Returns 0 or -GB_EUSAGE. */
GB_API int gb_parse_size(const char *text, uint64_t *ret_bytes);

GB_END

#endif
