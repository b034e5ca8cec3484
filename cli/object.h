/** Services in shared objects (<gearbox/handler.h>), loaded into this process for good. */
#ifndef CLI_OBJECT_H
#define CLI_OBJECT_H

#include <gearbox/gearbox.h>

/** Whether a word names a shared object and no service: a slash in it, or .so at its end. */
bool gb__object_named(const char *word);

/** Whether a file is a whole ELF object, as far as that can be told without loading it; `path` is told of. Returns 0 or
 *  -GB_EUSAGE. */
int gb__object_check(const char *path, const char *file, struct gb_error *error);

/**
 * Load an object and find the service that it exports. Its initializers run: nothing else tells whether they do.
 *
 * Returns 0; or a negative code with what is wrong in `error`: -GB_EUSAGE when there is no such object, or it is none of
 * a handler, or one of another ABI.
 */
int gb__object_load(const char *path, const struct gb_service **ret, struct gb_error *error);
/** The same from another file than the one that is told of. */
int gb__object_load_from(
	const char *path, const char *file, const struct gb_service **ret, struct gb_error *error);

#endif
