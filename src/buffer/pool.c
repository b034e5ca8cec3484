#include "buffer/pool.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "base/poison.h"

#include <gearbox/conn.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static const uint32_t class_sizes[GB__POOL_CLASSES] = GB__POOL_CLASS_SIZES;

struct gb_buffer {
	_Atomic unsigned references;
	size_t size;
	unsigned char bytes[];
};

void gb__pool_init(struct gb__pool *pool)
{
	*pool = (struct gb__pool){ 0 };
}

void gb__pool_finish(struct gb__pool *pool)
{
	gb__assert(pool->in_use == 0);
	gb__pool_trim(pool);
}

void gb__pool_trim(struct gb__pool *pool)
{
	for (unsigned i = 0; i < GB__POOL_CLASSES; i++) {
		while (pool->free[i]) {
			struct gb__chunk *chunk = pool->free[i];

			pool->free[i] = chunk->next;
			gb__free(chunk);
		}
	}
	pool->cached = 0;
}

static struct gb__chunk *chunk_allocate(struct gb__pool *pool, size_t whole)
{
	unsigned size_class = 0;
	struct gb__chunk *chunk;

	while (size_class < GB__POOL_CLASSES && class_sizes[size_class] < whole)
		size_class++;
	if (size_class < GB__POOL_CLASSES) {
		whole = class_sizes[size_class];
		if (pool->free[size_class]) {
			chunk = pool->free[size_class];
			pool->free[size_class] = chunk->next;
			pool->cached -= whole;
			return chunk;
		}
	}
	if (whole - sizeof(*chunk) > UINT32_MAX)
		return NULL;
	chunk = gb__alloc(whole);
	if (!chunk)
		return NULL;
	chunk->data = chunk->memory;
	chunk->capacity = (uint32_t)(whole - sizeof(*chunk));
	chunk->size_class = size_class;
	chunk->shared = NULL;
	return chunk;
}

struct gb__chunk *gb__chunk_create(struct gb__pool *pool, size_t size)
{
	struct gb__chunk *chunk;

	/* The smallest class serves nearly every message: take it without a search. */
	if (gb__likely(size <= class_sizes[0] - sizeof(*chunk)) && gb__likely(pool->free[0] != NULL)) {
		chunk = pool->free[0];
		pool->free[0] = chunk->next;
		pool->cached -= class_sizes[0];
	} else {
		if (size > UINT32_MAX)
			return NULL;
		chunk = chunk_allocate(pool, sizeof(*chunk) + size);
		if (!chunk)
			return NULL;
	}
	gb__unpoison(chunk->memory, chunk->capacity);
	chunk->next = NULL;
	chunk->begin = chunk->end = 0;
	chunk->operation = NULL;
	pool->in_use++;
	return chunk;
}

struct gb__chunk *gb__chunk_create_shared(struct gb__pool *pool, struct gb_buffer *buffer)
{
	struct gb__chunk *chunk;

	if (buffer->size > UINT32_MAX)
		return NULL;
	chunk = gb__chunk_create(pool, 0);
	if (!chunk)
		return NULL;
	chunk->shared = gb_buffer_ref(buffer);
	chunk->data = buffer->bytes;
	chunk->end = (uint32_t)buffer->size;
	chunk->capacity = 0;
	return chunk;
}

void gb__chunk_destroy(struct gb__pool *pool, struct gb__chunk *chunk)
{
	if (!chunk)
		return;
	if (chunk->size_class == GB__POOL_BORROWED) {
		pool->give_back(pool, chunk);
		return;
	}
	pool->in_use--;
	if (gb__unlikely(chunk->shared != NULL)) {
		gb_buffer_unref(chunk->shared);
		chunk->shared = NULL;
		chunk->data = chunk->memory;
		chunk->capacity = class_sizes[chunk->size_class] - (uint32_t)sizeof(*chunk);
	}
	if (chunk->size_class < GB__POOL_CLASSES &&
		pool->cached + class_sizes[chunk->size_class] <= GB__POOL_CACHED_MAX) {
		chunk->next = pool->free[chunk->size_class];
		pool->free[chunk->size_class] = chunk;
		pool->cached += class_sizes[chunk->size_class];
		gb__poison(chunk->memory, chunk->capacity);
		return;
	}
	pool->freed += chunk->capacity;
	gb__free(chunk);
}

void gb__pool_lend(struct gb__pool *pool, size_t size, struct gb__pool *to)
{
	const size_t most = class_sizes[GB__POOL_CLASSES - 1] - sizeof(struct gb__chunk);
	struct gb__chunk *chunk = gb__chunk_create(pool, gb__min(size, most));

	if (!chunk)
		return;
	pool->in_use--;
	to->in_use++;
	gb__chunk_destroy(to, chunk);
}

void gb__pool_return(struct gb__pool *pool, struct gb__pool *from)
{
	for (unsigned i = 0; i < GB__POOL_CLASSES; i++) {
		while (from->free[i]) {
			struct gb__chunk *chunk = from->free[i];

			from->free[i] = chunk->next;
			pool->in_use++;
			gb__chunk_destroy(pool, chunk);
		}
	}
	pool->in_use += from->in_use;
	*from = (struct gb__pool){ 0 };
}

size_t gb__chunk_fill(struct gb__chunk *chunk, const void *data, size_t size)
{
	size_t room = chunk->capacity > chunk->end ? chunk->capacity - chunk->end : 0;

	size = gb__min(size, room);
	memcpy(chunk->data + chunk->end, data, size);
	chunk->end += (uint32_t)size;
	return size;
}

int gb_buffer_create(const void *data, size_t size, struct gb_buffer **ret)
{
	struct gb_buffer *buffer = gb__alloc(sizeof(*buffer) + size);

	if (!buffer)
		return -ENOMEM;
	atomic_init(&buffer->references, 1);
	buffer->size = size;
	if (size > 0)
		memcpy(buffer->bytes, data, size);
	*ret = buffer;
	return 0;
}

struct gb_buffer *gb_buffer_ref(struct gb_buffer *buffer)
{
	atomic_fetch_add_explicit(&buffer->references, 1, memory_order_relaxed);
	return buffer;
}

void gb_buffer_unref(struct gb_buffer *buffer)
{
	if (buffer && atomic_fetch_sub_explicit(&buffer->references, 1, memory_order_acq_rel) == 1)
		gb__free(buffer);
}

const unsigned char *gb__buffer_bytes(const struct gb_buffer *buffer, size_t *ret_size)
{
	*ret_size = buffer->size;
	return buffer->bytes;
}
