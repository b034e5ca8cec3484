#include "command.h"
#include "json.h"

#include <errno.h>
#include <stdio.h>

/* Enough for any figure that is printed, and short for those that have few digits. */
#define FORM (JSON_INDENT(2) | JSON_REAL_PRECISION(12))
#define FILE_FORM (JSON_INDENT(1) | JSON_REAL_PRECISION(9))

int gb__json_write(const json_t *value, const char *path)
{
	FILE *file = fopen(path, "we");
	int result = 0;

	if (!file)
		return -errno;
	errno = 0;
	if (json_dumpf(value, file, FILE_FORM) < 0 || fputc('\n', file) < 0)
		result = errno ? -errno : -ENOMEM;
	if (fclose(file) != 0 && result == 0)
		result = -errno;
	return result;
}

int gb__json_print(json_t *value)
{
	int result = value ? json_dumpf(value, stdout, FORM) : -1;

	json_decref(value);
	if (result < 0)
		return ferror(stdout) ? EXIT_DONE /* the program says so at its end */
				      : gb__command_fail(EXIT_FAILED, "no memory to print JSON");
	putchar('\n');
	return EXIT_DONE;
}
