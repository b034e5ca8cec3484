/** What the two halves of the io_uring ring share: io_uring_setup.c makes one, io_uring.c runs it. */
#ifndef ENGINE_RING_IO_URING_H
#define ENGINE_RING_IO_URING_H

#include "engine/ring/liburing_compat.h"
#include "engine/ring/ring.h"

#include <stdbool.h>
#include <sys/types.h>

#define GB__URING_GROUP 0u           /* of the small buffers */
#define GB__URING_GROUP_BULK 1u      /* of the large ones */
#define GB__URING_OFFERED_FIRST 128u /* receive buffers offered to the kernel at first */
#define GB__URING_OFFERED_FIRST_BULK 8u

/*
 * Receive buffers of one size. The first `circulating` of them go to the kernel and come back; the rest is not
 * touched. So a ring that could hold megabytes takes no more memory, and no more of the processor's caches, than
 * the load asks for: `target` grows when they ran out.
 */
struct gb__uring_buffers {
	struct io_uring_buf_ring *offers; /* NULL: there are none */
	unsigned char *memory, *first;    /* as allocated; the first one's bytes, behind the headroom */
	size_t stride;
	unsigned count, size;
	unsigned circulating, target; /* in use; how many should be */
	unsigned offers_tail,
		offers_told; /* of `offers`, without end: what is between goes with the next wait */
};

struct gb__ring {
	struct io_uring uring;
	unsigned features;    /* GB__RING_… */
	unsigned enter_flags; /* of every io_uring_enter */
	bool entered;         /* enabled, by the thread that runs it */
	bool in_place;        /* `uring` is set up */

	struct gb__uring_buffers buffers; /* small ones */
	struct gb__uring_buffers bulk; /* large ones, from gb__uring_bulk on; their numbers follow on those */
	unsigned headroom;
};

/** Have a completion with this token and result 0 appear on a ring. Thread: any. Returns 0 or a negative errno. */
int gb__uring_message(int ring_fd, uint64_t token);
/** Fill `ring`, zeroed before; on failure gb__uring_finish releases what there is. */
int gb__uring_init(struct gb__ring *ring, const struct gb__ring_options *options, struct gb_error *error);
void gb__uring_finish(struct gb__ring *ring);
/** Make the large buffers, once, with GB__RING_BULK. Returns 0 or a negative errno. */
int gb__uring_bulk(struct gb__ring *ring);

#endif
