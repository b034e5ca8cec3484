/** The registrar: what is announced, and how far that has come. */
#ifndef ANNOUNCE_REGISTER_H
#define ANNOUNCE_REGISTER_H

#include "announce/announce.h"
#include "announce/dialogue.h"
#include "announce/node.h"
#include "name/lookup.h"

#include <gearbox/worker.h>

#define GB__ANNOUNCE_ADDRESSES 16u

/** One service at one address. */
struct gb__announced {
	char *name; /* of the SRV record */
	struct gb__address listening;
	unsigned priority, weight;
};

enum gb__announce_step {
	GB__ANNOUNCE_IDLE,
	GB__ANNOUNCE_RESOLVE, /* the name server */
	GB__ANNOUNCE_CONNECT,
	GB__ANNOUNCE_FIND, /* the zone */
	GB__ANNOUNCE_LOOK, /* at the node of that number */
	GB__ANNOUNCE_V4,   /* whose address records are there */
	GB__ANNOUNCE_V6,
	GB__ANNOUNCE_UPDATE,
};

struct gb__announce {
	struct gb__dns_key key;
	bool signs, guards;
	struct gb__target target; /* the name server */
	struct gb__lookup lookup;
	struct gb__address server; /* that is spoken to */
	char server_text[GB__ADDRESS_TEXT];
	char zone[GB__DNS_NAME]; /* "": to be asked for */
	char host_wanted[GB__DNS_NAME];
	char host[GB__DNS_NAME];                              /* once the zone is known */
	struct gb__address addresses[GB__ANNOUNCE_ADDRESSES]; /* that were asked for */
	unsigned addresses_count;
	uint32_t ttl_s;
	uint64_t run; /* tells this server's leases from those of one before, of the same id */
	int guard;    /* of the process that removes what a dead server leaves, or -1 */
	struct gb__names_options guard_names; /* for its names */
	struct gb__announced *services;
	size_t services_count;
	struct gb__node *nodes; /* the first is the host's; those of services follow */
	size_t nodes_count;

	struct gb__watches *watches; /* NULL: not begun, or ended */
	struct gb__names *names;     /* or NULL */
	void (*on_gone)(void *arg);
	void *arg;
	struct gb__dialogue dialogue;
	struct gb_timer next;  /* cycle, or attempt */
	struct gb_timer bound; /* of this one */
	struct gb_timer last;  /* of the removal */
	enum gb__announce_step step;
	size_t node;              /* that is looked at */
	struct gb__address local; /* of the connection */
	ldns_rr_list *there;      /* address records of the host, as they are now */
	bool leaves, gone, asked; /* asked: an update was sent, so that something may be registered */
	bool removes;             /* the update on its way */
	bool in_force;            /* the last update was taken */
	unsigned conflicts;       /* in a row */
	unsigned attempts;        /* that failed, in a row */
	struct gb__changes changes;
	struct gb__announce_status status;
	char error[512];
};

/** Remove what was registered by this run, in another process perhaps. */
int gb__announce_clear(struct gb__announce *announce, struct gb__watches *watches, struct gb__names *names,
	uint64_t within_ms, void (*on_gone)(void *arg), void *arg);
/** names.c: what is to be registered, as of now: own leases of the nodes. Returns 0 or -ENOMEM. */
int gb__announce_fill(struct gb__announce *announce);
/** names.c: once the zone is known: the name of the host. Returns 0, or -GB_EUSAGE with the reason. */
int gb__announce_settle_names(struct gb__announce *announce, struct gb_error *error);

#endif
