/** Limits of connections, for a service or for one connection where they differ from the server's options. */
#ifndef GEARBOX_LIMIT_H
#define GEARBOX_LIMIT_H

#include <gearbox/types.h>

GB_BEGIN

/** Each with the option whose place it takes. Times are milliseconds (0: none; at most a week), sizes bytes. */
#define GB_LIMITS(X) \
	X(GB_LIMIT_IDLE_TIMEOUT, "idle-timeout", "nothing moved") \
	X(GB_LIMIT_READ_TIMEOUT, "read-timeout", "from a message's first byte to its last") \
	X(GB_LIMIT_WRITE_TIMEOUT, "write-timeout", "the peer takes nothing") \
	X(GB_LIMIT_LINGER_TIMEOUT, "linger-timeout", "after our FIN, for the peer's, while nothing moves") \
	X(GB_LIMIT_LINGER_MAX, "linger-max", "after our FIN, for the peer's, in all") \
	X(GB_LIMIT_CONNECT_TIMEOUT, "connect-timeout", \
		"of an outgoing connection; of a service, not of a connection") \
	X(GB_LIMIT_MESSAGE, "max-message", "of a codec's message; at least 1") \
	X(GB_LIMIT_OUTPUT_HIGH, "output-high", "high watermark of unsent output; at least 1") \
	X(GB_LIMIT_OUTPUT_LOW, "output-low", "low watermark") \
	X(GB_LIMIT_OUTPUT_MAX, "output-max", "unsent output that closes the connection; at least 1") \
	X(GB_LIMIT_REPLIES, "max-replies", "replies that are open at once (gb_conn_defer); at least 1") \
	X(GB_LIMIT_BODY, "max-body", "of a message that is taken in parts; 0: none")

/** The same as numbers. */
enum gb_limit_kind {
	GB_LIMIT_NONE, /* ends a list */
#define GB__LIMIT(name, option, text) name,
	GB_LIMITS(GB__LIMIT)
#undef GB__LIMIT
		GB_LIMIT_COUNT
};

/** One of a service's own limits; see `limits` of struct gb_service. */
struct gb_limit {
	enum gb_limit_kind kind;
	uint64_t value;
};

GB_END

#endif
