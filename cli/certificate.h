/** A certificate for a run of our own servers, on 127.0.0.1: made when it begins, gone when it ends. */
#ifndef CLI_CERTIFICATE_H
#define CLI_CERTIFICATE_H

#include <gearbox/error.h>

#define CERTIFICATE_PATH_MAX 512

/** Zeroed: none. */
struct certificate {
	char folder[CERTIFICATE_PATH_MAX];
	char certificate[CERTIFICATE_PATH_MAX + 16], key[CERTIFICATE_PATH_MAX + 16]; /* files, in PEM */
};

/** It signs itself, so who trusts it names it. Returns 0 or a code with the text; then there is none. */
int gb__certificate_make(struct certificate *ret, struct gb_error *error);
/** None is fine. */
void gb__certificate_remove(struct certificate *certificate);

#endif
