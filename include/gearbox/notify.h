/** Telling the service manager how the program does: sd_notify(3), without libsystemd. */
#ifndef GEARBOX_NOTIFY_H
#define GEARBOX_NOTIFY_H

#include <gearbox/server.h>
#include <gearbox/types.h>

GB_BEGIN

/**
 * Have the server tell it, where $NOTIFY_SOCKET names one: READY=1 once all workers run, STATUS=… now and then, STOPPING=1
 * with EXTEND_TIMEOUT_USEC when it drains, and WATCHDOG=1 as often as $WATCHDOG_USEC asks, while its loops live: one that a
 * handler holds beyond the option `stall-limit` stops that. gb_main and gb_serve_main do it.
 *
 * The variables are taken out of the environment, as are those of sockets that were passed (LISTEN_FDS).
 * Returns 1, 0 (nobody wants to be told), or -EBUSY while the server runs.
 */
GB_API int gb_server_notify(struct gb_server *server);

/** Send lines of one's own, "STATUS=reading the index" or "READY=1\nSTATUS=…". Never waits.
 *  Thread: any. Returns 1, 0 (nobody wants to be told), or a negative errno. */
GB_API int gb_notify(const char *lines);

/** The configuration is read anew from here on: RELOADING=1 with MONOTONIC_USEC. gb_notify("READY=1") follows when that is
 *  done. Thread: any. Returns as gb_notify. */
GB_API int gb_notify_reloading(void);

GB_END

#endif
