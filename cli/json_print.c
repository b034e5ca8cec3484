#include "command.h"
#include "json.h"

#include <stdio.h>

/* Enough for any figure that is printed, and short for those that have few digits. */
#define FORM (JSON_INDENT(2) | JSON_REAL_PRECISION(12))

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
