/**
 * Being found: a server's names in the DNS by dynamic updates (RFC 2136), from its ready moment to its drain.
 *
 * All of it happens in the loop of the server's first thread, by watches and timers: no thread, and no call that waits.
 * What fails is told, tried again later, and keeps nobody from being served.
 */
#ifndef ANNOUNCE_ANNOUNCE_H
#define ANNOUNCE_ANNOUNCE_H

#include "loop/watch.h"
#include "name/names.h"
#include "os/address.h"

#include <stdbool.h>
#include <stdint.h>

/** Texts may be NULL. */
struct gb__announce_options {
	char *server;  /* "HOST[:PORT]" of the name server, or what its SRV records are of */
	char *zone;    /* NULL: asked for */
	char *key;     /* a file; NULL: updates are not signed */
	char *host;    /* whose address records; NULL: this machine's name, in the zone */
	char *address; /* "10.0.0.1,2001:db8::1"; NULL: those that are listened on */
	uint64_t ttl_ms;
	uint64_t weight, priority; /* of an address (gb__announce_add) */
	bool guard;                /* fork a process that removes what is registered when this one dies */
};

struct gb__announce;

struct gb__announce_status {
	const char *
		state; /* "waiting", "registering", "registered", "retrying", "removing", "removed", "left" */
	uint64_t updates;          /* that the name server took */
	uint64_t failures;         /* attempts that came to nothing */
	uint64_t expired;          /* of others, removed */
	uint32_t life_s;           /* of what is registered */
	bool leased;               /* the name server keeps that itself */
	const char *server, *zone; /* "": it is not known yet */
	const char *error;         /* what failed last, or "" */
};

/** Copies the options, reads the key. Returns 0, or an error with the reason. */
int gb__announce_create(
	const struct gb__announce_options *options, struct gb__announce **ret, struct gb_error *error);
/** A service at an address of IP under a name as "_echo._tcp.example.org". Returns 0, -GB_EUSAGE, -ENOMEM. */
int gb__announce_add(struct gb__announce *announce, const char *name, const struct gb__address *listening,
	unsigned priority, unsigned weight, struct gb_error *error);
/** Fork that process, if it is wanted and may be: by the only thread there is, before the begin. It resolves names so. */
void gb__announce_guard(struct gb__announce *announce, const struct gb__names_options *names);
/** Whether the name server is one by name. */
bool gb__announce_resolves(const struct gb__announce *announce);
/** It is served from now on. `names`: of the loop, for who resolves; or NULL. `on_gone` is called once what was registered is
 *  gone, or was given up. */
int gb__announce_begin(struct gb__announce *announce, struct gb__watches *watches, struct gb__names *names,
	void (*on_gone)(void *arg), void *arg);
/** Remove it, within that time; repeated calls do nothing. Before the begin there is nothing to remove. */
void gb__announce_withdraw(struct gb__announce *announce, uint64_t within_ms);
/** Whether nothing is registered or being removed any more. NULL: so it is. */
bool gb__announce_gone(const struct gb__announce *announce);
/** Let go of the loop, whatever has been reached. What is left that process removes, which then ends. */
void gb__announce_end(struct gb__announce *announce);
/** In a forked child: close what its parent goes on with. NULL is fine. */
void gb__announce_abandon(struct gb__announce *announce);
void gb__announce_status(const struct gb__announce *announce, struct gb__announce_status *ret);
/** The names, one after the other; NULL behind the last. */
const char *gb__announce_name(const struct gb__announce *announce, size_t index);
/** NULL is fine. */
void gb__announce_destroy(struct gb__announce *announce);

#endif
