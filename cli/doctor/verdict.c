#include "doctor/verdict.h"

#include "doctor/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sentence {
	char *text;
	size_t size, used;
};

static void say(struct sentence *sentence, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct sentence *sentence, const char *format, ...)
{
	size_t left = sentence->size - sentence->used;
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(sentence->text + sentence->used, left, format, arguments);
	va_end(arguments);
	if (size > 0)
		sentence->used += (size_t)size < left ? (size_t)size : left - 1;
}

static const struct finding *finding_of(const struct diagnosis *diagnosis, const char *key)
{
	for (size_t i = 0; i < diagnosis->finding_count; i++)
		if (strcmp(diagnosis->findings[i].key, key) == 0)
			return &diagnosis->findings[i];
	return NULL;
}

/* Whether it is due for `connections`, whoever they are; what only some need is in the lists. */
static bool concerns_all(const struct change *change, uint64_t connections)
{
	return change->connections == connections && !change->only_for;
}

static size_t count(const struct diagnosis *diagnosis, uint64_t connections)
{
	size_t sum = 0;

	for (size_t i = 0; i < diagnosis->change_count; i++)
		sum += concerns_all(&diagnosis->changes[i], connections);
	return sum;
}

static const char *separator(size_t at, size_t count)
{
	return at == 0 ? "" : at + 1 == count ? " and " : ", ";
}

/* What limits, by the rows of the table, then what to do about it. */
static void say_target(struct sentence *sentence, const struct diagnosis *diagnosis, uint64_t connections)
{
	size_t changes = count(diagnosis, connections), at = 0;
	char number[FORMAT_MAX];

	say(sentence, " %s connection%s", gb__format_count(connections, number), connections == 1 ? "" : "s");
	if (changes == 0) {
		say(sentence, " need%s nothing changed.", connections == 1 ? "s" : "");
		return;
	}
	say(sentence, " %s limited by ", connections == 1 ? "is" : "are");
	for (size_t i = 0; i < diagnosis->change_count; i++) {
		const struct change *change = &diagnosis->changes[i];
		const struct finding *finding;

		if (!concerns_all(change, connections))
			continue;
		finding = finding_of(diagnosis, change->key);
		say(sentence, "%s%s", separator(at++, changes), finding ? finding->label : change->key);
	}
	say(sentence, "; to change it: ");
	at = 0;
	for (size_t i = 0; i < diagnosis->change_count; i++)
		if (concerns_all(&diagnosis->changes[i], connections))
			say(sentence, "%s%s", at++ ? "; " : "", diagnosis->changes[i].text);
	say(sentence, ".");
}

void gb__diagnosis_verdict(const struct diagnosis *diagnosis, char *text, size_t size)
{
	struct sentence sentence = { .text = text, .size = size };
	const struct finding *ring = finding_of(diagnosis, "io_uring");

	*text = '\0';
	if (ring && ring->verdict == VERDICT_CANNOT)
		say(&sentence,
			"All models work here but those on io_uring (%s), for which engine=auto takes epoll.",
			ring->note);
	else
		say(&sentence, "All models work here.");
	for (size_t i = 0; i < diagnosis->change_count; i++)
		if (concerns_all(&diagnosis->changes[i], 0))
			say(&sentence, " For any number of connections: %s.", diagnosis->changes[i].text);
	for (size_t i = 0; i < diagnosis->target_count; i++)
		say_target(&sentence, diagnosis, diagnosis->targets[i]);
}
