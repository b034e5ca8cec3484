/** A connection to whoever a name stands for: there from the beginning, with a descriptor once one has connected. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "name/target.h"
#include "net/outgoing.h"

struct gb__dial;
struct gb__lookup;

/**
 * As gb__net_connect, to a target that is a name: what it resolves to is tried by Happy Eyeballs (net/race.h). That it does
 * not resolve is told as a connect that fails is, with the code of gb__answer. Needs the net's names.
 */
int gb__net_dial(struct gb__net *net, const struct gb__target *target,
	const struct gb__socket_options *options, const struct gb_service *service, void *user,
	enum gb__for who, struct gb_conn **ret_conn);
/** gb__lookup_begin with the names of the net. */
int gb__net_lookup(struct gb__net *net, struct gb__lookup *lookup, const struct gb__target *target,
	void (*on_done)(struct gb__lookup *lookup, int code));
/** The connection ends: nothing more is tried. */
void gb__dial_drop(struct gb_conn *conn);
/** What was to be connected to, as it was written; GB__ADDRESS_TEXT holds any. Returns whether there is a dial. */
bool gb__dial_name(const struct gb_conn *conn, char *text, size_t size);

#endif
