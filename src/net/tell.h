/** Lines of the log about connections that ended for a reason which somebody may want to know. */
#ifndef NET_TELL_H
#define NET_TELL_H

#include "base/log.h"
#include "os/os.h"

#include <gearbox/conn.h>
#include <gearbox/service.h>

/** Whether connections end so every day, which is nobody's fault. */
bool gb__reason_ordinary(int reason);
/** Whether a line is written of such an end. */
static inline bool gb__tells(int reason)
{
	return gb__log_wanted(GB__LOG_INFO) || !gb__reason_ordinary(reason);
}
/**
 * Say that a connection was refused, or dropped, with its peer, service and reason: a notice, at most one a second for
 * each reason; ends as they should be are told under log-level=info, each. `fd` is open still, or < 0; `error` is an
 * errno, or 0; `problem` says more, or NULL. Thread: any.
 */
void gb__tell_refused(
	struct gb__os *os, int fd, const struct gb_service *service, int reason, const char *problem);
/** `client`: for whom a proxy has sent it, or NULL; `name`: what was to be connected to by its name, or NULL. */
void gb__tell_closed(struct gb__os *os, int fd, const struct gb__address *client,
	const struct gb_service *service, bool outgoing, int reason, int error, const char *problem,
	const char *name);

#endif
