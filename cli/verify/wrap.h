/**
 * A service under test: the service itself, and beside it whoever notes down how each connection began and
 * ended, and whether callbacks of one connection ever ran at the same time.
 *
 * The notes of all workers, be they threads or processes, go into one pipe.
 */
#ifndef CLI_VERIFY_WRAP_H
#define CLI_VERIFY_WRAP_H

#include <gearbox/service.h>

enum verify_note_kind {
	VERIFY_NOTE_OPENED,
	VERIFY_NOTE_CLOSED,
	VERIFY_NOTE_OVERLAPPED, /* two callbacks of a connection at once */
};

/** One note, written at once: it comes out of the pipe in one piece. */
struct verify_note {
	uint32_t peer; /* IPv4 address of the client, as in inet_addr's host order; 0: it had gone already */
	uint16_t kind, reason;
};

/**
 * Wrap `service` into `*ret`; notes go to `fd`. One service per process: a handler has no place of its own
 * to find its wrapping from, but for static memory.
 */
int gb__verify_wrap(const struct gb_service *service, int fd, struct gb_service *ret);

#endif
