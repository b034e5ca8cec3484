/* Who is built without libdbus announces nothing on the local network, and says so when asked to. */
#include "announce/local.h"

#include "base/assert.h"

#include <errno.h>

int gb__local_create(struct gb__local **ret, struct gb_error *error)
{
	return gb_error_set(
		error, -ENOTSUP, "announce-local: this library was built without DNS-SD (libdbus)");
}

int gb__local_add(struct gb__local *local, const char *name, unsigned port, struct gb_error *error)
{
	return -ENOTSUP;
}

int gb__local_begin(struct gb__local *local, struct gb__watches *watches)
{
	return -ENOTSUP;
}

void gb__local_end(struct gb__local *local)
{
}

void gb__local_abandon(struct gb__local *local)
{
}

bool gb__local_name(const struct gb__local *local, size_t index, char *text, size_t size)
{
	return false;
}

void gb__local_status(const struct gb__local *local, struct gb__local_status *ret)
{
	*ret = (struct gb__local_status){ "waiting", "" };
}

void gb__local_destroy(struct gb__local *local)
{
	gb__assert(!local);
}
