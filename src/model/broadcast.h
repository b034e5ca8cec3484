/**
 * A ring of messages in memory that processes share: one process writes, any number read, each at its own pace. The
 * writer never waits: what it overwrites is lost to who has not read it, which learns how many that were.
 */
#ifndef MODEL_BROADCAST_H
#define MODEL_BROADCAST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bytes; a power of two. */
#define GB__BROADCAST_SIZE (4u << 20)

struct gb__broadcast {
	_Atomic uint64_t end;    /* of what is written, counted from the beginning of time */
	_Atomic uint64_t begin;  /* of the oldest message that is whole */
	_Atomic uint32_t turns;  /* changes with each that is announced: gb__futex_wait */
	_Atomic uint64_t number; /* of the next message */
	unsigned char bytes[] __attribute__((aligned(64)));
};

/** Where a reader is. */
struct gb__broadcast_reader {
	uint64_t at;     /* bytes, as above */
	uint64_t number; /* of the next message */
};

/** In memory shared with later children, or NULL. */
struct gb__broadcast *gb__broadcast_create(void);
void gb__broadcast_destroy(struct gb__broadcast *broadcast);
/** Append a message of at most a quarter of the size. The one writer alone. */
void gb__broadcast_write(struct gb__broadcast *broadcast, const void *data, size_t size);
/** Have sleeping readers look. */
void gb__broadcast_announce(struct gb__broadcast *broadcast);
/** Begin with what is written from now on, and perhaps a little before. */
void gb__broadcast_begin(struct gb__broadcast *broadcast, struct gb__broadcast_reader *reader);
/**
 * Copy the next message to `data`, which has room for any. Returns whether there was one; `*ret_lost` messages before it
 * were lost.
 */
bool gb__broadcast_read(struct gb__broadcast *broadcast, struct gb__broadcast_reader *reader, void *data,
	size_t room, size_t *ret_size, uint64_t *ret_lost);

#endif
