/** Advice for people, as JSON, and as a configuration file. */
#ifndef ADVISE_TELL_H
#define ADVISE_TELL_H

#include "advise/advice.h"
#include "json.h"

void gb__advise_tell(const struct advice *advice);

/** "gearbox-advise-1"; takes `comparison`, which may be NULL. Returns NULL without memory. */
json_t *gb__advise_document(const struct advice *advice, json_t *comparison);

/** For `serve --config`: to be freed; NULL without memory. */
char *gb__advise_config(const struct advice *advice);

#endif
