#include "model/inbox.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"

#include <errno.h>

static void work_off(struct gb__post *post, bool alive)
{
	struct gb__inbox *inbox = gb__container_of(post, struct gb__inbox, post);
	struct gb__handed *items;
	size_t count, size;

	pthread_mutex_lock(&inbox->lock);
	inbox->announced = false;
	if (!alive) {
		pthread_mutex_unlock(&inbox->lock);
		return; /* gb__inbox_left has them */
	}
	items = inbox->items;
	count = inbox->count;
	size = inbox->size;
	inbox->items = inbox->taken;
	inbox->size = inbox->taken_size;
	inbox->count = 0;
	inbox->taken = items;
	inbox->taken_size = size;
	pthread_mutex_unlock(&inbox->lock);

	for (size_t i = 0; i < count; i++)
		inbox->take(inbox, items[i]);
}

int gb__inbox_init(struct gb__inbox *inbox, void (*take)(struct gb__inbox *inbox, struct gb__handed handed))
{
	*inbox = (struct gb__inbox){ .take = take, .post = { .run = work_off } };
	return -pthread_mutex_init(&inbox->lock, NULL);
}

bool gb__inbox_left(struct gb__inbox *inbox, struct gb__handed *ret)
{
	if (inbox->count == 0)
		return false;
	*ret = inbox->items[--inbox->count];
	return true;
}

void gb__inbox_finish(struct gb__inbox *inbox)
{
	gb__assert(inbox->count == 0);
	gb__free(inbox->items);
	gb__free(inbox->taken);
	pthread_mutex_destroy(&inbox->lock);
}

int gb__inbox_put(struct gb__inbox *inbox, struct gb__loop *loop, struct gb__handed handed)
{
	bool announce;
	int result = 0;

	pthread_mutex_lock(&inbox->lock);
	if (inbox->count == inbox->size) {
		size_t size = inbox->size ? inbox->size * 2 : 16;
		struct gb__handed *items = gb__realloc(inbox->items, size * sizeof(*items));

		if (items) {
			inbox->items = items;
			inbox->size = size;
		} else {
			result = -ENOMEM;
		}
	}
	if (result == 0)
		inbox->items[inbox->count++] = handed;
	announce = result == 0 && !inbox->announced;
	if (announce)
		inbox->announced = true;
	pthread_mutex_unlock(&inbox->lock);
	/* Outside the lock: the worker wakes up at once and wants it. Nobody else puts anything meanwhile, so
	 * what is refused is the last one. */
	if (announce && gb__loop_post(loop, &inbox->post) < 0) {
		pthread_mutex_lock(&inbox->lock);
		inbox->announced = false;
		inbox->count--;
		pthread_mutex_unlock(&inbox->lock);
		result = -ESHUTDOWN;
	}
	return result;
}

bool gb__inbox_empty(struct gb__inbox *inbox)
{
	bool empty;

	pthread_mutex_lock(&inbox->lock);
	empty = inbox->count == 0;
	pthread_mutex_unlock(&inbox->lock);
	return empty;
}
