#include "verify/runner.h"

#include "verify/compare.h"
#include "verify/specs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX 120u /* at once, where the model has no bound of its own */
#define TOLD_MAX 5u      /* differences of one server that are told one by one */

struct runner {
	const struct verify_program *program;
	const char *spec;
	int fd;
	unsigned differences; /* under the present server */
	bool over;            /* nothing more is to be run */
};

static void tell(const struct runner *runner, const struct verify_news *news)
{
	ssize_t written;

	do
		written = write(runner->fd, news, sizeof(*news));
	while (written < 0 && errno == EINTR);
}

static void tell_text(struct runner *runner, enum verify_news_kind kind, unsigned count, const char *text)
{
	struct verify_news news = { .kind = kind, .conversation = "server", .count = count };

	snprintf(news.text, sizeof(news.text), "%.*s", (int)sizeof(news.text) - 1, text);
	tell(runner, &news);
}

/* Tell it, unless many were told of this server already: those are counted alone. */
static void __attribute__((format(printf, 4, 5)))
differ(struct runner *runner, const char *conversation, unsigned number, const char *format, ...)
{
	struct verify_news news = { .kind = VERIFY_DIFFERENCE, .number = number, .count = 1 };
	va_list arguments;

	if (runner->differences++ >= TOLD_MAX)
		return;
	snprintf(news.conversation, sizeof(news.conversation), "%s", conversation);
	va_start(arguments, format);
	vsnprintf(news.text, sizeof(news.text), format, arguments);
	va_end(arguments);
	tell(runner, &news);
	if (runner->program->fail_fast)
		runner->over = true;
}

/* Play a stage's talks. Adds to what was noted before. Returns whether the server is still of use. */
static bool play(struct runner *runner, const struct verify_subject *subject, enum verify_stage stage,
	uint32_t first, struct verify_drive *drive)
{
	const struct verify_plan *plan = &runner->program->plans[stage];
	size_t capacity = gb__verify_spec_capacity(subject->model);

	*drive = (struct verify_drive){ .subject = subject,
		.talks = plan->talks,
		.count = plan->talks_count,
		.capacity = capacity < CLIENTS_MAX ? capacity : CLIENTS_MAX,
		.first = first,
		.tls = runner->program->target.tls,
		.stop = stage == VERIFY_LAST,
		.patience_ms = runner->program->patience_ms };
	gb__verify_drive_run(drive);
	return !drive->hung;
}

static void judge(struct runner *runner, const struct verify_drive *drive)
{
	char text[400];

	for (size_t i = 0; i < drive->count; i++)
		if (gb__verify_compare(drive->talks[i], &drive->transcripts[i], text, sizeof(text)))
			differ(runner, drive->talks[i]->conversation, drive->talks[i]->number, "%s", text);
	if (drive->strays > 0)
		differ(runner, "server", 0,
			"%u notes about connections that nobody made, the last from %u.%u.%u.%u",
			drive->strays, drive->stray >> 24, drive->stray >> 16 & 255, drive->stray >> 8 & 255,
			drive->stray & 255);
}

static void add_noted(struct gb_stats *sum, const struct gb_stats *noted)
{
	sum->accepted += noted->accepted;
	for (int i = 0; i < GB_CLOSE_REASON_COUNT; i++)
		sum->closed[i] += noted->closed[i];
}

/* The first line of a log that is more than a warning, or NULL: a sanitizer's report, say. */
static const char *beyond_warnings(const char *log)
{
	while (*log) {
		size_t size = strcspn(log, "|");

		if (!memmem(log, size, ": warning: ", strlen(": warning: ")))
			return log;
		log += size;
		log += *log == '|';
	}
	return NULL;
}

/* What the server says of itself at its end. Warnings are told only where something is wrong. */
static void judge_end(
	struct runner *runner, struct verify_subject *subject, const struct gb_stats *noted, bool hung)
{
	struct verify_outcome outcome;
	char text[200], log[2000];

	gb__verify_subject_end(subject, &outcome);
	if (*outcome.trouble)
		differ(runner, "server", 0, "at its end: %s", outcome.trouble);
	else if (!hung && gb__verify_compare_stats(&outcome.stats, noted, text, sizeof(text)))
		differ(runner, "server", 0, "%s", text);
	gb__verify_subject_log(subject, log, sizeof(log));
	if (beyond_warnings(log))
		differ(runner, "server", 0, "it said: %s", beyond_warnings(log));
	if (runner->differences > TOLD_MAX) {
		snprintf(text, sizeof(text), "and %u more", runner->differences - TOLD_MAX);
		tell_text(runner, VERIFY_DIFFERENCE, runner->differences - TOLD_MAX, text);
	}
	if (runner->differences > 0 && *log)
		tell_text(runner, VERIFY_REMARK, 0, log);
}

static bool refused_by_machine(int code)
{
	return code == -ENOTSUP || code == -EPERM || code == -ENOSYS;
}

/* It does not serve, for this reason. */
static void give_up(
	struct runner *runner, struct verify_subject *subject, int code, const struct gb_error *error)
{
	struct verify_outcome outcome;
	char log[2];

	gb__verify_subject_end(subject, &outcome);
	gb__verify_subject_log(subject, log, sizeof(log));
	if (refused_by_machine(code))
		tell_text(runner, VERIFY_SKIPPED, 0, error->text);
	else if (code == -GB_EUSAGE || code == -GB_EILLEGAL)
		tell_text(runner, VERIFY_WRONG, 0, error->text);
	else
		differ(runner, "server", 0, "it does not start: %.400s", error->text);
	runner->over = true;
}

/* One server: its stages one after another, the last of which may stop it. */
static void run_server(struct runner *runner, const enum verify_stage *stages, size_t count)
{
	struct verify_drive drives[VERIFY_STAGES] = { 0 };
	struct verify_subject subject;
	struct gb_stats noted = { 0 };
	struct gb_error error = { 0 };
	uint32_t first = 0;
	bool usable = true, stopped = false;
	int result =
		gb__verify_subject_start(&subject, runner->spec, &runner->program->target, stages[0], &error);

	runner->differences = 0;
	if (result < 0) {
		give_up(runner, &subject, result, &error);
		return;
	}
	for (size_t i = 0; i < count && usable; i++) {
		usable = play(runner, &subject, stages[i], first, &drives[i]);
		first += (uint32_t)drives[i].count;
		stopped = stages[i] == VERIFY_LAST && drives[i].count > 0;
	}
	if (!stopped)
		gb__verify_subject_stop(&subject);
	if (!usable)
		gb__verify_subject_stop(&subject); /* at once: what hangs would not drain */
	for (size_t i = 0; i < count; i++) {
		judge(runner, &drives[i]);
		add_noted(&noted, &drives[i].noted);
	}
	judge_end(runner, &subject, &noted, !usable);
	for (size_t i = 0; i < count; i++)
		gb__verify_drive_finish(&drives[i]);
	runner->over |= !usable;
}

void gb__verify_runner_run(const struct verify_program *program, const char *spec, int fd)
{
	static const struct {
		enum verify_stage stages[2];
		size_t count;
	} servers[] = { { { VERIFY_PATIENT, VERIFY_LAST }, 2 }, { { VERIFY_IMPATIENT }, 1 },
		{ { VERIFY_DROWSY }, 1 } };
	struct runner runner = { .program = program, .spec = spec, .fd = fd };
	const struct verify_news done = { .kind = VERIFY_DONE };

	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers) && !runner.over; i++) {
		size_t talks = 0;

		for (size_t j = 0; j < servers[i].count; j++)
			talks += program->plans[servers[i].stages[j]].talks_count;
		if (talks > 0)
			run_server(&runner, servers[i].stages, servers[i].count);
	}
	tell(&runner, &done);
}
