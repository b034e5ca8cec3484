/** Requests whose replies are known beforehand, byte for byte: what RESP and recorded conversations come down to. */
#ifndef LOAD_PROTOCOL_SCRIPT_H
#define LOAD_PROTOCOL_SCRIPT_H

#include "load/protocol.h"

/** Bytes that grow. All zero is empty. */
struct script_bytes {
	unsigned char *data;
	size_t size, room;
};
/** Append. Returns 0 or -ENOMEM. */
int gb__script_append(struct script_bytes *bytes, const void *data, size_t size);

/** Where one line of a script lies: its request in one text, what must follow in another. */
struct script_line {
	size_t request, reply, other; /* bytes; `other` is a second right reply behind the first, 0: none */
};

/**
 * Make traffic of `count` lines, whose requests and replies lie one after another in the two texts. Takes both, also on
 * error. Returns 0 or -ENOMEM.
 */
int gb__script_traffic(struct script_bytes *requests, struct script_bytes *replies,
	const struct script_line *lines, size_t count, struct traffic *ret);

/** Of struct protocol, for those whose `prepare` ends with that. */
struct script_state {
	uint64_t offset; /* bytes checked */
	size_t turn;     /* which line the current reply is of */
	size_t of_reply; /* bytes of it that have arrived */
	bool other;      /* it is the second right one */
};
size_t gb__script_begin(const struct traffic *traffic, uint64_t number, void *state);
int64_t gb__script_check(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
	struct gb_error *error);

#endif
