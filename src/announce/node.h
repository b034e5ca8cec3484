/**
 * What stands under one name, and what is to change there: the rules of leases, without a connection.
 *
 * RFC 2136 has no life of its own for what it adds. So whoever adds records to a name adds a TXT record there that says
 * until when, for how long in all, and which records go with it:
 *
 *     _echo._tcp.example.org. TXT "lease=1795880066" "life=60" "id=host.example.org:7000" "run=5e0f3c…" "SRV 0 0 7000 host.example.org."
 *
 * It is renewed in time, with another `lease`. Whoever announces under that name looks at the others' each time, and
 * removes those that are over with what they name. An update says which TXT records it has seen (RFC 2136, 2.4.2), so
 * that it fails where somebody else came first, and is made again from what is there then.
 */
#ifndef ANNOUNCE_NODE_H
#define ANNOUNCE_NODE_H

#include "announce/message.h"

#include <stdbool.h>
#include <stdint.h>

#define GB__LEASE_TEXT 256u   /* of one string of a TXT record */
#define GB__LEASE_RECORDS 32u /* that go with a lease */
/** Clocks of two machines that sign for the same server differ by less: it takes five minutes from each. */
#define GB__LEASE_CLOCKS_S 600u

/** One instance's share of a name. */
struct gb__lease {
	char id[GB__LEASE_TEXT];
	uint64_t run;     /* of the server that wrote it, by chance */
	uint64_t until_s; /* in Unix time */
	uint64_t life_s;
	unsigned count;
	char records[GB__LEASE_RECORDS][GB__LEASE_TEXT]; /* "SRV 0 0 7000 host.example.org.", "A 10.0.0.1" */
};

/** A name in the DNS with what stands there (a node of RFC 1034, 3.1), as this server has seen it last. */
struct gb__node {
	char name[GB__DNS_NAME];
	uint64_t run; /* ours: an own id with another is of an earlier life, or somebody else's */
	struct gb__lease *own;
	size_t own_count;
	ldns_rr_list *found; /* TXT records of now; owned; NULL: none */
	struct gb__sight {
		uint64_t hash, since_ns;
	} * sights; /* leases that were there the last time, and since when */
	size_t sights_count;
};

/** What one update is to say. */
struct gb__changes {
	ldns_rr_list *prerequisites, *changes; /* owned, with their records */
	unsigned removed;                      /* leases of others that were over */
	bool failed;                           /* no memory */
};

/** Read a TXT record. Returns whether it is a lease. */
bool gb__lease_read(const ldns_rr *record, struct gb__lease *ret);

/** Add an own lease without records, or NULL: no memory. */
struct gb__lease *gb__node_own(struct gb__node *node, const char *id);
int gb__lease_add(struct gb__lease *lease, const char *record);
/** Take what a question for TXT was answered by, at this time of the monotonic clock. Returns 0 or -ENOMEM. */
int gb__node_look(struct gb__node *node, const ldns_pkt *answer, uint64_t now_ns);
/** Whether a record belongs to any lease that is there. */
bool gb__node_leased(const struct gb__node *node, const char *record);
/** Whether a lease with the id of an own one is there that another run wrote. */
bool gb__node_contested(const struct gb__node *node);
/**
 * Add what is to change: own leases anew, until `unix_s` and `life_s`, or those of this run gone when `leaves`; those of others that are
 * over gone. Records that a lease which stays names as well stay. A lease is over when it was seen unchanged for its
 * life, by this machine's clock, or ended so long ago that clocks cannot be the reason.
 */
void gb__node_change(struct gb__node *node, bool leaves, uint64_t unix_s, uint64_t now_ns, uint32_t life_s,
	struct gb__changes *changes);
void gb__changes_finish(struct gb__changes *changes);
/** Forget own leases; what was seen stays. */
void gb__node_disown(struct gb__node *node);
void gb__node_finish(struct gb__node *node);

#endif
