/**
 * What a connection still has to send: a queue of chunks, in order.
 *
 * One pointer and a count while empty. The chunks form a ring whose last one is `tail`, so that both
 * ends are at hand.
 */
#ifndef BUFFER_OUTPUT_H
#define BUFFER_OUTPUT_H

#include "buffer/pool.h"

#include <stdbool.h>
#include <sys/uio.h>

/**
 * Where bytes are packets (GB__ENDPOINT_PACKET), each has its size in front wherever they lie in a row: 32 bits, in the
 * machine's order. So whatever keeps, moves and puts in order bytes keeps boundaries as well.
 */
#define GB__PACKET_HEADER 4u
#define GB__PACKET_MAX 65536u /* bytes of one */
#define GB__PACKET_CUT \
	UINT32_MAX          /* in place of the size: one that was larger came, and nothing of it follows */
#define GB__PACKET_PARTS 8u /* of the queue that one lies in, at most */

struct gb__output {
	struct gb__chunk *tail; /* NULL: nothing queued; tail->next is the head */
	size_t bytes;           /* queued */
};

static inline bool gb__output_empty(const struct gb__output *output)
{
	return !output->tail;
}

/** Copy bytes to the end. Returns 0 or -ENOMEM (nothing was added). */
int gb__output_append(struct gb__output *output, struct gb__pool *pool, const void *data, size_t size);
/** Add a shared buffer to the end; takes a reference, or copies if it is small. Returns 0 or -ENOMEM. */
int gb__output_append_shared(struct gb__output *output, struct gb__pool *pool, struct gb_buffer *buffer);
/**
 * Add a packet, of `data` or of a shared buffer: its size in front, as GB__PACKET_HEADER bytes. In a queue of packets there
 * is nothing else. Returns 0 or -ENOMEM.
 */
int gb__output_append_packet(struct gb__output *output, struct gb__pool *pool, const void *data, size_t size,
	struct gb_buffer *buffer);
/** Add a chunk that holds bytes to the end; takes it. */
void gb__output_append_chunk(struct gb__output *output, struct gb__chunk *chunk);
/** Move all of `from` to the end; both belong to the same pool by now. */
void gb__output_splice(struct gb__output *output, struct gb__output *from);
/** Describe the front of the queue; returns the number of parts, at most `max`. */
unsigned gb__output_vector(const struct gb__output *output, struct iovec *ret_parts, unsigned max);
/** The same of the first packet of a queue of packets, which is not empty, without its header: at most GB__PACKET_PARTS. */
unsigned gb__output_packet(const struct gb__output *output, struct iovec *ret_parts, size_t *ret_size);
/** The first part alone. The queue is not empty. */
struct iovec gb__output_front(const struct gb__output *output);
/** Drop `size` bytes (at most what is queued) from the front; used-up chunks go back to the pool. */
void gb__output_consume(struct gb__output *output, struct gb__pool *pool, size_t size);
void gb__output_clear(struct gb__output *output, struct gb__pool *pool);

#endif
