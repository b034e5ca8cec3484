/**
 * libdbus, loaded when it is needed: it brings a dozen libraries along, libsystemd among them, and a server that is not
 * announced on the local network shall neither wait for those at its start nor have their memory.
 */
#ifndef ANNOUNCE_LIBDBUS_H
#define ANNOUNCE_LIBDBUS_H

#include <dbus/dbus.h>
#include <gearbox/error.h>

#define GB__LIBDBUS(X) \
	X(dbus_bus_set_unique_name) \
	X(dbus_connection_add_filter) \
	X(dbus_connection_close) \
	X(dbus_connection_dispatch) \
	X(dbus_connection_get_dispatch_status) \
	X(dbus_connection_get_is_connected) \
	X(dbus_connection_open_private) \
	X(dbus_connection_send) \
	X(dbus_connection_send_with_reply) \
	X(dbus_connection_set_exit_on_disconnect) \
	X(dbus_connection_set_watch_functions) \
	X(dbus_connection_unref) \
	X(dbus_error_free) \
	X(dbus_error_has_name) \
	X(dbus_error_init) \
	X(dbus_message_append_args) \
	X(dbus_message_get_args) \
	X(dbus_message_get_path) \
	X(dbus_message_get_type) \
	X(dbus_message_is_signal) \
	X(dbus_message_iter_close_container) \
	X(dbus_message_iter_init_append) \
	X(dbus_message_iter_open_container) \
	X(dbus_message_new_method_call) \
	X(dbus_message_set_auto_start) \
	X(dbus_message_set_no_reply) \
	X(dbus_message_unref) \
	X(dbus_pending_call_cancel) \
	X(dbus_pending_call_set_notify) \
	X(dbus_pending_call_steal_reply) \
	X(dbus_pending_call_unref) \
	X(dbus_set_error_from_message) \
	X(dbus_watch_get_enabled) \
	X(dbus_watch_get_flags) \
	X(dbus_watch_get_unix_fd) \
	X(dbus_watch_handle)

#define GB__LIBDBUS_FIELD(name) __typeof__(name) *name;
struct gb__libdbus {
	GB__LIBDBUS(GB__LIBDBUS_FIELD)
};
#undef GB__LIBDBUS_FIELD

/** All NULL before gb__libdbus_load. */
extern struct gb__libdbus gb__libdbus;

/** How its functions are called. */
#define D(name) (gb__libdbus.name)

/** Load it, once; it stays. Returns 0, or -ENOENT with the reason. */
int gb__libdbus_load(struct gb_error *error);

#endif
