/** Questions to the hosts file and to name servers, by c-ares, in a loop. Nothing is kept. */
#ifndef NAME_DNS_H
#define NAME_DNS_H

#include "loop/watch.h"
#include "name/answer.h"

struct gb__dns;

enum gb__question {
	GB__QUESTION_ADDRESS, /* A and AAAA, of the hosts file first */
	GB__QUESTION_SERVICE, /* SRV */
};

/** At most so many of each are taken of an answer. */
#define GB__NAME_ADDRESSES_MAX 64u
#define GB__NAME_SERVICES_MAX 32u

/** What came of a question. */
struct gb__answer {
	int code;       /* 0, or -GB_ENONAME, -GB_ENOADDRESS, -GB_ENAMESERVER, -GB_ENAMETIMEOUT, -ENOMEM */
	uint32_t ttl_s; /* of what is there; of what is not, 0 where nobody said */
	size_t count;   /* 1 or more when there is no code */
	struct gb__address *addresses; /* in the order of RFC 6724; their ports are 0 */
	struct gb__srv *services;
};

struct gb__dns_options {
	struct gb__watches *watches;
	struct gb_worker *worker; /* of the timer; may be NULL */
	const char *
		servers; /* ADDRESS[:PORT], several with commas between; NULL or "": as the system has them */
	uint64_t try_ms; /* for the first answer of a server, before the next one is asked */
	/** Something was told, or may have been. From the loop. */
	void (*on_progress)(void *arg);
	void *arg;
};

/** To be told once; takes what `answer` points to. Perhaps inside gb__dns_ask. */
typedef void gb__dns_told(void *arg, struct gb__answer *answer);

/** Returns 0, -ENOMEM, -EOPNOTSUPP (built without c-ares), -EINVAL, with the reason. Reads the system's configuration. */
int gb__dns_create(const struct gb__dns_options *options, struct gb__dns **ret, struct gb_error *error);
/** Whoever has asked is told -ECANCELED first. Not inside `told`. */
void gb__dns_destroy(struct gb__dns *dns);
/** In a forked child: close the sockets that its parent goes on with. Nobody is told anything. NULL is fine. */
void gb__dns_abandon(struct gb__dns *dns);
void gb__dns_ask(
	struct gb__dns *dns, enum gb__question question, const char *name, gb__dns_told *told, void *arg);

#endif
