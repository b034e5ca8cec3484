/* Who is built without ldns announces nothing, and says so when asked to. */
#include "announce/announce.h"

#include "base/assert.h"

#include <errno.h>

int gb__announce_create(
	const struct gb__announce_options *options, struct gb__announce **ret, struct gb_error *error)
{
	return gb_error_set(error, -ENOTSUP, "announce: this library was built without DNS updates (ldns)");
}

int gb__announce_add(struct gb__announce *announce, const char *name, const struct gb__address *listening,
	unsigned priority, unsigned weight, struct gb_error *error)
{
	return -ENOTSUP;
}

void gb__announce_guard(struct gb__announce *announce, const struct gb__names_options *names)
{
}

bool gb__announce_resolves(const struct gb__announce *announce)
{
	return false;
}

int gb__announce_begin(struct gb__announce *announce, struct gb__watches *watches, struct gb__names *names,
	void (*on_gone)(void *arg), void *arg)
{
	return -ENOTSUP;
}

void gb__announce_withdraw(struct gb__announce *announce, uint64_t within_ms)
{
}

bool gb__announce_gone(const struct gb__announce *announce)
{
	return true;
}

void gb__announce_end(struct gb__announce *announce)
{
}

void gb__announce_abandon(struct gb__announce *announce)
{
}

void gb__announce_status(const struct gb__announce *announce, struct gb__announce_status *ret)
{
	*ret = (struct gb__announce_status){ .state = "waiting", .server = "", .zone = "", .error = "" };
}

const char *gb__announce_name(const struct gb__announce *announce, size_t index)
{
	return NULL;
}

void gb__announce_destroy(struct gb__announce *announce)
{
	gb__assert(!announce);
}
