/** What connections take of a server that is not talked to. */
#ifndef COMPARE_HOLD_H
#define COMPARE_HOLD_H

#include "compare/server.h"

struct gb__tls;

/** NAN: it cannot be told. */
struct compare_idle {
	double bytes_per_connection; /* memory of all of its processes, the kernel's own apart */
	double cpu_share;            /* of a CPU, with all of them open */
};

/** Open so many connections, see what that adds, look on, and close them. A few are opened before and do not count.
 *  `tls`: that they speak; or NULL. */
void gb__compare_hold(
	struct compare_server *server, size_t connections, struct gb__tls *tls, struct compare_idle *ret);

#endif
