/**
 * What clients of a service say and must hear, written down apart from the service itself.
 *
 * To have a service verified: a struct here, a row in protocol.c.
 */
#ifndef CLI_VERIFY_PROTOCOL_H
#define CLI_VERIFY_PROTOCOL_H

#include "verify/talk.h"

/** A server under test listens on so many addresses, with other settings of the service on each. */
enum { VERIFY_ADDRESSES = 2 };

#define VERIFY_MESSAGE_MAX 16384u /* max-message of every server under test */

/** A way to be wrong, and what the server must say of it. */
struct verify_fault {
	const char *name;
	/** Append to `sent` what is wrong; nothing is answered from there on. */
	void (*commit)(struct verify_talk *talk);
	enum gb_close_reason reason;
};

struct verify_protocol {
	const char *service;
	const char *settings[VERIFY_ADDRESSES]; /* "key=value" that each address differs by, or NULL */

	/** Append a request of about `size` bytes to `sent` and its answer to `wanted`. NULL: a service that
	 *  speaks first and ignores what it hears. */
	void (*exchange)(struct verify_talk *talk, size_t size);
	bool mute;   /* answers nothing to an exchange */
	bool framed; /* an exchange is a message: one that is incomplete is never answered */
	bool once;   /* the second address answers the first bytes that it gets, then closes */
	/** The same, whose answer takes `ms` milliseconds. NULL: no answer does. */
	void (*work)(struct verify_talk *talk, unsigned ms);
	const struct verify_fault *faults; /* ends with a NULL name; NULL: nothing is wrong */

	/** Append what a client of the talk's address hears to `wanted`, at most `size` bytes. Returns whether
	 *  that is all. NULL: it answers. */
	bool (*speech)(struct verify_talk *talk, size_t size);
	bool endless; /* the second address speaks on until the client ends */
};

extern const struct verify_protocol verify_echo, verify_discard, verify_time_echo, verify_work;
extern const struct verify_protocol verify_chargen, verify_daytime, verify_time;

/** All of them, by service; ends with NULL. */
extern const struct verify_protocol *const verify_protocols[];

/** That of a service, or NULL. */
const struct verify_protocol *verify_protocol_find(const char *service);

#endif
