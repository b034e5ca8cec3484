#include "model/bus.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "model/broadcast.h"
#include "model/worker.h"
#include "os/futex.h"
#include "os/packet.h"
#include "os/socket.h"
#include "os/thread.h"

#include <errno.h>
#include <string.h>

#define ROOM (1u << 20)    /* bytes on their way to the chief, if the kernel allows so many */
#define PASS_MAX 64u       /* packets that the chief passes on before it looks at something else */
#define STACK (256u << 10) /* of the thread that listens */

struct head {
	uint64_t but;
	char name[GB_TOPIC_MAX + 2]; /* with its NUL */
};

#define PACKET_MAX (sizeof(struct head) + GB_PUBLISH_MAX)

struct gb__bus {
	int fds[2]; /* [0] the chief's, [1] everybody's */
	struct gb__broadcast *broadcast;
	unsigned char *packet; /* at hand: the chief's, or of the thread that listens */
	struct gb__hubs
		*hubs; /* of this process, where that gets what comes; the chief: NULL: it only passes on */
	/* In a worker process. */
	struct gb__broadcast_reader reader;
	bool listens;
};

int gb__bus_create(struct gb__bus **ret)
{
	struct gb__bus *bus = gb__alloc_zero(sizeof(*bus));
	int result;

	if (!bus)
		return -ENOMEM;
	bus->fds[0] = bus->fds[1] = -1;
	bus->packet = gb__alloc(PACKET_MAX);
	bus->broadcast = gb__broadcast_create();
	result = bus->packet && bus->broadcast ? gb__packet_pair(bus->fds, ROOM) : -ENOMEM;
	if (result < 0) {
		gb__bus_destroy(bus);
		return result;
	}
	*ret = bus;
	return 0;
}

void gb__bus_destroy(struct gb__bus *bus)
{
	if (!bus)
		return;
	for (int i = 0; i < 2; i++)
		if (bus->fds[i] >= 0)
			gb__socket_close(bus->fds[i]);
	if (bus->broadcast)
		gb__broadcast_destroy(bus->broadcast);
	gb__free(bus->packet);
	gb__free(bus);
}

/* Workers are trusted to be whole, not to be right. */
static bool whole(const struct head *head, size_t size)
{
	return size >= sizeof(*head) && memchr(head->name, '\0', sizeof(head->name));
}

static void take(struct gb__bus *bus, size_t size)
{
	struct head head;
	struct gb__publication publication = { .name = head.name,
		.bytes = { bus->packet + sizeof(head), size - gb__min(size, sizeof(head)) } };

	memcpy(&head, bus->packet, gb__min(size, sizeof(head)));
	if (!whole(&head, size))
		return;
	publication.but = head.but;
	(void)gb__hubs_put(bus->hubs, &publication); /* without memory it is lost, and counted */
	gb_buffer_unref(publication.buffer);
}

static void pass_on(struct gb_watch *watch, unsigned ready, void *user)
{
	struct gb__bus *bus = user;
	unsigned passed = 0;
	ssize_t size;

	(void)watch;
	(void)ready;
	while (passed < PASS_MAX && (size = gb__packet_receive(bus->fds[0], bus->packet, PACKET_MAX)) >= 0) {
		passed++;
		if (bus->hubs)
			take(bus, (size_t)size);
		else
			gb__broadcast_write(bus->broadcast, bus->packet, (size_t)size);
	}
	if (passed > 0 && !bus->hubs)
		gb__broadcast_announce(bus->broadcast);
}

int gb__bus_watch(struct gb__bus *bus, struct gb_worker *chief, struct gb__hubs *hubs)
{
	struct gb_watch *watch;

	bus->hubs = hubs;
	return gb__watch_add(&chief->watches, bus->fds[0], GB_READY_IN, pass_on, bus, &watch);
}

void gb__bus_join(struct gb__bus *bus)
{
	if (bus && bus->fds[0] >= 0) {
		gb__socket_close(bus->fds[0]);
		bus->fds[0] = -1;
	}
}

static void *listen_thread(void *arg)
{
	struct gb__bus *bus = arg;
	uint64_t lost;
	size_t size;

	for (;;) {
		uint32_t seen = atomic_load(&bus->broadcast->turns);

		while (gb__broadcast_read(
			bus->broadcast, &bus->reader, bus->packet, PACKET_MAX, &size, &lost)) {
			if (lost > 0)
				gb__hubs_lose(bus->hubs, lost);
			take(bus, size);
		}
		gb__futex_wait(&bus->broadcast->turns, seen);
	}
	return NULL;
}

/* The thread ends with its process: nothing that it uses goes before. */
int gb__bus_listen(struct gb__bus *bus, struct gb__hubs *hubs)
{
	pthread_t thread;
	int result;

	if (bus->listens)
		return 0;
	bus->hubs = hubs;
	gb__broadcast_begin(bus->broadcast, &bus->reader);
	result = gb__thread_start(&thread, STACK, listen_thread, bus);
	if (result < 0)
		return result;
	pthread_detach(thread);
	bus->listens = true;
	return 0;
}

int gb__bus_send(struct gb__bus *bus, const struct gb__publication *publication)
{
	struct head head = { .but = publication->but };
	const struct iovec parts[] = { { &head, sizeof(head) },
		{ (void *)(uintptr_t)publication->bytes.data, publication->bytes.size } };

	memcpy(head.name, publication->name, strlen(publication->name) + 1);
	return gb__packet_send(bus->fds[1], parts, publication->bytes.size > 0 ? 2 : 1);
}
