#include "verify/wrap.h"

#include <gearbox/stream.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_ALIGNMENT 16u /* that of the state which the service itself gets */

/* Behind the service's own state of a connection. */
struct observed {
	uint32_t peer;
	_Atomic unsigned inside; /* callbacks that run */
};

static struct {
	const struct gb_service *service;
	size_t offset;           /* of struct observed in a connection's state */
	struct gb_routes routes; /* the service's, with `table` */
	struct gb_route *table;  /* of it, each handler wrapped; or NULL */
	int fd;
} wrapped;

static void tell(const struct observed *observed, enum verify_note_kind kind, int reason)
{
	const struct verify_note note = { observed->peer, (uint16_t)kind, (uint16_t)reason };
	ssize_t written;

	do
		written = write(wrapped.fd, &note, sizeof(note));
	while (written < 0 && errno == EINTR);
}

static struct observed *observed_of(struct gb_conn *conn)
{
	return (struct observed *)((unsigned char *)gb_conn_state(conn) + wrapped.offset);
}

static struct observed *enter(struct gb_conn *conn)
{
	struct observed *observed = observed_of(conn);

	if (atomic_fetch_add(&observed->inside, 1) > 0 && !(wrapped.service->traits & GB_TRAIT_UNORDERED))
		tell(observed, VERIFY_NOTE_OVERLAPPED, 0);
	return observed;
}

static void leave(struct observed *observed)
{
	atomic_fetch_sub(&observed->inside, 1);
}

/* A client that has reset its connection before it was accepted has no address any more. */
static uint32_t peer_of(const struct gb_conn *conn)
{
	char text[64];
	struct in_addr address;

	if (gb_conn_peer(conn, text, sizeof(text)) < 0)
		return 0;
	text[strcspn(text, ":")] = '\0';
	return inet_pton(AF_INET, text, &address) == 1 ? ntohl(address.s_addr) : 0;
}

static int on_open(struct gb_conn *conn)
{
	struct observed *observed = observed_of(conn);
	int result = 0;

	observed->peer = peer_of(conn);
	tell(observed, VERIFY_NOTE_OPENED, 0);
	if (wrapped.service->on_open) {
		enter(conn);
		result = wrapped.service->on_open(conn);
		leave(observed);
	}
	return result;
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_message(conn, message);
	leave(observed);
}

static void on_part(struct gb_conn *conn, const struct gb_part *part)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_part(conn, part);
	leave(observed);
}

static void on_cut(struct gb_conn *conn, int reason)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_cut(conn, reason);
	leave(observed);
}

static void on_routed_part(struct gb_conn *conn, const struct gb_part *part)
{
	struct observed *observed = enter(conn);

	wrapped.service->routes->table[gb_conn_route(conn) - wrapped.table].on_part(conn, part);
	leave(observed);
}

/* A service is wrapped once in a process: its table stays as long as that. */
static void on_routed(struct gb_conn *conn, struct gb_bytes message)
{
	struct observed *observed = enter(conn);

	wrapped.service->routes->table[gb_conn_route(conn) - wrapped.table].on_message(conn, message);
	leave(observed);
}

/* Returns 0 or -ENOMEM. */
static int wrap_routes(const struct gb_routes *routes)
{
	size_t count = 0;

	while (routes->table[count].name)
		count++;
	free(wrapped.table);
	wrapped.table = calloc(count + 1, sizeof(*wrapped.table));
	if (!wrapped.table)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		wrapped.table[i] = routes->table[i];
		wrapped.table[i].on_message = wrapped.table[i].on_message ? on_routed : NULL;
		wrapped.table[i].on_part = wrapped.table[i].on_part ? on_routed_part : NULL;
	}
	wrapped.routes = *routes;
	wrapped.routes.table = wrapped.table;
	return 0;
}

/* What is said of its processor and thread holds at its beginning: others run while it waits. */
static void serve(struct gb_stream *stream)
{
	struct gb_conn *conn = gb_stream_conn(stream);
	struct observed *observed = enter(conn);

	observed->peer = peer_of(conn);
	tell(observed, VERIFY_NOTE_OPENED, 0);
	leave(observed);
	wrapped.service->serve(stream);
}

static void on_writable(struct gb_conn *conn)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_writable(conn);
	leave(observed);
}

static void on_eof(struct gb_conn *conn)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_eof(conn);
	leave(observed);
}

static void on_error(struct gb_conn *conn, int reason)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_error(conn, reason);
	leave(observed);
}

static void on_drain(struct gb_conn *conn)
{
	struct observed *observed = enter(conn);

	wrapped.service->on_drain(conn);
	leave(observed);
}

static void on_close(struct gb_conn *conn, int reason)
{
	struct observed *observed = enter(conn);

	if (wrapped.service->on_close)
		wrapped.service->on_close(conn, reason);
	tell(observed, VERIFY_NOTE_CLOSED, reason);
	leave(observed);
}

int gb__verify_wrap(const struct gb_service *service, int fd, struct gb_service *ret)
{
	int result = 0;

	wrapped.service = service;
	wrapped.fd = fd;
	wrapped.offset = (service->conn_state_size + STATE_ALIGNMENT - 1) / STATE_ALIGNMENT * STATE_ALIGNMENT;
	*ret = *service;
	ret->conn_state_size = wrapped.offset + sizeof(struct observed);
	if (service->conn_state_size == 0)
		ret->traits |= GB_TRAIT_MOVABLE_IDLE; /* all that there is now is ours, and plain bytes */
	if (service->serve) {
		ret->serve = serve;
	} else {
		ret->on_open = on_open;
		ret->on_message = service->on_message ? on_message : NULL;
		if (service->routes) {
			result = wrap_routes(service->routes);
			ret->routes = &wrapped.routes;
		}
	}
	/* What the service has not, the library does by itself: that stays so. */
	ret->on_part = service->on_part ? on_part : NULL;
	ret->on_cut = service->on_cut ? on_cut : NULL;
	ret->on_writable = service->on_writable ? on_writable : NULL;
	ret->on_eof = service->on_eof ? on_eof : NULL;
	ret->on_error = service->on_error ? on_error : NULL;
	ret->on_drain = service->on_drain ? on_drain : NULL;
	ret->on_close = on_close;
	return result;
}
