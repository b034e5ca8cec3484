/* Who is built without liburing has no rings: engine=auto takes epoll, and proactors are refused as by an old kernel. */
#include "engine/ring/ring.h"

#include <errno.h>

static int ring_create(const struct gb__ring_options *options, struct gb__ring **ret, struct gb_error *error)
{
	return gb_error_set(error, -ENOSYS, "no io_uring: this library was built without liburing");
}

static void ring_destroy(struct gb__ring *ring)
{
}

const struct gb__ring_ops gb__ring_io_uring = {
	.name = "io_uring",
	.create = ring_create,
	.destroy = ring_destroy,
};
