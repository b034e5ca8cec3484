/** A server beside the one under test, for a service that forwards to others: what it does is not in question. */
#ifndef CLI_VERIFY_UPSTREAM_H
#define CLI_VERIFY_UPSTREAM_H

#include <gearbox/error.h>
#include <gearbox/service.h>

#include <sys/types.h>

struct verify_upstream {
	pid_t pid;     /* 0: there is none */
	char set[128]; /* "key=ADDRESS" */
};

/** Start a process that serves `service` on a free port, for the setting `key`. Returns 0 or a code with the reason. */
int gb__verify_upstream_start(const struct gb_service *service, const char *key, struct verify_upstream *ret,
	struct gb_error *error);
/** None is fine. */
void gb__verify_upstream_stop(struct verify_upstream *upstream);

#endif
