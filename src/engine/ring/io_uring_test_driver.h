/** What the tests of the ring share. */
#ifndef ENGINE_RING_IO_URING_TEST_DRIVER_H
#define ENGINE_RING_IO_URING_TEST_DRIVER_H

#include "engine/ring/ring.h"
#include "os/os.h"
#include "tests/harness/harness.h"

#include <sys/socket.h>

#define SECOND_NS 1000000000ll
#define PATIENCE_NS (20 * SECOND_NS)

static const struct gb__ring_ops *const ops = &gb__ring_io_uring;

static inline struct gb__ring_options defaults(void)
{
	return (struct gb__ring_options){ .os = &gb__os_linux,
		.entries = 64,
		.completions = 256,
		.buffers = 16,
		.buffer_size = 4096,
		.bulk_buffers = 4,
		.bulk_buffer_size = 64 << 10,
		.headroom = 64 };
}

static inline struct gb__ring *create(const struct gb__ring_options *options)
{
	struct gb_error error = { 0 };
	struct gb__ring *ring = NULL;
	int code = ops->create(options, &ring, &error);

	if (code < 0)
		test_fail(__FILE__, __LINE__, "no ring: %s", error.text);
	return ring;
}

/* The next completion, which must come. */
static inline struct gb__completion next(struct gb__ring *ring)
{
	struct gb__completion completion;

	for (int i = 0; i < 100; i++)
		if (ops->wait(ring, &completion, 1, PATIENCE_NS) == 1)
			return completion;
	test_fail(__FILE__, __LINE__, "no completion");
}

static inline void socket_pair(int ret[2])
{
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret), 0);
}

#endif
