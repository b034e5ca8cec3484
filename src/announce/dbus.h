/** A connection to the system's message bus in a loop: calls are never waited for. By libdbus, which is loaded. */
#ifndef ANNOUNCE_DBUS_H
#define ANNOUNCE_DBUS_H

#include "announce/libdbus.h"
#include "loop/watch.h"

#define GB__DBUS_WATCHES 4u

struct gb__dbus {
	struct gb__watches *watches;
	DBusConnection *connection; /* NULL: closed */
	DBusWatch *wanted[GB__DBUS_WATCHES];
	unsigned wanted_count;
	struct gb_watch *watch; /* of its descriptor, for all of those */
	int fd;                 /* -1: none */
	bool busy, lost;        /* inside it; it is to be closed behind that */
	/** A signal, from anybody. */
	void (*on_signal)(struct gb__dbus *bus, DBusMessage *signal);
	/** It is closed, and was not asked to. */
	void (*on_lost)(struct gb__dbus *bus);
};

/** Returns 0, or -ECONNREFUSED: there is no bus, as far as can be told at once. `on_lost` follows only on 0. */
int gb__dbus_open(struct gb__dbus *bus, struct gb__watches *watches);
/**
 * Send a call that is not answered in here, and starts no daemon; takes `message`, which may be NULL: no memory. `done` NULL: no
 * answer is wanted. Returns 0, -ENOMEM, or -ENOTCONN: `on_lost` is about to come.
 */
int gb__dbus_call(struct gb__dbus *bus, DBusMessage *message, DBusPendingCallNotifyFunction done, void *user,
	DBusPendingCall **ret);
/** Repeatable; what was called is never answered. Inside `on_signal` and answers: behind them, without `on_lost`. */
void gb__dbus_close(struct gb__dbus *bus);
/** In a forked child: close what its parent goes on with. */
void gb__dbus_abandon(struct gb__dbus *bus);

#endif
