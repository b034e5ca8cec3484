/** What a comparison was measured on. */
#ifndef COMPARE_MACHINE_H
#define COMPARE_MACHINE_H

#include "json.h"

#include <stdbool.h>

/** The commit that this was built from, or "unknown". */
extern const char *const gb__compare_commit;

/** The object "machine" of the JSON; what is not known is null. `tls`: and what speaks that. */
json_t *gb__compare_machine(bool tls);

#endif
