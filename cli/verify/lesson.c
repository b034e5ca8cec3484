#include "verify/lesson.h"

#include "verify/player.h"
#include "verify/wrap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_MS 200 /* what is not answered by then, is not at all */

static int connect_to(const struct verify_subject *subject, struct gb_error *error)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(subject->ports[0]),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int code = -errno;

		if (fd >= 0)
			close(fd);
		return gb_error_set(error, code, "cannot connect to the server: %s", gb_strerror(code));
	}
	return fd;
}

/* Send as much as goes. Returns whether anything is left to send. */
static bool send_some(int fd, const struct verify_bytes *sent, size_t *at)
{
	ssize_t done = send(fd, sent->data + *at, sent->size - *at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (done > 0)
		*at += (size_t)done;
	else if (done < 0 && errno != EAGAIN && errno != EINTR)
		*at = sent->size; /* it does not listen any more */
	return *at < sent->size;
}

/* All is sent, and nothing has come for a while, unless the client ends at once. */
static void act(struct verify_lesson *lesson, int fd, enum verify_lesson_end end)
{
	if (end == VERIFY_LESSON_STOP)
		gb__verify_subject_stop(lesson->subject);
	else if (end != VERIFY_LESSON_WAIT)
		shutdown(fd, SHUT_WR);
}

/* Returns whether the server has ended. A reset is an end as well. */
static bool hear(struct verify_lesson *lesson, int fd)
{
	ssize_t got = recv(fd, gb__verify_bytes_reserve(&lesson->heard, 4096), 4096, MSG_DONTWAIT);

	if (got > 0)
		lesson->heard.size += (size_t)got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		lesson->by_reset = got < 0;
	else
		return false;
	return got <= 0;
}

/* Returns 0 or -ETIME when nothing moves. */
static int converse(
	struct verify_lesson *lesson, int fd, const struct verify_bytes *sent, enum verify_lesson_end end)
{
	const bool looks = end == VERIFY_LESSON_LOOK || end == VERIFY_LESSON_STOP;
	bool sending = true, acted = false;
	size_t at = 0;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = (short)(POLLIN | (sending ? POLLOUT : 0)) };
		int ready;

		if (!sending && !looks && !acted) {
			act(lesson, fd, end);
			acted = true;
		}
		ready = poll(&poll_fd, 1, sending || acted ? (int)lesson->patience_ms : QUIET_MS);
		if (ready == 0 && !acted && !sending) {
			act(lesson, fd, end);
			acted = true;
			continue;
		}
		if (ready == 0)
			return -ETIME;
		if (ready < 0)
			continue;
		if (poll_fd.revents & POLLOUT)
			sending = at < sent->size && send_some(fd, sent, &at);
		if (hear(lesson, fd)) {
			lesson->first = !acted;
			return 0;
		}
	}
}

/* Why the server closed the connection, as it noted. Returns 0 or -ETIME. */
static int hear_reason(struct verify_lesson *lesson)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = lesson->subject->notes, .events = POLLIN };
		struct verify_note note;
		int ready = poll(&poll_fd, 1, (int)lesson->patience_ms);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || read(lesson->subject->notes, &note, sizeof(note)) != sizeof(note))
			return -ETIME;
		if (note.kind == VERIFY_NOTE_CLOSED) {
			lesson->reason = note.reason;
			return 0;
		}
	}
}

int gb__verify_lesson_hold(struct verify_lesson *lesson, const struct verify_bytes *sent,
	enum verify_lesson_end end, struct gb_error *error)
{
	int fd = connect_to(lesson->subject, error), result;

	if (fd < 0)
		return fd;
	lesson->heard.size = 0;
	result = converse(lesson, fd, sent, end);
	/* Who waits for our FIN has it when all was heard. */
	close(fd);
	return result < 0 ? result : hear_reason(lesson);
}
