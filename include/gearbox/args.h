/**
 * Command lines: `--key value`, `--key=value`, words, and help made from the same tables.
 *
 * The library reports, the caller prints: nothing here writes but the functions that take a stream.
 */
#ifndef GEARBOX_ARGS_H
#define GEARBOX_ARGS_H

#include <gearbox/error.h>
#include <gearbox/setting.h>
#include <gearbox/types.h>

#include <stdio.h>

GB_BEGIN

/** Flags that belong together: a heading of the help text and its rows. An array ends with NULL settings. */
struct gb_args_table {
	const char *title;                 /* "Timeouts:"; NULL for none */
	const struct gb_setting *settings; /* the flags, without their dashes */
};

/** A walk over a command line. Set the first three fields, zero the rest. Borrows all of them. */
struct gb_args {
	int argc;                           /* of `argv`, the program's name not included */
	char **argv;                        /* never changed */
	const struct gb_args_table *tables; /* the flags that are known */
	int at;                             /* the next element */
	int words_only;                     /* "--" was seen */
};

/**
 * The next flag or word.
 *
 * A flag takes its value after `=` or from the next element. A switch may stand alone, which means
 * "yes", and takes the next element only when that is a word that gb_parse_switch takes. After "--" all are words;
 * "-h" is "--help" where a table has a key "help". A flag stands once, unless its row says `repeated`.
 *
 * Returns 1 with `*ret_flag` the row (NULL for a word) and `*ret_value` the text; 0 at the end;
 * -GB_EUSAGE (unknown flag: names the nearest known one; value missing; given twice).
 */
GB_API int gb_args_next(struct gb_args *args, const struct gb_setting **ret_flag, const char **ret_value,
	struct gb_error *error);

/**
 * A whole command line into a struct, for programs whose flags are one table.
 *
 * `object` was filled by gb_settings_init. Words go to `ret_words`, which borrows from `argv`, at
 * most `words_max` of them.
 *
 * Returns the number of words; -GB_EUSAGE (as gb_args_next and gb_settings_set; a word too many), -ENOMEM.
 */
GB_API int gb_args_parse(int argc, char **argv, const struct gb_setting *table, void *object,
	const char **ret_words, size_t words_max, struct gb_error *error);

/** Print the flags in aligned columns, each with its sentence and its default, at most 100 wide. */
GB_API void gb_args_help(FILE *stream, const struct gb_args_table *tables);

/** Print `left`, and `text` from column `column` on, folded at 100 columns. A long `left` gets a line of its own. */
GB_API void gb_args_row(FILE *stream, const char *left, unsigned column, const char *text);

/** The one of `words` (ends with NULL) that `word` most likely meant, or NULL when none is near. */
GB_API const char *gb_args_nearest(const char *word, const char *const *words);

GB_END

#endif
