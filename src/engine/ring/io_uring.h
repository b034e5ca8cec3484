/** What the two halves of the io_uring ring share: io_uring_setup.c makes one, io_uring.c runs it. */
#ifndef ENGINE_RING_IO_URING_H
#define ENGINE_RING_IO_URING_H

#include "engine/ring/liburing_compat.h"
#include "engine/ring/ring.h"

#include <stdbool.h>
#include <sys/types.h>

#define GB__URING_GROUP 0u           /* of the only buffer ring */
#define GB__URING_OFFERED_FIRST 128u /* receive buffers offered to the kernel at first */

struct gb__ring {
	struct io_uring uring;
	unsigned features;    /* GB__RING_… */
	unsigned enter_flags; /* of every io_uring_enter */
	bool entered;         /* enabled, by the thread that runs it */
	bool in_place;        /* `uring` is set up */

	/*
	 * Receive buffers. The first `circulating` of them go to the kernel and come back; the rest is not
	 * touched. So a ring that could hold megabytes takes no more memory, and no more of the processor's
	 * caches, than the load asks for: `target` grows when they ran out.
	 */
	struct io_uring_buf_ring *offers;
	unsigned char *memory, *first; /* as allocated; the first buffer's headroom */
	size_t stride;
	unsigned buffers, buffer_size, headroom;
	unsigned circulating, target; /* in use; how many should be */
	unsigned offers_new;          /* on offer with the next wait */
	unsigned taken;               /* came with bytes and were not given back */
};

/** Have a completion with this token and result 0 appear on a ring. Thread: any. Returns 0 or a negative errno. */
int gb__uring_message(int ring_fd, uint64_t token);
/** Fill `ring`, zeroed before; on failure gb__uring_finish releases what there is. */
int gb__uring_init(struct gb__ring *ring, const struct gb__ring_options *options, struct gb_error *error);
void gb__uring_finish(struct gb__ring *ring);

#endif
