/**
 * Connections beside the load's that say nothing: what they cost a server is theirs alone.
 *
 * They are made before the run, a few at a time, and looked at after it. Those to a loopback address have many own
 * addresses (127.0.0.2 and so on), so that ports suffice for any number.
 */
#ifndef LOAD_IDLE_H
#define LOAD_IDLE_H

#include <gearbox/error.h>

#include <stdint.h>

struct idle {
	int *fds;
	uint64_t count;
};

/**
 * Open `count` to a numeric address or unix:PATH, from addresses of `sources` ("10.0.0.1,10.0.0.2") in turn; NULL: as
 * above. Returns 0, or a negative code with the reason and how many there were.
 */
int gb__idle_open(struct idle *idle, const char *address, uint64_t count, const char *sources,
	uint64_t timeout_ms, struct gb_error *error);
/** How many the server has ended or spoken on. */
uint64_t gb__idle_lost(const struct idle *idle);
/** Zeroed memory is fine. */
void gb__idle_close(struct idle *idle);

#endif
