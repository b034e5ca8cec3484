/*
 * With k messages the service is asked 2k + 1 times, by connections that send the first n of them, over and over,
 * and half-close: what comes more than for n - 1 is the answer to the n-th. The second round must be answered as the
 * first: then so will be any further one, and any number of messages can be sent in talks.
 */
#include "verify/learned.h"

#include "verify/lesson.h"
#include "verify/specs.h"
#include "verify/subject.h"
#include "verify/suit.h"

#include <gearbox/model.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct learned {
	struct verify_protocol protocol; /* the first: talks see it alone */
	struct messages messages;
	struct verify_bytes greeting; /* what comes before anything is sent */
	struct verify_bytes *answers; /* to each message */
	struct verify_last last[GB_CLOSE_REASON_COUNT];
};

/* One run of the service under one model. */
struct school {
	struct learned *learned;
	const struct verify_target *target;
	char model[VERIFY_SPEC_MAX];
	struct verify_subject subject;
	unsigned patience_ms;
	struct verify_lesson lesson; /* the last connection */
	struct verify_bytes before;  /* what the one before it heard */
	size_t asked;                /* messages, in the one that was learned from last */
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

/* Append the first `count` messages, over and over. */
static void append_messages(const struct messages *messages, size_t count, struct verify_bytes *ret)
{
	for (size_t i = 0; i < count; i++) {
		const struct gb_bytes *message = &messages->list[i % messages->count];

		gb__verify_bytes_append(ret, message->data, message->size);
	}
}

/* A connection that sends the first `count` messages. */
static int ask(struct school *school, size_t count, struct gb_error *error)
{
	/* Without messages there is time to see whether the server ends first. */
	const enum verify_lesson_end end = count > 0 ? VERIFY_LESSON_FIN : VERIFY_LESSON_LOOK;
	struct verify_bytes sent = { 0 }, before = school->before;
	int result;

	append_messages(&school->learned->messages, count, &sent);
	school->before = school->lesson.heard;
	school->lesson.heard = before;
	result = gb__verify_lesson_hold(&school->lesson, &sent, end, error);
	gb__verify_bytes_finish(&sent);
	if (result == -ETIME)
		gb_error_set(error, -GB_EUSAGE,
			"%s: nothing moves after %zu message%s and the client's end: it cannot be verified with "
			"these",
			school->target->service->name, count, count == 1 ? "" : "s");
	return result < 0 ? -GB_EUSAGE : 0;
}

/* Whether it ends whoever comes, whatever he says: every model would, each at a moment of its own. */
static bool is_of_no_use(enum gb_close_reason reason)
{
	return reason == GB_CLOSE_RELAY || reason == GB_CLOSE_REFUSED || reason == GB_CLOSE_CONNECT_FAILED ||
		reason == GB_CLOSE_RESET || reason == GB_CLOSE_KERNEL_ERROR || reason == GB_CLOSE_NO_MEMORY;
}

static int refuse_service(const struct school *school, struct gb_error *error)
{
	const struct gb_service *service = school->target->service;

	return gb_error_set(error, -GB_EUSAGE,
		"%s: it ends every connection at once (%s), so there is nothing to compare: is what it needs there, "
		"a server behind it perhaps%s?",
		service->name, gb_close_reason_name(school->lesson.reason),
		service->settings ? " (--set KEY=VALUE)" : "");
}

static int refuse(struct school *school, size_t number, const char *what, struct gb_error *error)
{
	const struct gb_bytes *message =
		&school->learned->messages.list[(number - 1) % school->learned->messages.count];

	return gb_error_set(error, -GB_EUSAGE,
		"%s: message %zu, \"%.*s\", %s: give messages that can be repeated (--message TEXT, --message-file FILE)",
		school->target->service->name, number, (int)(message->size < 40 ? message->size : 40),
		(const char *)message->data, what);
}

/* The answer to message `number`: what is heard more than without it. */
static int learn(struct school *school, size_t number, enum gb_close_reason usual, struct gb_error *error)
{
	struct learned *learned = school->learned;
	struct verify_bytes *answer = &learned->answers[(number - 1) % learned->messages.count];
	size_t known;
	int result;

	school->asked = number;
	result = ask(school, number, error);
	if (result < 0)
		return result;
	known = school->before.size;
	if (school->lesson.reason != usual) {
		char what[64];

		snprintf(what, sizeof(what), "ends the connection (%s)",
			gb_close_reason_name(school->lesson.reason));
		return refuse(school, number, what, error);
	}
	if (school->lesson.heard.size < known ||
		(known && memcmp(school->lesson.heard.data, school->before.data, known) != 0))
		return refuse(school, number, "changes what was answered before it", error);
	if (number <= learned->messages.count) {
		gb__verify_bytes_append(
			answer, school->lesson.heard.data + known, school->lesson.heard.size - known);
		return 0;
	}
	if (school->lesson.heard.size - known != answer->size ||
		(answer->size && memcmp(school->lesson.heard.data + known, answer->data, answer->size) != 0))
		return refuse(school, number, "is answered otherwise the second time", error);
	return 0;
}

/*
 * Without a codec nobody knows where a message ends for the service, or whether any of these ends at all: then few of them
 * are taken, and more than fit into its max-message are not.
 */
static int check_many(struct school *school, enum gb_close_reason usual, struct gb_error *error)
{
	const struct learned *learned = school->learned;
	const struct messages *messages = &learned->messages;
	struct verify_bytes wanted = { 0 };
	size_t size = 0, count = 0;
	bool differs;
	int result;

	gb__verify_bytes_append(&wanted, learned->greeting.data, learned->greeting.size);
	for (; size <= 2 * VERIFY_MESSAGE_MAX; count++) {
		const struct verify_bytes *answer = &learned->answers[count % messages->count];

		size += messages->list[count % messages->count].size;
		gb__verify_bytes_append(&wanted, answer->data, answer->size);
	}
	result = ask(school, count, error);
	differs = result == 0 &&
		(school->lesson.reason != usual || school->lesson.heard.size != wanted.size ||
			(wanted.size > 0 &&
				memcmp(school->lesson.heard.data, wanted.data, wanted.size) != 0));
	if (differs)
		result = gb_error_set(error, -GB_EUSAGE,
			"%s: %zu messages in one connection are not answered as few are (%s): give messages that end as "
			"its own do (--message TEXT, --message-file FILE, or the service's `samples`)",
			school->target->service->name, count, gb_close_reason_name(school->lesson.reason));
	gb__verify_bytes_finish(&wanted);
	return result;
}

static int learn_all(struct school *school, struct gb_error *error)
{
	struct learned *learned = school->learned;
	size_t count = learned->messages.count;
	enum gb_close_reason usual;
	int result = ask(school, 0, error);

	if (result < 0)
		return result;
	usual = school->lesson.reason;
	if (is_of_no_use(usual))
		return refuse_service(school, error);
	learned->protocol.ends_first = school->lesson.first;
	gb__verify_bytes_append(&learned->greeting, school->lesson.heard.data, school->lesson.heard.size);
	for (size_t n = 1; n <= 2 * count && result == 0; n++)
		result = learn(school, n, usual, error);
	if (result == 0 && !school->target->service->codec)
		result = check_many(school, usual, error);
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

static int start(struct school *school, enum verify_stage stage, struct gb_error *error)
{
	const struct verify_target target = { school->target->service, &school->learned->protocol,
		school->target->sets, school->target->sets_count };

	school->lesson.subject = &school->subject;
	school->lesson.patience_ms = school->patience_ms;
	return gb__verify_subject_start(&school->subject, school->model, &target, stage, error);
}

/* What the server said goes with the reason why nothing could be learned. */
static void end(struct school *school, int result, struct gb_error *error)
{
	struct verify_outcome outcome;
	char log[400];

	gb__verify_subject_end(&school->subject, &outcome);
	gb__verify_subject_log(&school->subject, log, sizeof(log));
	if (result < 0) {
		struct gb_error said = *error;

		gb_error_set(error, said.code, "%s%s%s%s", said.text,
			outcome.stats.closed[GB_CLOSE_CONNECT_FAILED]
				? "; connections that it makes are not established (connect_failed)"
				: "",
			*log ? "; the server said: " : "", log);
	}
}

/* Who is told of an end may say something, or make another end of it. */
static const struct {
	enum gb_close_reason why;
	enum verify_stage stage;
	enum verify_lesson_end end;
} ends[] = { { GB_CLOSE_IDLE, VERIFY_DROWSY, VERIFY_LESSON_WAIT },
	{ GB_CLOSE_READ_TIMEOUT, VERIFY_IMPATIENT, VERIFY_LESSON_WAIT },
	{ GB_CLOSE_DRAIN, VERIFY_LAST, VERIFY_LESSON_STOP } };
#define ENDS (sizeof(ends) / sizeof(*ends))

static bool is_told(const struct school *school, enum gb_close_reason why)
{
	const struct gb_service *service = school->target->service;

	if (service->serve) /* its reads return it */
		return why != GB_CLOSE_READ_TIMEOUT || school->learned->protocol.framed;
	if (why == GB_CLOSE_DRAIN)
		return service->on_drain;
	return service->on_error && (why == GB_CLOSE_IDLE || school->learned->protocol.framed);
}

/* Take what was heard beyond `known` bytes. The second time it must be the same. Returns 0 or -EBADMSG. */
static int take_last(struct school *school, struct verify_last *last, size_t known, bool second)
{
	const struct verify_bytes *heard = &school->lesson.heard;
	size_t size = heard->size - known;

	if (heard->size < known ||
		(second &&
			(size != last->words.size ||
				(size > 0 && memcmp(heard->data + known, last->words.data, size) != 0))))
		return -EBADMSG;
	if (!second && size > 0)
		gb__verify_bytes_append(&last->words, heard->data + known, size);
	last->reason = school->lesson.reason;
	last->by_reset |= school->lesson.by_reset;
	return 0;
}

/* What a connection hears beyond the answers to `count` messages. Returns 0, or why it cannot be known. */
static int hear_last(struct school *school, size_t row, size_t count)
{
	struct learned *learned = school->learned;
	const struct messages *messages = &learned->messages;
	struct verify_bytes sent = { 0 };
	size_t known = learned->greeting.size;
	struct gb_error error;
	int result;

	append_messages(messages, count, &sent);
	for (size_t i = 0; i < count; i++)
		known += learned->answers[i % messages->count].size;
	if (ends[row].why == GB_CLOSE_READ_TIMEOUT) {
		const struct gb_bytes *next = &messages->list[count % messages->count];

		gb__verify_bytes_append(&sent, next->data, next->size - 1);
	}
	result = start(school, ends[row].stage, &error);
	if (result == 0)
		result = gb__verify_lesson_hold(&school->lesson, &sent, ends[row].end, &error);
	gb__verify_bytes_finish(&sent);
	if (school->subject.pid >= 0)
		gb__verify_subject_stop(&school->subject);
	end(school, 0, NULL);
	return result < 0 ? result : take_last(school, &learned->last[ends[row].why], known, count > 0);
}

static void learn_last(struct school *school)
{
	struct learned *learned = school->learned;

	for (size_t row = 0; row < ENDS; row++) {
		struct verify_last *last = &learned->last[ends[row].why];

		last->reason = ends[row].why;
		if (is_told(school, ends[row].why))
			last->varies = hear_last(school, row, 0) < 0 ||
				hear_last(school, row, learned->messages.count) < 0;
	}
	learned->protocol.last = learned->last;
}

static int attend(struct school *school, struct gb_error *error)
{
	int result;

	choose_model(school->target->service, school->model, sizeof(school->model));
	result = start(school, VERIFY_PATIENT, error);
	if (result == 0) {
		result = learn_all(school, error);
		gb__verify_subject_stop(&school->subject);
		if (result < 0)
			gb__verify_subject_stop(&school->subject); /* at once */
	}
	end(school, result, error);
	if (result == 0)
		learn_last(school);
	return result;
}

static int create(const struct verify_target *target, const struct messages *given, bool brief,
	struct learned **ret, struct gb_error *error)
{
	const struct gb_service *service = target->service;
	struct learned *learned;
	int result;

	if (given->count > LEARNED_MESSAGES_MAX)
		return gb_error_set(
			error, -GB_EUSAGE, "at most %d messages can be verified", LEARNED_MESSAGES_MAX);
	learned = gb__verify_grow(NULL, 1, sizeof(*learned));
	*learned = (struct learned){ .protocol = { .service = service->name,
					     .begin = begin,
					     .exchange = exchange,
					     .coded = service->codec } };
	*ret = learned;
	result = gb__suit_messages(service, given, brief, "", &learned->messages, error);
	if (result < 0)
		return result;
	learned->answers = gb__verify_grow(NULL, learned->messages.count, sizeof(*learned->answers));
	memset(learned->answers, 0, learned->messages.count * sizeof(*learned->answers));
	learned->protocol.framed = gb__suit_framed(service, &learned->messages);
	learned->protocol.incomplete = learned->protocol.framed ? incomplete : NULL;
	return 0;
}

/*
 * Of services without a codec: the end behind which it answers. A straight-line one may read up to something, and would
 * hear the whole connection as one message.
 */
static const char *find_end(struct school *school, const struct messages *none)
{
	const char *const *row = gb__suit_ends, *found = NULL;
	struct gb_error error;
	size_t greeting = 0;

	choose_model(school->target->service, school->model, sizeof(school->model));
	if (start(school, VERIFY_PATIENT, &error) == 0 &&
		gb__verify_lesson_hold(
			&school->lesson, &(struct verify_bytes){ 0 }, VERIFY_LESSON_FIN, &error) == 0)
		greeting = school->lesson.heard.size;
	else
		found = *row;
	for (; *row && !found; row++) {
		struct messages messages = { 0 };
		struct verify_bytes sent = { 0 };

		if (gb__suit_messages(school->target->service, none, true, *row, &messages, &error) == 0)
			append_messages(&messages, messages.count, &sent);
		if (gb__verify_lesson_hold(&school->lesson, &sent, VERIFY_LESSON_FIN, &error) < 0)
			found = *gb__suit_ends;
		else if (school->lesson.heard.size > greeting)
			found = *row;
		gb__verify_bytes_finish(&sent);
		gb__messages_finish(&messages);
	}
	if (school->subject.pid >= 0)
		gb__verify_subject_stop(&school->subject);
	end(school, 0, NULL);
	return found ? found : *gb__suit_ends;
}

/* Whether nothing was wrong before the last message was said. */
static bool failed_by_last(const struct school *school)
{
	return !school->learned->answers || school->asked >= school->learned->messages.count;
}

static int create_and_ask(
	struct school *school, const struct messages *given, bool brief, struct gb_error *error)
{
	const struct gb_service *service = school->target->service;
	int result = create(school->target, given, brief, &school->learned, error);

	if (result == 0 && school->patience_ms > 0 && !service->codec && gb__suit_usual(service, given)) {
		const char *end = find_end(school, given);
		struct messages *messages = &school->learned->messages;

		gb__messages_finish(messages);
		result = gb__suit_messages(service, given, brief, end, messages, error);
	}
	if (result == 0 && school->patience_ms > 0)
		result = attend(school, error);
	gb__verify_bytes_finish(&school->before);
	gb__verify_bytes_finish(&school->lesson.heard);
	return result;
}

int gb__learned_create(const struct verify_target *target, const struct messages *messages,
	unsigned patience_ms, struct verify_protocol **ret, struct gb_error *error)
{
	struct school school = { .target = target, .patience_ms = patience_ms };
	int result = create_and_ask(&school, messages, false, error);

	/* The long one is for those alone who take it. */
	if (result == -GB_EUSAGE && school.learned && gb__suit_usual(target->service, messages) &&
		failed_by_last(&school)) {
		gb__learned_destroy(&school.learned->protocol);
		school = (struct school){ .target = target, .patience_ms = patience_ms };
		result = create_and_ask(&school, messages, true, error);
	}
	if (result < 0 && school.learned)
		gb__learned_destroy(&school.learned->protocol);
	else if (result == 0)
		*ret = &school.learned->protocol;
	return result;
}

void gb__learned_destroy(struct verify_protocol *protocol)
{
	struct learned *learned = (struct learned *)protocol;

	if (!learned)
		return;
	for (size_t i = 0; learned->answers && i < learned->messages.count; i++)
		gb__verify_bytes_finish(&learned->answers[i]);
	for (size_t i = 0; i < GB_CLOSE_REASON_COUNT; i++)
		gb__verify_bytes_finish(&learned->last[i].words);
	free(learned->answers);
	gb__verify_bytes_finish(&learned->greeting);
	gb__messages_finish(&learned->messages);
	free(learned);
}
