/*
 * With k messages the service is asked 2k + 1 times, by connections that send the first n of them, over and over,
 * and half-close: what comes more than for n - 1 is the answer to the n-th. The second round must be answered as the
 * first: then so will be any further one, and any number of messages can be sent in talks.
 */
#include "verify/learned.h"

#include "verify/player.h"
#include "verify/specs.h"
#include "verify/subject.h"
#include "verify/wrap.h"

#include <gearbox/model.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct learned {
	struct verify_protocol protocol; /* the first: talks see it alone */
	struct messages messages;
	struct verify_bytes greeting; /* what comes before anything is sent */
	struct verify_bytes *answers; /* to each message */
};

/* One run of the service under one model. */
struct school {
	struct learned *learned;
	const struct verify_target *target;
	struct verify_subject subject;
	unsigned patience_ms;
	struct verify_bytes before, heard; /* of the last two connections */
	enum gb_close_reason reason;       /* that the server gave */
};

static const char *const usual_messages[] = {
	"a", "hello", "the quick brown fox jumps over the lazy dog",
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
};

static const struct learned *learned_of(const struct verify_talk *talk)
{
	return (const struct learned *)talk->protocol;
}

static void begin(struct verify_talk *talk)
{
	const struct verify_bytes *greeting = &learned_of(talk)->greeting;

	gb__verify_bytes_append(&talk->wanted, greeting->data, greeting->size);
}

static void exchange(struct verify_talk *talk, size_t size)
{
	const struct learned *learned = learned_of(talk);
	size_t before = talk->sent.size;

	do {
		size_t at = talk->messages++ % learned->messages.count;
		const struct gb_bytes *message = &learned->messages.list[at];

		gb__verify_bytes_append(&talk->sent, message->data, message->size);
		gb__verify_bytes_append(&talk->wanted, learned->answers[at].data, learned->answers[at].size);
	} while (talk->sent.size - before < size);
}

/* Of a message that has an end to it: all but that. */
static void incomplete(struct verify_talk *talk, size_t size)
{
	const struct learned *learned = learned_of(talk);
	const struct gb_bytes *message = &learned->messages.list[talk->messages % learned->messages.count];

	(void)size;
	gb__verify_bytes_append(&talk->sent, message->data, message->size - 1);
}

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

/* Send as much as goes, then half-close. Returns whether anything is left to send. */
static bool send_some(int fd, const struct verify_bytes *sent, size_t *at)
{
	ssize_t done = send(fd, sent->data + *at, sent->size - *at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (done > 0)
		*at += (size_t)done;
	else if (done < 0 && errno != EAGAIN && errno != EINTR)
		*at = sent->size; /* it does not listen any more */
	if (*at < sent->size)
		return true;
	shutdown(fd, SHUT_WR);
	return false;
}

/* Send all, half-close, hear all. Returns 0, or -ETIME when nothing moves. A reset is an end as well. */
static int converse(struct school *school, int fd, const struct verify_bytes *sent)
{
	size_t at = 0;
	bool sending = true;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = (short)(POLLIN | (sending ? POLLOUT : 0)) };
		int ready = poll(&poll_fd, 1, (int)school->patience_ms);
		ssize_t got;

		if (ready == 0)
			return -ETIME;
		if (ready < 0)
			continue;
		if (poll_fd.revents & POLLOUT)
			sending = send_some(fd, sent, &at);
		got = recv(fd, gb__verify_bytes_reserve(&school->heard, 4096), 4096, MSG_DONTWAIT);
		if (got > 0)
			school->heard.size += (size_t)got;
		else if (got == 0 || (errno != EAGAIN && errno != EINTR))
			return 0;
	}
}

/* Why the server closed the connection, as it noted. Returns 0 or -ETIME. */
static int hear_reason(struct school *school)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = school->subject.notes, .events = POLLIN };
		struct verify_note note;
		int ready = poll(&poll_fd, 1, (int)school->patience_ms);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || read(school->subject.notes, &note, sizeof(note)) != sizeof(note))
			return -ETIME;
		if (note.kind == VERIFY_NOTE_CLOSED) {
			school->reason = note.reason;
			return 0;
		}
	}
}

/* A connection that sends the first `count` messages, over and over. */
static int ask(struct school *school, size_t count, struct gb_error *error)
{
	const struct messages *messages = &school->learned->messages;
	struct verify_bytes sent = { 0 }, before = school->before;
	int fd = connect_to(&school->subject, error), result;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < count; i++) {
		const struct gb_bytes *message = &messages->list[i % messages->count];

		gb__verify_bytes_append(&sent, message->data, message->size);
	}
	school->before = school->heard;
	school->heard = before;
	school->heard.size = 0;
	result = converse(school, fd, &sent);
	close(fd);
	gb__verify_bytes_finish(&sent);
	if (result == 0)
		result = hear_reason(school);
	if (result < 0)
		gb_error_set(error, -GB_EUSAGE,
			"%s: nothing moves after %zu message%s and the client's end: it cannot be verified with "
			"these",
			school->target->service->name, count, count == 1 ? "" : "s");
	return result < 0 ? -GB_EUSAGE : 0;
}

static int refuse(struct school *school, size_t number, const char *what, struct gb_error *error)
{
	const struct gb_bytes *message =
		&school->learned->messages.list[(number - 1) % school->learned->messages.count];

	return gb_error_set(error, -GB_EUSAGE,
		"%s: message %zu, \"%.*s\", %s: give messages that can be repeated (--message-file FILE)",
		school->target->service->name, number, (int)(message->size < 40 ? message->size : 40),
		(const char *)message->data, what);
}

/* The answer to message `number`: what is heard more than without it. */
static int learn(struct school *school, size_t number, enum gb_close_reason usual, struct gb_error *error)
{
	struct learned *learned = school->learned;
	struct verify_bytes *answer = &learned->answers[(number - 1) % learned->messages.count];
	size_t known;
	int result = ask(school, number, error);

	if (result < 0)
		return result;
	known = school->before.size;
	if (school->reason != usual) {
		char what[64];

		snprintf(
			what, sizeof(what), "ends the connection (%s)", gb_close_reason_name(school->reason));
		return refuse(school, number, what, error);
	}
	if (school->heard.size < known ||
		(known && memcmp(school->heard.data, school->before.data, known) != 0))
		return refuse(school, number, "changes what was answered before it", error);
	if (number <= learned->messages.count) {
		gb__verify_bytes_append(answer, school->heard.data + known, school->heard.size - known);
		return 0;
	}
	if (school->heard.size - known != answer->size ||
		(answer->size && memcmp(school->heard.data + known, answer->data, answer->size) != 0))
		return refuse(school, number, "is answered otherwise the second time", error);
	return 0;
}

static int learn_all(struct school *school, struct gb_error *error)
{
	struct learned *learned = school->learned;
	size_t count = learned->messages.count;
	enum gb_close_reason usual;
	int result = ask(school, 0, error);

	if (result < 0)
		return result;
	usual = school->reason;
	gb__verify_bytes_append(&learned->greeting, school->heard.data, school->heard.size);
	for (size_t n = 1; n <= 2 * count && result == 0; n++)
		result = learn(school, n, usual, error);
	learned->protocol.mute = true;
	for (size_t i = 0; i < count; i++)
		learned->protocol.mute &= learned->answers[i].size == 0;
	learned->protocol.eof_reasons = 1u << usual;
	return result;
}

/* A model that the service can run under, the simplest first. */
static void choose_model(const struct gb_service *service, char *ret, size_t size)
{
	static const char *const simple[] = { "reactor", "iterative", "thread" };
	struct verify_specs specs;

	for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++)
		if (gb_model_check(simple[i], service, true, NULL) >= 0) {
			snprintf(ret, size, "%s", simple[i]);
			return;
		}
	gb__verify_specs_list(service, false, &specs);
	snprintf(ret, size, "%s", specs.count ? specs.list[0].text : "reactor");
	gb__verify_specs_finish(&specs);
}

static int attend(struct school *school, struct gb_error *error)
{
	const struct verify_target target = { school->target->service, &school->learned->protocol,
		school->target->sets, school->target->sets_count };
	struct verify_outcome outcome;
	char model[VERIFY_SPEC_MAX], log[400];
	int result;

	choose_model(target.service, model, sizeof(model));
	result = gb__verify_subject_start(&school->subject, model, &target, VERIFY_PATIENT, error);
	if (result == 0) {
		result = learn_all(school, error);
		gb__verify_subject_stop(&school->subject);
		if (result < 0)
			gb__verify_subject_stop(&school->subject); /* at once */
	}
	gb__verify_subject_end(&school->subject, &outcome);
	gb__verify_subject_log(&school->subject, log, sizeof(log));
	return result;
}

static int fill(struct messages *messages, const struct messages *given, struct gb_error *error)
{
	int result = 0;

	if (given->count > LEARNED_MESSAGES_MAX)
		return gb_error_set(
			error, -GB_EUSAGE, "at most %d messages can be verified", LEARNED_MESSAGES_MAX);
	if (given->count > 0)
		return gb__messages_copy(given, messages, error);
	for (size_t i = 0; i < sizeof(usual_messages) / sizeof(*usual_messages) && result == 0; i++)
		result = gb__messages_add(messages, usual_messages[i], error);
	return result;
}

int gb__learned_create(const struct verify_target *target, const struct messages *messages,
	unsigned patience_ms, struct verify_protocol **ret, struct gb_error *error)
{
	const struct gb_service *service = target->service;
	const bool framed = service->codec == &gb_codec_line || service->codec == &gb_codec_length;
	struct learned *learned = gb__verify_grow(NULL, 1, sizeof(*learned));
	struct school school = { .learned = learned, .target = target, .patience_ms = patience_ms };
	int result;

	*learned = (struct learned){ .protocol = { .service = service->name,
					     .begin = begin,
					     .exchange = exchange,
					     .incomplete = framed ? incomplete : NULL,
					     .framed = framed,
					     .coded = service->codec } };
	result = fill(&learned->messages, messages, error);
	if (result == 0)
		result =
			gb__messages_frame(&learned->messages, service->codec, service->codec_options, error);
	learned->answers = gb__verify_grow(NULL, learned->messages.count, sizeof(*learned->answers));
	memset(learned->answers, 0, learned->messages.count * sizeof(*learned->answers));
	if (result == 0)
		result = attend(&school, error);
	gb__verify_bytes_finish(&school.before);
	gb__verify_bytes_finish(&school.heard);
	if (result < 0)
		gb__learned_destroy(&learned->protocol);
	else
		*ret = &learned->protocol;
	return result;
}

void gb__learned_destroy(struct verify_protocol *protocol)
{
	struct learned *learned = (struct learned *)protocol;

	if (!learned)
		return;
	for (size_t i = 0; i < learned->messages.count; i++)
		gb__verify_bytes_finish(&learned->answers[i]);
	free(learned->answers);
	gb__verify_bytes_finish(&learned->greeting);
	gb__messages_finish(&learned->messages);
	free(learned);
}
