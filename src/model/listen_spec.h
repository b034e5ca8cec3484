/** Where to listen, as one text says it: "ADDRESS[,KEY=VALUE...]", and the options that hold there. */
#ifndef MODEL_LISTEN_SPEC_H
#define MODEL_LISTEN_SPEC_H

#include "model/options.h"

#define GB__OPTIONS_MAX 128u /* rows of gb_option_settings */

/**
 * A comma begins an option only where "KEY=" follows it, of small letters, digits and '-': other commas belong to what
 * stands before them, be it a path or a value that is a list. Where a path has such a text itself its comma is doubled.
 */
struct gb__listen_spec {
	char *address;
	struct gb_options *options;  /* the server's, but for what is said here */
	bool given[GB__OPTIONS_MAX]; /* here, by the row of gb_option_settings */
};

/** Returns 0, -ENOMEM, or -GB_EUSAGE with what is wrong: an option that is unknown, given twice, of the whole server, or
 *  its value. */
int gb__listen_spec_parse(const char *text, const struct gb_options *defaults, struct gb__listen_spec *ret,
	struct gb_error *error);
void gb__listen_spec_finish(struct gb__listen_spec *spec);
/** Whether the text itself says so, and not only the server's options. */
bool gb__listen_spec_gives(const struct gb__listen_spec *spec, const char *key);

/** Of "SERVICE=ADDRESS", the length of SERVICE; 0: an address alone, which has none of '=' before a ':', '/' or ','. */
size_t gb__listen_service_length(const char *text);

#endif
