/** Whether JSON is a comparison that the page can show. */
#ifndef CLI_REPORT_CHECK_H
#define CLI_REPORT_CHECK_H

#include <gearbox/error.h>

#include <jansson.h>

/** Returns 0 or -GB_EUSAGE; the text names the first place that is wrong, as "points[3].median". */
int gb__report_check(const json_t *comparison, struct gb_error *error);

#endif
