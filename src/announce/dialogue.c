#include "announce/dialogue.h"

#include "base/alloc.h"

#include <errno.h>

#define ROOM_MIN 2048u

static struct gb__os *os_of(const struct gb__dialogue *dialogue)
{
	return dialogue->watches->loop->os;
}

static void fail(struct gb__dialogue *dialogue, int error)
{
	gb__dialogue_close(dialogue);
	dialogue->on_failed(dialogue, error);
}

/* Returns 0, 1 when the rest waits for room, or a negative errno. */
static int send_rest(struct gb__dialogue *dialogue)
{
	struct gb__dns_request *request = &dialogue->request;

	while (dialogue->sent < request->size) {
		ssize_t sent = gb__os_send(os_of(dialogue), dialogue->fd, request->bytes + dialogue->sent,
			request->size - dialogue->sent);

		if (sent == -EAGAIN)
			return 1;
		if (sent < 0)
			return (int)sent;
		dialogue->sent += (size_t)sent;
	}
	return 0;
}

static size_t wanted(const struct gb__dialogue *dialogue)
{
	return dialogue->answer_size < 2 ? 2 : 2 + (size_t)(dialogue->answer[0] << 8 | dialogue->answer[1]);
}

/* Returns 1 when the answer is whole, -EAGAIN, or what has ended it. */
static int receive(struct gb__dialogue *dialogue)
{
	while (dialogue->answer_size < wanted(dialogue)) {
		ssize_t got;

		if (wanted(dialogue) > dialogue->answer_room) {
			const size_t room = wanted(dialogue) + ROOM_MIN;
			uint8_t *grown = gb__realloc(dialogue->answer, room);

			if (!grown)
				return -ENOMEM;
			dialogue->answer = grown;
			dialogue->answer_room = room;
		}
		got = gb__os_recv(os_of(dialogue), dialogue->fd, dialogue->answer + dialogue->answer_size,
			wanted(dialogue) - dialogue->answer_size);
		if (got <= 0)
			return got == 0 ? -ECONNRESET : (int)got;
		dialogue->answer_size += (size_t)got;
	}
	return 1;
}

static void go_on(struct gb__dialogue *dialogue)
{
	int result = send_rest(dialogue);

	if (result >= 0)
		result = gb__watch_change(dialogue->watch, result ? GB_READY_IN | GB_READY_OUT : GB_READY_IN);
	if (result == 0)
		result = receive(dialogue);
	if (result == 1)
		dialogue->on_answer(dialogue, dialogue->answer + 2, dialogue->answer_size - 2);
	else if (result != -EAGAIN)
		fail(dialogue, result);
}

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	struct gb__dialogue *dialogue = user;

	(void)watch;
	(void)ready;
	if (!dialogue->connected) {
		int result = os_of(dialogue)->ops->connect_result(os_of(dialogue), dialogue->fd);

		if (result == 0)
			result = gb__watch_change(dialogue->watch, GB_READY_IN);
		dialogue->connected = result == 0;
		if (result == 0)
			dialogue->on_answer(dialogue, NULL, 0);
		else
			fail(dialogue, result);
	} else {
		go_on(dialogue);
	}
}

int gb__dialogue_open(
	struct gb__dialogue *dialogue, struct gb__watches *watches, const struct gb__address *server)
{
	struct gb__os *os = watches->loop->os;
	int result;

	dialogue->watches = watches;
	dialogue->fd = os->ops->socket(os, server->any.sa_family, SOCK_STREAM);
	if (dialogue->fd < 0)
		return dialogue->fd;
	dialogue->connected = false;
	result = os->ops->connect(os, dialogue->fd, &server->any, server->size);
	if (result == 0 || result == -EINPROGRESS)
		result = gb__watch_add(
			watches, dialogue->fd, GB_READY_OUT, on_ready, dialogue, &dialogue->watch);
	if (result < 0)
		gb__dialogue_close(dialogue);
	return result;
}

void gb__dialogue_ask(struct gb__dialogue *dialogue, struct gb__dns_request request)
{
	gb__dns_request_finish(&dialogue->request);
	dialogue->request = request;
	dialogue->sent = 0;
	dialogue->answer_size = 0;
	/* What cannot be sent at once is, when there is room; what has ended is seen by the watch. */
	(void)gb__watch_change(dialogue->watch, GB_READY_IN | GB_READY_OUT);
}

int gb__dialogue_local(const struct gb__dialogue *dialogue, struct gb__address *ret)
{
	return os_of(dialogue)->ops->address(os_of(dialogue), dialogue->fd, false, ret);
}

void gb__dialogue_close(struct gb__dialogue *dialogue)
{
	if (dialogue->watch)
		gb__watch_remove(dialogue->watch);
	dialogue->watch = NULL;
	if (dialogue->fd >= 0)
		os_of(dialogue)->ops->close(os_of(dialogue), dialogue->fd);
	dialogue->fd = -1;
	dialogue->connected = false;
	gb__dns_request_finish(&dialogue->request);
	gb__free(dialogue->answer);
	dialogue->answer = NULL;
	dialogue->answer_size = dialogue->answer_room = 0;
}

void gb__dialogue_abandon(struct gb__dialogue *dialogue)
{
	if (dialogue->fd >= 0)
		os_of(dialogue)->ops->close(os_of(dialogue), dialogue->fd);
	dialogue->fd = -1;
}
