/** What changed since an earlier comparison. */
#ifndef COMPARE_BASELINE_H
#define COMPARE_BASELINE_H

#include "json.h"

#include <gearbox/error.h>

/** Read what `compare --json` wrote. Returns 0; -GB_EUSAGE (it is none: the reason), -errno of the file. */
int gb__compare_baseline_read(const char *path, json_t **ret, struct gb_error *error);

/**
 * The object "baseline" of a document: {"when", "changes", "findings"}.
 *
 * Points are the same by model and place; each metric that both have is a change, `beyond_noise` when it is by more than
 * the noise of either run and their bounds do not overlap. The findings say those in words.
 */
json_t *gb__compare_baseline(const json_t *before, const json_t *now);

#endif
