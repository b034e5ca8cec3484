/**
 * Names: hosts (A and AAAA) and services (SRV), resolved in a worker's loop.
 *
 * Whatever connects takes names: "example.org:7000", and for a service "_xmpp._tcp.example.org" or "srv:NAME", whose records
 * say host and port. So this is for those who want to see the addresses. Nobody blocks: name servers are asked by sockets
 * that the loop watches. The hosts file and search domains are asked as well. A worker keeps what was found for its time to
 * live, that a name does not exist likewise (RFC 2308), a failure for a second; who asks for the same at the same time
 * shares one question. docs/names.md has the options.
 */
#ifndef GEARBOX_NAME_H
#define GEARBOX_NAME_H

#include <gearbox/coro.h>
#include <gearbox/error.h>
#include <gearbox/operation.h>
#include <gearbox/types.h>

GB_BEGIN

/** Holds any address as text. */
#define GB_ADDRESS_TEXT 448u

/** One address of a name. */
struct gb_resolved_address {
	char text[GB_ADDRESS_TEXT]; /* with the port, as gb_connect takes it */
	uint32_t ttl_s;             /* it holds so long; UINT32_MAX: it was no name */
	uint16_t priority, weight;  /* of its SRV record; the address of a name has none */
	uint16_t record; /* whose it is, of several, counted in the order in which they are tried */
};

/** What a name stands for, in the order in which it is tried: RFC 6724 for hosts; for services priority, then chance by
 *  weight (RFC 2782), drawn anew each time. */
struct gb_resolved {
	size_t count; /* 1 or more */
	struct gb_resolved_address *addresses;
};

/** Zeroed memory, or that of one that is complete. */
struct gb_resolve {
	struct gb_operation operation;
	struct gb_resolved
		*resolved; /* once it is complete with 0: the caller's, who gives it to gb_resolved_free */
	void *lookup;
};

/**
 * Begin to resolve: HOST:PORT, a service, or an address, which is itself.
 *
 * Completes with 0; -GB_EUSAGE (no name: gb_name_check says why); -GB_ENONAME (it does not exist), -GB_ENOADDRESS (neither A nor
 * AAAA), -GB_ENOSERVICE (its SRV record says that there is none), -GB_ENAMESERVER (no server gives an answer of use),
 * -GB_ENAMETIMEOUT; -EOPNOTSUPP (built without c-ares), -ENOMEM, -ECANCELED, -ESHUTDOWN. Thread: the worker's.
 * Returns the operation.
 */
GB_API struct gb_operation *gb_resolve_begin(struct gb_worker *worker, struct gb_resolve *resolve,
	const char *name, gb_operation_done *on_done, void *user);

/** Resolve. Waits. Returns as gb_resolve_begin completes, or what ends the wait; `error` says it with the name. */
GB_API int gb_resolve(
	struct gb_coro *coro, const char *name, struct gb_resolved **ret, struct gb_error *error);

/** NULL is fine. */
GB_API void gb_resolved_free(struct gb_resolved *resolved);

/** Whether `text` can be connected to. Nothing is resolved. Thread: any. Returns 1 (a name: HOST:PORT, a service), 0 (an
 *  address), or -GB_EUSAGE with the reason in `error`. */
GB_API int gb_name_check(const char *text, struct gb_error *error);

GB_END

#endif
