/*
 * libdbus wants its descriptor watched for reading and for writing by separate watches: here they are one, so that the
 * engine has it once. It is handed what is ready, and what it has read is dispatched at once, from the loop and from nowhere
 * else. It connects to a socket of this machine, which takes no time; it logs in and calls by what is queued there.
 */
#include "announce/dbus.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

static unsigned wanted_ready(const struct gb__dbus *bus)
{
	unsigned ready = 0;

	for (unsigned i = 0; i < bus->wanted_count; i++) {
		const unsigned flags = D(dbus_watch_get_enabled)(bus->wanted[i])
			? D(dbus_watch_get_flags)(bus->wanted[i])
			: 0;

		ready |= flags & DBUS_WATCH_READABLE ? GB_READY_IN : 0u;
		ready |= flags & DBUS_WATCH_WRITABLE ? GB_READY_OUT : 0u;
	}
	return ready;
}

static bool wants(const struct gb__dbus *bus, const DBusWatch *watch)
{
	for (unsigned i = 0; i < bus->wanted_count; i++)
		if (bus->wanted[i] == watch)
			return true;
	return false;
}

static void really_close(struct gb__dbus *bus)
{
	DBusConnection *connection = bus->connection;

	bus->connection = NULL;
	bus->lost = false;
	D(dbus_connection_close)(connection);
	D(dbus_connection_unref)(connection);
	bus->fd = -1;
}

/* Behind what libdbus was asked to do. */
static void leave(struct gb__dbus *bus)
{
	while (!bus->lost &&
		D(dbus_connection_get_dispatch_status)(bus->connection) == DBUS_DISPATCH_DATA_REMAINS)
		(void)D(dbus_connection_dispatch)(bus->connection);
	bus->busy = false;
	if (bus->lost) {
		really_close(bus);
	} else if (!D(dbus_connection_get_is_connected)(bus->connection)) {
		really_close(bus);
		bus->on_lost(bus);
	}
}

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	struct gb__dbus *bus = user;
	DBusWatch *wanted[GB__DBUS_WATCHES];
	const unsigned count = bus->wanted_count;
	const unsigned flags = (ready & GB_READY_IN ? DBUS_WATCH_READABLE : 0u) |
		(ready & GB_READY_OUT ? DBUS_WATCH_WRITABLE : 0u) |
		(ready & GB_READY_ERROR ? DBUS_WATCH_ERROR : 0u) |
		(ready & GB_READY_HANGUP ? DBUS_WATCH_HANGUP : 0u);

	(void)watch;
	bus->busy = true;
	for (unsigned i = 0; i < count; i++)
		wanted[i] = bus->wanted[i];
	/* Each may take others away. */
	for (unsigned i = 0; i < count; i++)
		if (wants(bus, wanted[i]) && D(dbus_watch_get_enabled)(wanted[i]))
			(void)D(dbus_watch_handle)(wanted[i], flags);
	leave(bus);
}

static bool settle(struct gb__dbus *bus)
{
	const unsigned ready = wanted_ready(bus);

	if (bus->watch && bus->wanted_count == 0) {
		gb__watch_remove(bus->watch);
		bus->watch = NULL;
	} else if (bus->watch) {
		return gb__watch_change(bus->watch, ready) == 0;
	} else if (bus->wanted_count > 0) {
		return gb__watch_add(bus->watches, bus->fd, ready, on_ready, bus, &bus->watch) == 0;
	}
	return true;
}

static dbus_bool_t add_watch(DBusWatch *watch, void *user)
{
	struct gb__dbus *bus = user;

	if (bus->wanted_count == GB__DBUS_WATCHES)
		return FALSE;
	bus->fd = D(dbus_watch_get_unix_fd)(watch);
	bus->wanted[bus->wanted_count++] = watch;
	if (settle(bus))
		return TRUE;
	bus->wanted_count--;
	return FALSE;
}

static void remove_watch(DBusWatch *watch, void *user)
{
	struct gb__dbus *bus = user;
	unsigned kept = 0;

	for (unsigned i = 0; i < bus->wanted_count; i++)
		if (bus->wanted[i] != watch)
			bus->wanted[kept++] = bus->wanted[i];
	bus->wanted_count = kept;
	(void)settle(bus);
}

static void toggle_watch(DBusWatch *watch, void *user)
{
	(void)watch;
	(void)settle(user);
}

static DBusHandlerResult filter(DBusConnection *connection, DBusMessage *message, void *user)
{
	struct gb__dbus *bus = user;

	(void)connection;
	if (D(dbus_message_get_type)(message) == DBUS_MESSAGE_TYPE_SIGNAL && !bus->lost)
		bus->on_signal(bus, message);
	return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
}

int gb__dbus_open(struct gb__dbus *bus, struct gb__watches *watches)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");

	bus->watches = watches;
	bus->fd = -1;
	bus->watch = NULL;
	bus->wanted_count = 0;
	bus->busy = bus->lost = false;
	bus->connection = D(dbus_connection_open_private)(address && *address ? address : SYSTEM_BUS, NULL);
	if (!bus->connection)
		return -ECONNREFUSED;
	D(dbus_connection_set_exit_on_disconnect)(bus->connection, FALSE);
	if (D(dbus_connection_set_watch_functions)(
		    bus->connection, add_watch, remove_watch, toggle_watch, bus, NULL) &&
		D(dbus_connection_add_filter)(bus->connection, filter, bus, NULL))
		return 0;
	really_close(bus);
	return -ENOMEM;
}

int gb__dbus_call(struct gb__dbus *bus, DBusMessage *message, DBusPendingCallNotifyFunction done, void *user,
	DBusPendingCall **ret)
{
	DBusPendingCall *pending = NULL;
	bool sent;

	if (!message)
		return -ENOMEM;
	if (!bus->connection || !D(dbus_connection_get_is_connected)(bus->connection)) {
		D(dbus_message_unref)(message);
		return -ENOTCONN; /* on_lost is about to come */
	}
	D(dbus_message_set_auto_start)(message, FALSE);
	if (!done) {
		D(dbus_message_set_no_reply)(message, TRUE);
		sent = D(dbus_connection_send)(bus->connection, message, NULL);
	} else {
		sent = D(dbus_connection_send_with_reply)(
			       bus->connection, message, &pending, DBUS_TIMEOUT_INFINITE) &&
			pending;
		if (sent && !D(dbus_pending_call_set_notify)(pending, done, user, NULL)) {
			D(dbus_pending_call_cancel)(pending);
			D(dbus_pending_call_unref)(pending);
			sent = false;
		}
		if (sent)
			*ret = pending;
	}
	D(dbus_message_unref)(message);
	return sent ? 0 : -ENOMEM;
}

void gb__dbus_close(struct gb__dbus *bus)
{
	if (!bus->connection)
		return;
	if (bus->busy)
		bus->lost = true;
	else
		really_close(bus);
}

void gb__dbus_abandon(struct gb__dbus *bus)
{
	if (bus->connection && bus->fd >= 0)
		close(bus->fd);
	bus->fd = -1;
}
