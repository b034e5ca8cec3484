/* Channels between coroutines of one worker: a ring of values, and who waits for room or for a value. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "stream/coroutine.h"

#include <errno.h>
#include <string.h>

struct gb_channel {
	size_t size, capacity, first, count;
	bool closed;
	struct gb__list senders, receivers;
	unsigned char values[] __attribute__((aligned(16)));
};

int gb_channel_create(size_t size, size_t capacity, struct gb_channel **ret)
{
	size_t bytes;
	struct gb_channel *channel;

	if (size == 0 || capacity == 0 || __builtin_mul_overflow(size, capacity, &bytes) ||
		bytes > SIZE_MAX / 2)
		return -EINVAL;
	channel = gb__alloc(sizeof(*channel) + bytes);
	if (!channel)
		return -ENOMEM;
	*channel = (struct gb_channel){ .size = size, .capacity = capacity };
	gb__list_init(&channel->senders);
	gb__list_init(&channel->receivers);
	*ret = channel;
	return 0;
}

void gb_channel_destroy(struct gb_channel *channel)
{
	if (!channel)
		return;
	gb__rule(52, gb__list_empty(&channel->senders) && gb__list_empty(&channel->receivers),
		"a coroutine waits on the channel");
	gb__free(channel);
}

int gb_channel_try_send(struct gb_channel *channel, const void *value)
{
	size_t last;

	if (channel->closed)
		return -EPIPE;
	if (channel->count == channel->capacity)
		return -EAGAIN;
	last = (channel->first + channel->count) % channel->capacity;
	memcpy(channel->values + last * channel->size, value, channel->size);
	channel->count++;
	gb__coro_queue_wake(&channel->receivers);
	return 0;
}

/* Whoever was woken for it may have been ended by something else: then the next one is. */
static void pass_on(struct gb_channel *channel)
{
	if (channel->count > 0)
		gb__coro_queue_wake(&channel->receivers);
	if (channel->count < channel->capacity)
		gb__coro_queue_wake(&channel->senders);
}

int gb_channel_send(struct gb_coro *coro, struct gb_channel *channel, const void *value)
{
	int result = gb_coro_cancelled(coro);

	while (result == 0) {
		result = gb_channel_try_send(channel, value);
		if (result != -EAGAIN)
			return result;
		result = gb__coro_queue_wait(&channel->senders, coro);
	}
	pass_on(channel);
	return result;
}

int gb_channel_receive(struct gb_coro *coro, struct gb_channel *channel, void *ret_value)
{
	int result = gb_coro_cancelled(coro);

	while (result == 0 && channel->count == 0) {
		if (channel->closed)
			return 0;
		result = gb__coro_queue_wait(&channel->receivers, coro);
	}
	if (result < 0) {
		pass_on(channel);
		return result;
	}
	memcpy(ret_value, channel->values + channel->first * channel->size, channel->size);
	channel->first = (channel->first + 1) % channel->capacity;
	channel->count--;
	gb__coro_queue_wake(&channel->senders);
	return 1;
}

void gb_channel_close(struct gb_channel *channel)
{
	channel->closed = true;
	gb__coro_queue_wake_all(&channel->senders);
	gb__coro_queue_wake_all(&channel->receivers);
}
