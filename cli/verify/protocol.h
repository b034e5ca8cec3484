/**
 * What clients of a service say and must hear, written down apart from the service itself.
 *
 * Those of the built-in services are in gearbox/; others are learned (learned.h).
 */
#ifndef CLI_VERIFY_PROTOCOL_H
#define CLI_VERIFY_PROTOCOL_H

#include "verify/talk.h"

/** A server under test listens on so many addresses, with other settings of the service on each. */
enum { VERIFY_ADDRESSES = 2 };

#define VERIFY_MESSAGE_MAX 16384u  /* max-message of every server under test */
#define VERIFY_BODY_MAX (4u << 20) /* max-body */

/** A way to be wrong, and what the server must say of it. */
struct verify_fault {
	const char *name;
	/** Append to `sent` what is wrong; nothing is answered from there on. */
	void (*commit)(struct verify_talk *talk);
	enum gb_close_reason reason;
};

/** What a service does when a connection is ended by a deadline or a drain: its on_error, respectively on_drain. */
struct verify_last {
	struct verify_bytes words;
	bool varies;                 /* with what was said before: any words will do */
	bool by_reset;               /* it may end so */
	enum gb_close_reason reason; /* that it may give instead */
};

/** Whether a connection can be ended with last words for that reason. */
bool gb__verify_last_possible(enum gb_close_reason reason);

#define VERIFY_TWINS 6 /* at most */

struct verify_protocol {
	const char *service;
	const char *twins[VERIFY_TWINS]; /* other services that speak it, or NULL */
	const char *load; /* the load's protocol that they speak (`gearbox load --protocol`), or NULL */
	const char *settings[VERIFY_ADDRESSES]; /* "key=value" that each address differs by, or NULL */
	/** What it forwards to, unless the user sets `upstream_key`: served in another process. NULL: to nobody. */
	const struct gb_service *upstream;
	const char *upstream_key;

	/** A talk begins: append to `wanted` what comes unasked. NULL: nothing does. */
	void (*begin)(struct verify_talk *talk);
	/** Append a request of about `size` bytes to `sent` and its answer to `wanted`. NULL: a service that
	 *  speaks first and ignores what it hears. */
	void (*exchange)(struct verify_talk *talk, size_t size);
	/** Append a request that is never complete to `sent`. NULL: an exchange without its last bytes is one. */
	void (*incomplete)(struct verify_talk *talk, size_t size);
	bool mute;            /* answers nothing to an exchange */
	bool framed;          /* requests have an end: one that is incomplete is never answered */
	bool unbounded;       /* messages larger than VERIFY_MESSAGE_MAX come in parts */
	bool coded;           /* has a codec, so that the read timeout applies */
	uint32_t eof_reasons; /* that the server may give for a client that ends in order: bits; 0: EOF */
	bool ends_first;      /* its FIN comes whatever the client does: a client that sees it ends as well */
	bool once;            /* the second address answers the first bytes that it gets, then closes */
	/** Of answers that carry ids, and may overtake one another: bytes of the first of these. 0: it is not whole. NULL:
	 *  they come in the order of their requests. */
	size_t (*answer_size)(struct gb_bytes bytes);
	/** The same, whose answer takes `ms` milliseconds. NULL: no answer does. */
	void (*work)(struct verify_talk *talk, unsigned ms);
	const struct verify_last
		*last; /* by enum gb_close_reason, as is possible; NULL: ends without a word */
	const struct verify_fault *faults; /* ends with a NULL name; NULL: nothing is wrong */

	/** Append what a client of the talk's address hears to `wanted`, at most `size` bytes. Returns whether
	 *  that is all. NULL: it answers. */
	bool (*speech)(struct verify_talk *talk, size_t size);
	bool endless; /* the second address speaks on until the client ends */
};

/** A service under test, and what its clients say. */
struct verify_target {
	const struct gb_service *service;
	const struct verify_protocol *protocol;
	const char *const *sets; /* "key=value" for every address, before the protocol's own */
	size_t sets_count;
	struct gb__tls *tls;           /* that its clients speak; NULL: none */
	const char *certificate, *key; /* files, of the server then */
};

/** Whether the service of that name speaks it. */
bool gb__verify_knows(const struct verify_protocol *protocol, const char *service);

#endif
