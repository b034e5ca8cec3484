/**
 * Services on the local network (DNS-SD, RFC 6763, by multicast DNS), through the daemon of Avahi and its interface on the
 * system's bus. The daemon forgets whom it does not hear of any more: what is announced goes with the connection to it.
 */
#ifndef ANNOUNCE_LOCAL_H
#define ANNOUNCE_LOCAL_H

#include "loop/watch.h"

#include <gearbox/error.h>

#include <stddef.h>

#define GB__LOCAL_NAME 64u /* bytes of an instance's name, with its NUL */

struct gb__local;

struct gb__local_status {
	const char *
		state; /* "waiting", "absent" (no daemon), "registering", "registered", "failed", "removed" */
	const char *error; /* or "" */
};

/** Returns 0 or an error with the reason. */
int gb__local_create(struct gb__local **ret, struct gb_error *error);
/** A port of TCP under "_echo._tcp" or "My server._echo._tcp"; without a name it is the machine's. Repeated ones are one.
 *  Returns 0, -GB_EUSAGE, -ENOMEM. */
int gb__local_add(struct gb__local *local, const char *name, unsigned port, struct gb_error *error);
/** Announce them from now on. Without a bus, or a daemon on it, that is told, and done as soon as it comes. */
int gb__local_begin(struct gb__local *local, struct gb__watches *watches);
/** They are gone when this returns. Repeatable, NULL is fine. */
void gb__local_end(struct gb__local *local);
/** In a forked child: close what its parent goes on with. NULL is fine. */
void gb__local_abandon(struct gb__local *local);
/** What each has come to be called, as "My server #2._echo._tcp". Returns false behind the last. */
bool gb__local_name(const struct gb__local *local, size_t index, char *text, size_t size);
void gb__local_status(const struct gb__local *local, struct gb__local_status *ret);
/** NULL is fine. */
void gb__local_destroy(struct gb__local *local);

#endif
