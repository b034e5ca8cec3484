/** The report: one HTML file, which needs nothing else and opens offline, of what `compare --json` wrote. */
#ifndef CLI_REPORT_REPORT_H
#define CLI_REPORT_REPORT_H

#include <gearbox/error.h>

#include <jansson.h>

/**
 * Write the report of a comparison ("gearbox-compare-1") to a file.
 *
 * A regular file of that name is replaced once the new one is whole; anything else (a pipe, a device, a link) is
 * written into. Borrows both for the call.
 *
 * Returns 0; -GB_EUSAGE when it is no such comparison, and the text names the place; -errno of the file; -ENOMEM.
 */
int gb__report_write(const json_t *comparison, const char *path, struct gb_error *error);

#endif
