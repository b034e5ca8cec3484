/*
 * A logger: each line that a client sends is appended to a file, and answered with "ok" once it is stored, or with what
 * kept it from that. The same twice: by callbacks (logger) and from top to bottom (logger-sequential).
 *
 * Lines of all connections of a worker go through one appender: those that wait for the disk are written together. Workers
 * have an appender each, on the same file.
 */
#include <gearbox/gearbox.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
	char *file;
	bool sync;
};

static const struct gb_setting settings[] = { { "file", GB_SETTING_TEXT, offsetof(struct settings, file),
						      "/dev/null", 0, 0, NULL, "PATH",
						      "what lines are appended to" },
	{ "sync", GB_SETTING_SWITCH, offsetof(struct settings, sync), "no", 0, 0, NULL, NULL,
		"whether they are on the disk before they are answered" },
	{ NULL } };

static int on_start(struct gb_worker *worker, void *user)
{
	const struct settings *set = user;
	int fd = open(set->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), result;
	struct gb_appender *appender;

	if (fd < 0)
		return -errno;
	result = gb_appender_create(worker, fd, set->sync ? GB_APPENDER_SYNC : 0, &appender);
	if (result < 0) {
		close(fd);
		return result;
	}
	return gb_worker_set_data(worker, user, appender); /* one for each file */
}

static void on_stop(struct gb_worker *worker, void *user)
{
	struct gb_appender *appender = gb_worker_data(worker, user);

	if (!appender)
		return;
	close(gb_appender_fd(appender));
	gb_appender_destroy(appender);
}

/* By callbacks: what is appended stays until it is stored, and the answers keep the order of the lines. */

struct record {
	struct gb_append append;
	struct gb_reply reply;
	char line[];
};

static void stored(struct gb_operation *operation, void *user)
{
	int result = gb_operation_result(operation);
	struct record *record = user;

	gb_reply_printf(record->reply, "%s\n", result < 0 ? gb_strerror(result) : "ok");
	gb_reply_finish(record->reply, NULL, 0);
	free(record);
}

static void on_message(struct gb_conn *conn, struct gb_bytes line)
{
	struct gb_appender *appender = gb_worker_data(gb_conn_worker(conn), gb_conn_user(conn));
	struct record *record = calloc(1, sizeof(*record) + line.size + 1);

	if (!record || gb_conn_defer(conn, &record->reply) < 0) {
		free(record);
		gb_conn_abort(conn);
		return;
	}
	memcpy(record->line, line.data, line.size);
	record->line[line.size] = '\n';
	gb_append_begin(appender, &record->append, record->line, line.size + 1, stored, record);
}

/* From top to bottom: the line stays where it is until the next is read, with its end behind it. */

static void serve(struct gb_stream *stream)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_appender *appender = gb_worker_data(gb_coro_worker(coro), gb_stream_user(stream));
	char line[4096];
	struct gb_bytes got;
	int result;

	while (gb_read_message(stream, &got) > 0) {
		int size = snprintf(line, sizeof(line), "%.*s\n", (int)got.size, (const char *)got.data);

		result = size < (int)sizeof(line) ? gb_append(coro, appender, line, (size_t)size) : -EMSGSIZE;
		gb_write_format(stream, "%s\n", result < 0 ? gb_strerror(result) : "ok");
	}
}

static const char *const samples[] = { "a line", "another", "a third", NULL };
static const struct gb_service logger = { GB_SERVICE_INIT, .name = "logger",
	.summary = "appends lines to a file", .codec = &gb_codec_line, .state = GB_STATE_WORKER,
	.traits = GB_TRAIT_STATE_APART, .samples = samples, .settings = settings,
	.settings_size = sizeof(struct settings), .on_start = on_start, .on_stop = on_stop,
	.on_message = on_message };
static const struct gb_service logger_sequential = { GB_SERVICE_INIT, .name = "logger-sequential",
	.summary = "logger, from top to bottom", .codec = &gb_codec_line, .state = GB_STATE_WORKER,
	.traits = GB_TRAIT_STATE_APART, .samples = samples, .settings = settings,
	.settings_size = sizeof(struct settings), .on_start = on_start, .on_stop = on_stop, .serve = serve };

int main(int argc, char **argv)
{
	return gb_main_services(
		argc, argv, (const struct gb_service *const[]){ &logger, &logger_sequential, NULL });
}
