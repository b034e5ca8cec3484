/**
 * What a handler sends while the bytes it was given are still at hand: nothing needs to be queued.
 *
 * While one connection's input is delivered, and nothing of its output waits, its sends collect here and
 * leave with one system call when the handler is done. Bytes that lie in the engine's buffer are not even
 * copied (an echo, a forward). What the kernel does not take is queued then. With an engine that does not send
 * at once (proactor) only such bytes collect, and leave from where they lie if it lends its buffer.
 */
#ifndef NET_BURST_H
#define NET_BURST_H

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define GB__BURST_SIZE (16u << 10)

struct gb_conn;

struct gb__burst {
	struct gb_conn *conn;      /* whose sends collect here; NULL: nobody's */
	const unsigned char *data; /* what was sent so far: in the engine's buffer, or in `copied` */
	size_t size;               /* of it */
	unsigned char *input;      /* what is being delivered */
	size_t input_size;         /* 0: longer than what may collect */
	size_t size_max;           /* at most so much collects */
	unsigned char *copied; /* GB__BURST_SIZE bytes; NULL until somebody sends what is not in the input */
};

/** The first bytes of it, which lie in the input. Returns false when they are not. */
static inline bool gb__burst_begin(struct gb__burst *burst, const void *data, size_t size)
{
	if (gb__unlikely(burst->size > 0) ||
		gb__unlikely((size_t)((const unsigned char *)data - burst->input) >= burst->input_size))
		return false;
	burst->data = data;
	burst->size = size;
	return true;
}

/** Whether these bytes follow in the input on what was sent of it: then they are part of it now. */
static inline bool gb__burst_extend(struct gb__burst *burst, const void *data, size_t size)
{
	if (gb__burst_begin(burst, data, size))
		return true;
	if (burst->size == 0 || burst->data + burst->size != data ||
		(size_t)((const unsigned char *)data - burst->input) >= burst->input_size)
		return false;
	burst->size += size;
	return true;
}

/** Have room to copy to. Returns false without memory. */
bool gb__burst_room(struct gb__burst *burst);

/** Add to it. Returns false when it does not fit: whoever collects must spill it then. */
static inline bool gb__burst_add(struct gb__burst *burst, const void *data, size_t size)
{
	if (gb__burst_begin(burst, data, size))
		return true;
	if (gb__unlikely(size > burst->size_max - burst->size))
		return false;
	if (burst->size == 0) {
		if (gb__unlikely(!burst->copied) && !gb__burst_room(burst))
			return false;
		burst->data = burst->copied;
	} else if (burst->data != burst->copied) {
		if (gb__burst_extend(burst, data, size))
			return true; /* the next message's echo follows on the last one's */
		if (burst->size > GB__BURST_SIZE)
			return false;
		if (gb__unlikely(!burst->copied) && !gb__burst_room(burst))
			return false;
		memcpy(burst->copied, burst->data, burst->size);
		burst->data = burst->copied;
	}
	if (gb__unlikely(size > GB__BURST_SIZE - burst->size))
		return false;
	memcpy(burst->copied + burst->size, data, size);
	burst->size += size;
	return true;
}

#endif
