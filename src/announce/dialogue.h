/** A conversation with a name server over TCP, in a loop: one request at a time, never waited for. */
#ifndef ANNOUNCE_DIALOGUE_H
#define ANNOUNCE_DIALOGUE_H

#include "announce/message.h"
#include "loop/watch.h"
#include "os/address.h"

#include <stdbool.h>

struct gb__dialogue {
	struct gb__watches *watches;
	int fd; /* -1: none */
	struct gb_watch *watch;
	bool connected;
	struct gb__dns_request request; /* on its way, or not answered yet */
	size_t sent;
	uint8_t *answer; /* with its length in front, as far as it has come */
	size_t answer_size, answer_room;
	/** Connected, when `size` is 0; or answered by those bytes. It may be closed inside, or the next request made. */
	void (*on_answer)(struct gb__dialogue *dialogue, const uint8_t *bytes, size_t size);
	/** It has ended before an answer, and is closed. */
	void (*on_failed)(struct gb__dialogue *dialogue, int error);
};

/** Begin to connect. Returns 0, or a negative errno: nothing is open. */
int gb__dialogue_open(
	struct gb__dialogue *dialogue, struct gb__watches *watches, const struct gb__address *server);
/** Takes the request; none is on its way. */
void gb__dialogue_ask(struct gb__dialogue *dialogue, struct gb__dns_request request);
/** The own address as the server sees it. 0, -ENOTCONN… */
int gb__dialogue_local(const struct gb__dialogue *dialogue, struct gb__address *ret);
/** Repeatable. */
void gb__dialogue_close(struct gb__dialogue *dialogue);
/** In a forked child: close what its parent goes on with. */
void gb__dialogue_abandon(struct gb__dialogue *dialogue);

#endif
