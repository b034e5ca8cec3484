/** Files of "key value" lines. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <gearbox/args.h>

/** Take a value of a row of the tables, which may be kept no longer than the call. Returns 0 or a code with the reason. */
typedef int gb__config_cb(void *arg, const struct gb_setting *row, const char *value, struct gb_error *error);

/**
 * Read "key value" or "key = value" lines; '#' begins a comment. Each key once, unless its row says `repeated`.
 *
 * Returns 0 or a code; the text names file and line.
 */
int gb__config_read(const char *path, const struct gb_args_table *tables, gb__config_cb *take, void *arg,
	struct gb_error *error);

/** Refuse a key that no option has, with the one that was meant. Returns -GB_EUSAGE. */
int gb__config_refuse(const struct gb_args_table *tables, const char *key, struct gb_error *error);

#endif
