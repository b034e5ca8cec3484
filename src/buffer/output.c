#include "buffer/output.h"

#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>
#include <string.h>

/* A large send is cut, so that memory comes and goes in the classes of the pool. */
#define CHUNK_BYTES_MAX (32768u - sizeof(struct gb__chunk))

/* A reference costs a chunk of the smallest class: what is much smaller than that is cheaper to copy. */
#define SHARED_BYTES_MIN 1024u

static inline void chunk_append(struct gb__output *output, struct gb__chunk *chunk)
{
	if (output->tail) {
		chunk->next = output->tail->next;
		output->tail->next = chunk;
	} else {
		chunk->next = chunk;
	}
	output->tail = chunk;
}

static struct gb__chunk *head_remove(struct gb__output *output)
{
	struct gb__chunk *head = output->tail->next;

	if (head == output->tail)
		output->tail = NULL;
	else
		output->tail->next = head->next;
	return head;
}

/* Drop what an append that ran out of memory added after `tail`, which held `end` valid bytes. */
static void append_undo(
	struct gb__output *output, struct gb__pool *pool, struct gb__chunk *tail, uint32_t end)
{
	struct gb__chunk *first, *chunk;

	if (output->tail != tail) {
		struct gb__chunk *head = tail ? output->tail->next : NULL;

		first = tail ? tail->next : output->tail->next;
		chunk = first;
		for (bool last = false; !last;) {
			struct gb__chunk *next = chunk->next;

			last = chunk == output->tail;
			gb__chunk_destroy(pool, chunk);
			chunk = next;
		}
		if (tail)
			tail->next = head;
		output->tail = tail;
	}
	if (tail)
		tail->end = end;
}

int gb__output_append(struct gb__output *output, struct gb__pool *pool, const void *data, size_t size)
{
	struct gb__chunk *tail = output->tail;
	uint32_t tail_end = tail ? tail->end : 0;
	const unsigned char *bytes = data;
	size_t rest = size;

	if (tail && rest > 0) {
		size_t taken = gb__chunk_fill(tail, bytes, rest);

		bytes += taken;
		rest -= taken;
	}
	while (rest > 0) {
		struct gb__chunk *chunk = gb__chunk_create(pool, gb__min(rest, CHUNK_BYTES_MAX));
		size_t taken;

		if (gb__unlikely(!chunk)) {
			append_undo(output, pool, tail, tail_end);
			return -ENOMEM;
		}
		taken = gb__chunk_fill(chunk, bytes, rest);
		bytes += taken;
		rest -= taken;
		chunk_append(output, chunk);
	}
	output->bytes += size;
	return 0;
}

int gb__output_append_shared(struct gb__output *output, struct gb__pool *pool, struct gb_buffer *buffer)
{
	size_t size;
	const unsigned char *bytes = gb__buffer_bytes(buffer, &size);
	struct gb__chunk *chunk;

	if (size < SHARED_BYTES_MIN)
		return gb__output_append(output, pool, bytes, size);
	chunk = gb__chunk_create_shared(pool, buffer);
	if (!chunk)
		return -ENOMEM;
	gb__output_append_chunk(output, chunk);
	return 0;
}

int gb__output_append_packet(struct gb__output *output, struct gb__pool *pool, const void *data, size_t size,
	struct gb_buffer *buffer)
{
	const uint32_t header = (uint32_t)size;
	struct gb__chunk *tail = output->tail;
	const uint32_t tail_end = tail ? tail->end : 0;
	int result = gb__output_append(output, pool, &header, sizeof(header));

	static_assert(sizeof(header) == GB__PACKET_HEADER, "as the codec reads it");
	gb__assert(size > 0 && size <= GB__PACKET_MAX);
	if (result < 0)
		return result;
	result = buffer ? gb__output_append_shared(output, pool, buffer)
			: gb__output_append(output, pool, data, size);
	if (gb__unlikely(result < 0)) {
		append_undo(output, pool, tail, tail_end);
		output->bytes -= sizeof(header);
	}
	return result;
}

void gb__output_append_chunk(struct gb__output *output, struct gb__chunk *chunk)
{
	output->bytes += chunk->end - chunk->begin;
	chunk_append(output, chunk);
}

void gb__output_splice(struct gb__output *output, struct gb__output *from)
{
	if (!from->tail)
		return;
	if (output->tail) {
		struct gb__chunk *head = output->tail->next;

		output->tail->next = from->tail->next;
		from->tail->next = head;
	}
	output->tail = from->tail;
	output->bytes += from->bytes;
	*from = (struct gb__output){ 0 };
}

unsigned gb__output_vector(const struct gb__output *output, struct iovec *ret_parts, unsigned max)
{
	struct gb__chunk *chunk;
	unsigned count = 0;

	if (!output->tail)
		return 0;
	chunk = output->tail->next;
	do {
		if (count == max)
			break;
		ret_parts[count++] = (struct iovec){ chunk->data + chunk->begin, chunk->end - chunk->begin };
		chunk = chunk->next;
	} while (chunk != output->tail->next);
	return count;
}

/* Its header may lie in two chunks, and its end is not that of a chunk. */
unsigned gb__output_packet(const struct gb__output *output, struct iovec *ret_parts, size_t *ret_size)
{
	const unsigned count = gb__output_vector(output, ret_parts, GB__PACKET_PARTS);
	unsigned char header[GB__PACKET_HEADER];
	unsigned first = 0, end;
	uint32_t left;

	for (unsigned i = 0; i < sizeof(header); i++) {
		header[i] = *(unsigned char *)ret_parts[first].iov_base;
		ret_parts[first].iov_base = (unsigned char *)ret_parts[first].iov_base + 1;
		first += --ret_parts[first].iov_len == 0;
	}
	memcpy(&left, header, sizeof(left));
	*ret_size = left;
	for (end = first; left > 0; end++) {
		gb__assert(end < count);
		ret_parts[end].iov_len = gb__min(ret_parts[end].iov_len, (size_t)left);
		left -= (uint32_t)ret_parts[end].iov_len;
	}
	memmove(ret_parts, ret_parts + first, (end - first) * sizeof(*ret_parts));
	return end - first;
}

struct iovec gb__output_front(const struct gb__output *output)
{
	const struct gb__chunk *head = output->tail->next;

	return (struct iovec){ head->data + head->begin, head->end - head->begin };
}

void gb__output_consume(struct gb__output *output, struct gb__pool *pool, size_t size)
{
	gb__assert(size <= output->bytes);
	output->bytes -= size;
	if (gb__likely(output->bytes == 0) && gb__likely(size > 0) && output->tail->next == output->tail) {
		gb__chunk_destroy(pool, output->tail);
		output->tail = NULL;
		return;
	}
	while (size > 0) {
		struct gb__chunk *head = output->tail->next;
		uint32_t part = head->end - head->begin;

		if (size < part) {
			head->begin += (uint32_t)size;
			return;
		}
		size -= part;
		gb__chunk_destroy(pool, head_remove(output));
	}
}

void gb__output_clear(struct gb__output *output, struct gb__pool *pool)
{
	while (output->tail)
		gb__chunk_destroy(pool, head_remove(output));
	output->bytes = 0;
}
