/**
 * Chunks of memory in a few sizes, recycled per loop without locks.
 *
 * A connection holds a chunk only while it has a partial message or pending output. The pool keeps a
 * bounded number of free ones; the rest goes back to the allocator.
 */
#ifndef BUFFER_POOL_H
#define BUFFER_POOL_H

#include <stddef.h>
#include <stdint.h>

#define GB__POOL_CLASSES 4u
#define GB__POOL_CLASS_SIZES \
	{ \
		2048u, 8192u, 32768u, 131072u \
	}                              /* whole chunks, header included */
#define GB__POOL_CACHED_MAX (8u << 20) /* bytes kept free per pool */

struct gb_buffer;

/** Bytes `begin` to `end` of `data` are valid. */
struct gb__chunk {
	union {
		struct gb__chunk *next; /* whoever holds it chains it */
		struct {
			uint32_t scanned;  /* of kept input: how far the codec has looked */
			uint32_t since_ms; /* when the first byte of the message under way came */
		} input;
	};
	unsigned char *data;      /* `memory`, or bytes owned by `shared` */
	uint32_t begin, end;      /* the valid bytes */
	uint32_t capacity;        /* of data; 0 when the bytes are not ours to write */
	uint32_t size_class;      /* GB__POOL_CLASSES: straight from the allocator; or GB__POOL_BORROWED */
	struct gb_buffer *shared; /* the reference this chunk holds, or NULL */
	void *operation;          /* what an engine keeps while it sends from here; NULL otherwise */
	unsigned char memory[];
};

/** The size class of a chunk that is not the pool's: memory that somebody else lends and gets back. */
#define GB__POOL_BORROWED (GB__POOL_CLASSES + 1)

struct gb__pool {
	struct gb__chunk *free[GB__POOL_CLASSES];
	size_t cached;  /* bytes in `free` */
	size_t in_use;  /* chunks handed out, borrowed ones apart */
	uint64_t freed; /* bytes given back to the allocator so far, since there were enough */
	/** Takes back a borrowed chunk that nobody needs any more. */
	void (*give_back)(struct gb__pool *pool, struct gb__chunk *chunk);
};

void gb__pool_init(struct gb__pool *pool);
/** Frees what is cached; every chunk must be back. */
void gb__pool_finish(struct gb__pool *pool);
/** Free what is cached; chunks may be in use. */
void gb__pool_trim(struct gb__pool *pool);
/** An empty chunk with room for at least `size` bytes (up to UINT32_MAX), or NULL. */
struct gb__chunk *gb__chunk_create(struct gb__pool *pool, size_t size);
/** An empty chunk that sends the bytes of `buffer`; takes a reference. Or NULL. */
struct gb__chunk *gb__chunk_create_shared(struct gb__pool *pool, struct gb_buffer *buffer);
/** Back to the pool; NULL is fine. */
void gb__chunk_destroy(struct gb__pool *pool, struct gb__chunk *chunk);

/** Put an empty chunk of `pool` into `to`, for a thread that has no pool of its own, if memory allows: with room for
 *  `size` bytes, or as large as they come. */
void gb__pool_lend(struct gb__pool *pool, size_t size, struct gb__pool *to);
/** Take over everything that `from` holds or has handed out. */
void gb__pool_return(struct gb__pool *pool, struct gb__pool *from);

/** Append what fits; returns the bytes taken. */
size_t gb__chunk_fill(struct gb__chunk *chunk, const void *data, size_t size);

/** The bytes behind a gb_buffer. */
const unsigned char *gb__buffer_bytes(const struct gb_buffer *buffer, size_t *ret_size);

#endif
