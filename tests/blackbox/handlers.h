/** Services of the program `handlers`, beside those in handlers.c. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include <gearbox/gearbox.h>

/* handlers_ends.c: who says something at an end, or ends in a way of his own */
extern const struct gb_service parting_service, held_service, ending_service, relayed_service,
	differing_service;
/* handlers_codec.c: codecs of one's own */
extern const struct gb_service netstring_service, stanza_service, unknown_service, curt_service,
	until_service;

/* handlers_forwarded.c: whom a connection is for */
extern const struct gb_service forwarded_service;

#endif
