/**
 * What the load says, and what it must hear.
 *
 * A protocol prepares its requests once, as bytes that repeat: sending copies from there and checking is
 * memcmp against it. It does no I/O and keeps a few bytes per connection.
 *
 * To add one: a file with a `struct protocol`, and a row in protocol.c.
 */
#ifndef LOAD_PROTOCOL_H
#define LOAD_PROTOCOL_H

#include "messages.h"

#include <gearbox/error.h>
#include <gearbox/types.h>

#include <stdbool.h>

/** What the user wants to be sent and heard. */
struct load_request {
	size_t size;                     /* of each message, unless there are `messages` */
	const struct messages *messages; /* sent in turn; NULL or none: the protocol's own */
	struct gb_bytes expect;   /* what each reply must be, without its line's end; data NULL: unknown */
	uint64_t reply_lines;     /* lines of each reply; 0 is 1 */
	uint64_t depth;           /* requests that a connection keeps unanswered */
	uint64_t seed;            /* of what is drawn at random */
	const char *address;      /* http: whom the requests are for */
	const char *path;         /* http: what they are for; NULL: "/" */
	bool post;                /* http: with a body of `size` */
	const char *command;      /* resp: see gb__resp_check_mix; NULL: ping */
	uint64_t keys;            /* resp: from how many keys they are drawn */
	const char *conversation; /* conversation: the file */
	bool octets; /* syslog: records have their length before them, else a line's end behind */
	uint32_t compute_us, block_us; /* work: what each request asks for */
};

/** What a reply must be, where that is known of each request. */
struct traffic_reply {
	struct gb_bytes right, other; /* `other` is right as well, unless it is empty */
};

/** The requests of all connections: an endless stream of period `period`, of which each begins somewhere. */
struct traffic {
	unsigned char *data;
	size_t size;         /* of `data`: at least a period, which it may exceed up to a second one */
	size_t period;       /* byte n of the stream is data[n % period] */
	size_t request_size; /* bytes of each request, unless they have `sizes` */
	size_t reply_size;   /* bytes of each right reply; 0: not known before */
	size_t *sizes;       /* of `count` requests that are sent in turn, or NULL */
	size_t count;
	struct gb_bytes expect; /* borrowed, as in struct load_request */
	uint64_t reply_lines;
	unsigned char *reply_data;     /* that `replies` lie in */
	struct traffic_reply *replies; /* to each of `count` requests, or NULL */
	bool anywhere;                 /* connections begin at different ones of them */
};

struct protocol {
	const char *name; /* as --protocol takes it */
	bool silent; /* nobody replies: a request is done once the kernel has taken its bytes; any reply is wrong */
	size_t state_size; /* per connection, aligned as a uint64_t */

	/** Make the requests. Returns 0 or -ENOMEM. Undone by gb__traffic_finish. */
	int (*prepare)(const struct load_request *request, struct traffic *ret);
	/** Connection `number` begins. Returns the place in the stream where its first request lies. */
	size_t (*begin)(const struct traffic *traffic, uint64_t number, void *state);
	/**
	 * Check the next bytes that arrived, of which `awaited` replies may still come.
	 *
	 * Returns the replies that are complete now, or -GB_EBADFRAME with the place and what was expected.
	 */
	int64_t (*check)(const struct traffic *traffic, void *state, uint64_t awaited, struct gb_bytes bytes,
		struct gb_error *error);
	/**
	 * Instead of `check`, where replies may come in any order: check the next bytes, up to the end of one reply at
	 * most. Requests of a connection are counted from 0; `oldest` to before `next` may be unanswered.
	 *
	 * Returns how many bytes were taken, at least one, or as above. `*ret_number` is the request that is answered
	 * now; it stays as it is when none is. Whether that one was answered before, the caller looks.
	 */
	int64_t (*check_one)(const struct traffic *traffic, void *state, uint64_t oldest, uint64_t next,
		struct gb_bytes bytes, uint64_t *ret_number, struct gb_error *error);
};

extern const struct protocol gb__protocol_echo;      /* RFC 862: the bytes come back */
extern const struct protocol gb__protocol_line;      /* each line is answered by a line */
extern const struct protocol gb__protocol_time_echo; /* it comes back as "[Thu Apr 20 12:00:00 2017] line" */

extern const struct protocol gb__protocol_work;   /* requests with ids; replies in any order */
extern const struct protocol gb__protocol_http;   /* HTTP/1.1 */
extern const struct protocol gb__protocol_syslog; /* log records, which nobody answers */
extern const struct protocol gb__protocol_resp;   /* Redis's */

extern const struct protocol gb__protocol_conversation; /* one that was recorded, over and over again */

/** Read a recorded conversation. Returns 0, -GB_EUSAGE with file and line, -ENOMEM or -errno. */
int gb__conversation_read(const char *path, struct traffic *ret, struct gb_error *error);
/** Whether resp's mixture of commands is one, as "ping" or "set:1,get:9". Returns 0, or -GB_EUSAGE with what would be right. */
int gb__resp_check_mix(const char *mix, struct gb_error *error);

/** All of them, in the order of PROTOCOL_CHOICES; ends with NULL. */
extern const struct protocol *const gb__load_protocols[];
#define PROTOCOL_CHOICES "echo|line|time-echo|work|http|resp|conversation|syslog"

/** Lines that differ, of `request_size` bytes each with their ends. `reply_size` is left 0. Returns 0 or -ENOMEM. */
int gb__traffic_of_lines(size_t request_size, struct traffic *ret);
/** Messages in turn. Returns as above. */
int gb__traffic_of_messages(const struct messages *messages, struct traffic *ret);
void gb__traffic_finish(struct traffic *traffic);

/** Bytes of the next `count` requests from `*turn` on, which moves behind them. */
static inline size_t traffic_take(const struct traffic *traffic, size_t *turn, size_t count)
{
	size_t sum = 0;

	if (!traffic->sizes)
		return count * traffic->request_size;
	for (; count > 0; count--) {
		sum += traffic->sizes[*turn];
		*turn = *turn + 1 == traffic->count ? 0 : *turn + 1;
	}
	return sum;
}

/** Which request lies at place `at`, with `sizes`; 0 without. */
size_t gb__traffic_turn(const struct traffic *traffic, size_t at);

/** How many of `wanted` bytes lie in one piece from place `at` on: at least one. */
static inline size_t traffic_piece(const struct traffic *traffic, size_t at, size_t wanted)
{
	return wanted < traffic->size - at ? wanted : traffic->size - at;
}

/** The place `size` bytes after `at`. */
static inline size_t traffic_after(const struct traffic *traffic, size_t at, size_t size)
{
	for (at += size; at >= traffic->period;)
		at -= traffic->period;
	return at;
}

/** For `check`: report that byte `offset` of a connection's replies is not as expected. */
int64_t gb__protocol_wrong_byte(
	uint64_t offset, unsigned char expected, unsigned char got, struct gb_error *error);
/** For `check`: report bytes from `offset` on that no request asked for. */
int64_t gb__protocol_surplus(uint64_t offset, struct gb_error *error);
/** Compare bytes at `offset` of a connection's replies. Returns 0, or -GB_EBADFRAME with the first that differs. */
int64_t gb__protocol_compare(const unsigned char *expected, const unsigned char *got, size_t size,
	uint64_t offset, struct gb_error *error);

#endif
