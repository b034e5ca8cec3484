/*
 * Happy path: log in at the bus, listen to signals, and for each service make an entry group, add the service to it,
 * commit it, and hear that it is established. A name that somebody else has gets a number. A daemon that goes takes all along, and
 * when it comes it is told anew; so is one whose own host name has changed.
 */
#include "announce/local.h"

#include "announce/dbus.h"
#include "announce/labels.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/macros.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AVAHI "org.freedesktop.Avahi"
#define SERVER AVAHI ".Server"
#define GROUP AVAHI ".EntryGroup"
#define BUS "org.freedesktop.DBus"

#define ANSWER_MS 10000u /* that long nobody may leave a call unanswered */
#define AGAIN_MS 10000u  /* between two looks whether there is a bus */
#define NS_PER_MS 1000000u

enum { SERVER_REGISTERING = 1, SERVER_RUNNING, SERVER_COLLISION, SERVER_FAILURE };
enum { GROUP_UNCOMMITTED, GROUP_REGISTERING, GROUP_ESTABLISHED, GROUP_COLLISION, GROUP_FAILURE };

struct service {
	struct gb__local *local;
	char name[GB__LOCAL_NAME]; /* as it is called now */
	char type[GB__LOCAL_NAME];
	unsigned port;
	char *group; /* its path, or NULL */
	DBusPendingCall *call;
	bool established;
};

struct gb__local {
	struct gb__dbus bus;
	struct gb__watches *watches; /* NULL: not begun, or ended */
	struct gb_timer timer;       /* until something must have been answered, or is tried again */
	DBusPendingCall *hello;
	struct service *services;
	size_t count;
	const char *state;
	char error[256];
	bool absence_told;
};

static void timer_start(
	struct gb__local *local, uint64_t ms, void (*on_expire)(struct gb_timer *timer, void *arg))
{
	struct gb__os *os = local->watches->loop->os;

	local->timer.on_expire = on_expire;
	local->timer.arg = local;
	local->timer.deadline_ns = os->ops->now_ns(os) + ms * NS_PER_MS;
	gb__timers_start_reserved(&local->watches->loop->timers, &local->timer);
}

static void timer_stop(struct gb__local *local)
{
	gb__timers_stop(&local->watches->loop->timers, &local->timer);
}

static void call_forget(DBusPendingCall **call)
{
	if (*call) {
		D(dbus_pending_call_cancel)(*call);
		D(dbus_pending_call_unref)(*call);
	}
	*call = NULL;
}

/* As it was before the daemon was known. */
static void forget(struct gb__local *local)
{
	call_forget(&local->hello);
	for (size_t i = 0; i < local->count; i++) {
		struct service *service = &local->services[i];

		call_forget(&service->call);
		gb__free(service->group);
		service->group = NULL;
		service->established = false;
	}
}

static bool all_established(const struct gb__local *local)
{
	for (size_t i = 0; i < local->count; i++)
		if (!local->services[i].established)
			return false;
	return true;
}

__attribute__((format(printf, 2, 3))) static void fail(struct gb__local *local, const char *format, ...)
{
	char text[sizeof(local->error)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (strcmp(text, local->error) != 0)
		gb__log(GB__LOG_WARNING, "not announced on the local network: %s", text);
	snprintf(local->error, sizeof(local->error), "%s", text);
	local->state = "failed";
}

/* No daemon, or no bus: it may come. */
static void absent(struct gb__local *local, const char *who)
{
	forget(local);
	local->state = "absent";
	if (!local->absence_told)
		gb__log(GB__LOG_NOTICE, "not announced on the local network until there is %s", who);
	local->absence_told = true;
}

static void open_bus(struct gb__local *local);

static void again(struct gb_timer *timer, void *arg)
{
	(void)timer;
	open_bus(arg);
}

static void lose(struct gb__local *local)
{
	absent(local, "a system bus (D-Bus)");
	timer_stop(local);
	timer_start(local, AGAIN_MS, again);
}

static void on_lost(struct gb__dbus *bus)
{
	lose(gb__container_of(bus, struct gb__local, bus));
}

static void unanswered(struct gb_timer *timer, void *arg)
{
	struct gb__local *local = arg;

	(void)timer;
	fail(local, "Avahi does not answer");
	forget(local);
	gb__dbus_close(&local->bus);
	timer_start(local, AGAIN_MS, again);
}

static bool waits(const struct gb__local *local)
{
	bool found = local->hello;

	for (size_t i = 0; i < local->count; i++)
		found |= local->services[i].call != NULL;
	return found;
}

static void call(struct gb__local *local, DBusPendingCall **pending, DBusMessage *message,
	DBusPendingCallNotifyFunction done, void *user)
{
	int result = gb__dbus_call(&local->bus, message, done, user, pending);

	if (result == -ENOMEM)
		fail(local, "no memory");
	else if (result == 0 && done && !local->timer.heap_index)
		timer_start(local, ANSWER_MS, unanswered);
}

/* The answer to a call, which is over. NULL: an error, whose name is in `error`. */
static DBusMessage *answer(struct gb__local *local, DBusPendingCall **pending, DBusError *error)
{
	DBusMessage *message = D(dbus_pending_call_steal_reply)(*pending);

	D(dbus_pending_call_unref)(*pending);
	*pending = NULL;
	timer_stop(local);
	if (waits(local))
		timer_start(local, ANSWER_MS, unanswered);
	D(dbus_error_init)(error);
	if (!message || D(dbus_set_error_from_message)(error, message)) {
		if (message)
			D(dbus_message_unref)(message);
		return NULL;
	}
	return message;
}

/* An answer that is an error, or makes no sense. */
static void refused(struct gb__local *local, const char *what, const DBusError *error)
{
	if (D(dbus_error_has_name)(error, DBUS_ERROR_SERVICE_UNKNOWN) ||
		D(dbus_error_has_name)(error, DBUS_ERROR_NAME_HAS_NO_OWNER) ||
		D(dbus_error_has_name)(error, DBUS_ERROR_NO_REPLY) ||
		D(dbus_error_has_name)(error, DBUS_ERROR_DISCONNECTED))
		absent(local, "an Avahi daemon");
	else
		fail(local, "%s: %s", what,
			error->message ? error->message : "an answer that makes no sense");
}

static void on_committed(DBusPendingCall *pending, void *user)
{
	struct service *service = user;
	DBusError error;
	DBusMessage *message = answer(service->local, &service->call, &error);

	(void)pending;
	if (message)
		D(dbus_message_unref)(message);
	else
		refused(service->local, service->name, &error);
	D(dbus_error_free)(&error);
}

static void add_service(struct service *service);

static void rename_service(struct service *service)
{
	gb__label_alternative(service->name, sizeof(service->name));
	add_service(service);
}

static void on_added(DBusPendingCall *pending, void *user)
{
	struct service *service = user;
	struct gb__local *local = service->local;
	DBusError error;
	DBusMessage *message = answer(local, &service->call, &error);

	(void)pending;
	if (message) {
		D(dbus_message_unref)(message);
		call(local, &service->call,
			D(dbus_message_new_method_call)(AVAHI, service->group, GROUP, "Commit"), on_committed,
			service);
	} else if (D(dbus_error_has_name)(&error, AVAHI ".CollisionError")) {
		rename_service(service);
	} else {
		refused(local, service->name, &error);
	}
	D(dbus_error_free)(&error);
}

/* AddService(i interface, i protocol, u flags, s name, s type, s domain, s host, q port, aay texts) */
static DBusMessage *addition(const struct service *service)
{
	DBusMessage *message = D(dbus_message_new_method_call)(AVAHI, service->group, GROUP, "AddService");
	const char *name = service->name, *type = service->type, *empty = "";
	const dbus_int32_t any = -1;
	const dbus_uint32_t flags = 0;
	const dbus_uint16_t port = (dbus_uint16_t)service->port;
	DBusMessageIter at, texts;

	if (!message)
		return NULL;
	D(dbus_message_iter_init_append)(message, &at);
	if (D(dbus_message_append_args)(message, DBUS_TYPE_INT32, &any, DBUS_TYPE_INT32, &any,
		    DBUS_TYPE_UINT32, &flags, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &type,
		    DBUS_TYPE_STRING, &empty, DBUS_TYPE_STRING, &empty, DBUS_TYPE_UINT16, &port,
		    DBUS_TYPE_INVALID)) {
		D(dbus_message_iter_init_append)(message, &at);
		if (D(dbus_message_iter_open_container)(&at, DBUS_TYPE_ARRAY, "ay", &texts) &&
			D(dbus_message_iter_close_container)(&at, &texts))
			return message;
	}
	D(dbus_message_unref)(message);
	return NULL;
}

static void add_service(struct service *service)
{
	call(service->local, &service->call, addition(service), on_added, service);
}

static void on_group(DBusPendingCall *pending, void *user)
{
	struct service *service = user;
	struct gb__local *local = service->local;
	DBusError error;
	DBusMessage *message = answer(local, &service->call, &error);
	const char *path;

	(void)pending;
	if (!message ||
		!D(dbus_message_get_args)(message, NULL, DBUS_TYPE_OBJECT_PATH, &path, DBUS_TYPE_INVALID)) {
		refused(local, "Avahi", &error);
	} else {
		service->group = gb__strdup(path);
		if (service->group)
			add_service(service);
		else
			fail(local, "no memory");
	}
	if (message)
		D(dbus_message_unref)(message);
	D(dbus_error_free)(&error);
}

static void register_service(struct service *service)
{
	call(service->local, &service->call,
		D(dbus_message_new_method_call)(AVAHI, "/", SERVER, "EntryGroupNew"), on_group, service);
}

static void register_all(struct gb__local *local)
{
	local->state = "registering";
	for (size_t i = 0; i < local->count; i++)
		if (!local->services[i].call && !local->services[i].group)
			register_service(&local->services[i]);
}

/* What it had of ours is void; its groups go with their names. */
static void release_groups(struct gb__local *local)
{
	for (size_t i = 0; i < local->count; i++)
		if (local->services[i].group)
			call(local, NULL,
				D(dbus_message_new_method_call)(
					AVAHI, local->services[i].group, GROUP, "Free"),
				NULL, NULL);
	forget(local);
}

static void group_changed(struct gb__local *local, const char *path, int state, const char *error)
{
	struct service *service = NULL;

	for (size_t i = 0; i < local->count; i++)
		if (local->services[i].group && strcmp(local->services[i].group, path) == 0)
			service = &local->services[i];
	if (!service)
		return;
	service->established = state == GROUP_ESTABLISHED;
	if (state == GROUP_COLLISION && !service->call) {
		call(local, NULL, D(dbus_message_new_method_call)(AVAHI, service->group, GROUP, "Reset"),
			NULL, NULL);
		rename_service(service);
	} else if (state == GROUP_FAILURE) {
		fail(local, "%s.%s: %s", service->name, service->type, error);
	} else if (state == GROUP_ESTABLISHED) {
		gb__log(GB__LOG_NOTICE, "announced on the local network as %s.%s", service->name,
			service->type);
		local->absence_told = false;
		if (all_established(local)) {
			local->state = "registered";
			local->error[0] = '\0';
		}
	}
}

static void server_changed(struct gb__local *local, int state)
{
	if (state == SERVER_RUNNING) {
		register_all(local);
	} else if (state == SERVER_REGISTERING || state == SERVER_COLLISION) {
		release_groups(local);
		local->state = "registering";
	}
}

static void owner_changed(struct gb__local *local, DBusMessage *signal)
{
	const char *name, *before, *now;

	if (!D(dbus_message_get_args)(signal, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_STRING, &before,
		    DBUS_TYPE_STRING, &now, DBUS_TYPE_INVALID) ||
		strcmp(name, AVAHI) != 0)
		return;
	timer_stop(local);
	if (!*now) {
		absent(local, "an Avahi daemon");
		return;
	}
	forget(local);
	register_all(local);
}

static void on_signal(struct gb__dbus *bus, DBusMessage *signal)
{
	struct gb__local *local = gb__container_of(bus, struct gb__local, bus);
	const char *error = "";
	dbus_int32_t state;

	if (D(dbus_message_is_signal)(signal, BUS, "NameOwnerChanged"))
		owner_changed(local, signal);
	else if (!D(dbus_message_get_args)(
			 signal, NULL, DBUS_TYPE_INT32, &state, DBUS_TYPE_STRING, &error, DBUS_TYPE_INVALID))
		return;
	else if (D(dbus_message_is_signal)(signal, GROUP, "StateChanged"))
		group_changed(local, D(dbus_message_get_path)(signal), state, error);
	else if (D(dbus_message_is_signal)(signal, SERVER, "StateChanged"))
		server_changed(local, state);
}

static void listen_for(struct gb__local *local, const char *rule)
{
	DBusMessage *message = D(dbus_message_new_method_call)(BUS, "/org/freedesktop/DBus", BUS, "AddMatch");

	if (message && !D(dbus_message_append_args)(message, DBUS_TYPE_STRING, &rule, DBUS_TYPE_INVALID)) {
		D(dbus_message_unref)(message);
		message = NULL;
	}
	call(local, NULL, message, NULL, NULL);
}

static void on_hello(DBusPendingCall *pending, void *user)
{
	struct gb__local *local = user;
	DBusError error;
	DBusMessage *message = answer(local, &local->hello, &error);
	const char *name;

	(void)pending;
	if (message && D(dbus_message_get_args)(message, NULL, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID) &&
		D(dbus_bus_set_unique_name)(local->bus.connection, name)) {
		listen_for(
			local, "type='signal',sender='" BUS "',member='NameOwnerChanged',arg0='" AVAHI "'");
		listen_for(local, "type='signal',sender='" AVAHI "',member='StateChanged'");
		register_all(local);
	} else {
		refused(local, "the system bus", &error);
	}
	if (message)
		D(dbus_message_unref)(message);
	D(dbus_error_free)(&error);
}

static void open_bus(struct gb__local *local)
{
	if (gb__dbus_open(&local->bus, local->watches) < 0)
		lose(local);
	else
		call(local, &local->hello,
			D(dbus_message_new_method_call)(BUS, "/org/freedesktop/DBus", BUS, "Hello"), on_hello,
			local);
}

int gb__local_create(struct gb__local **ret, struct gb_error *error)
{
	int result = gb__libdbus_load(error);
	struct gb__local *local;

	if (result < 0)
		return result;
	local = gb__alloc_zero(sizeof(*local));
	if (!local)
		return gb_error_set(error, -ENOMEM, "no memory to announce anything");
	local->bus.on_signal = on_signal;
	local->bus.on_lost = on_lost;
	local->state = "waiting";
	*ret = local;
	return 0;
}

int gb__local_add(struct gb__local *local, const char *name, unsigned port, struct gb_error *error)
{
	struct service added = { .local = local, .port = port };
	struct service *grown;

	if (gb__label_split(name, added.name, sizeof(added.name), added.type, sizeof(added.type)) < 0)
		return gb_error_set(error, -GB_EUSAGE,
			"announce-local: \"%.80s\" is no type of a service: write _SERVICE._tcp or NAME._SERVICE._tcp",
			name);
	for (size_t i = 0; i < local->count; i++)
		if (local->services[i].port == port && strcmp(local->services[i].type, added.type) == 0)
			return 0;
	grown = gb__realloc(local->services, (local->count + 1) * sizeof(*grown));
	if (!grown)
		return gb_error_set(error, -ENOMEM, "no memory to announce %s", name);
	local->services = grown;
	local->services[local->count++] = added;
	return 0;
}

int gb__local_begin(struct gb__local *local, struct gb__watches *watches)
{
	int result = gb__timers_reserve(&watches->loop->timers, 1);

	if (result < 0)
		return result;
	local->watches = watches;
	open_bus(local);
	return 0;
}

void gb__local_end(struct gb__local *local)
{
	if (!local || !local->watches)
		return;
	forget(local);
	gb__dbus_close(&local->bus);
	timer_stop(local);
	local->watches = NULL;
	local->state = "removed";
}

void gb__local_abandon(struct gb__local *local)
{
	if (local)
		gb__dbus_abandon(&local->bus);
}

bool gb__local_name(const struct gb__local *local, size_t index, char *text, size_t size)
{
	if (index >= local->count)
		return false;
	snprintf(text, size, "%s.%s", local->services[index].name, local->services[index].type);
	return true;
}

void gb__local_status(const struct gb__local *local, struct gb__local_status *ret)
{
	*ret = (struct gb__local_status){ local->state, local->error };
}

void gb__local_destroy(struct gb__local *local)
{
	if (!local)
		return;
	gb__local_end(local);
	gb__free(local->services);
	gb__free(local);
}
