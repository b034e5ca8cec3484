/** The names of a server (src/announce): in the loop of its chief, from its ready moment to its drain. */
#ifndef MODEL_NAMING_H
#define MODEL_NAMING_H

#include "model/worker.h"

/** What is announced by one name server, in one zone, by one key. */
struct gb__naming_zone {
	struct gb__announce *announce;
	char *what; /* of its options: addresses with the same are announced together */
};

/** What `announce` or `announce-local` says: a name, or NULL: there is none. */
const char *gb__naming_name(const char *text);
/** Make what its options ask for, and check it. Returns 0, or an error with the reason. */
int gb__naming_prepare(struct gb_server *server, struct gb_error *error);
/** All workers run. */
void gb__naming_begin(struct gb_worker *chief);
/** Whether its names are gone, or were given up, so that it may drain; else they are being removed, and the chief looks
 *  again when they are. */
bool gb__naming_ended(struct gb_worker *chief);
/** Of its zones the one to tell of first: that something went wrong with, or that is not registered; NULL: it has none. */
const struct gb__announce *gb__naming_worst(const struct gb_server *server);
/** How that stands, for people: ", announced as …", or nothing where it has none. Returns the state, a static text. */
const char *gb__naming_describe(const struct gb_server *server, char *text, size_t size);
/** Whatever has been reached: the loop goes. */
void gb__naming_end(struct gb_server *server);
/** In a worker process: close what its parent goes on with. */
void gb__naming_abandon(struct gb_server *server);
void gb__naming_destroy(struct gb_server *server);

#endif
