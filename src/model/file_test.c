/* Files in both styles, under every preset. */
#include "base/macros.h"
#include "harness.h"
#include "model/server_test_driver.h"

#include <gearbox/file.h>
#include <gearbox/stream.h>
#include <gearbox/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT "a line that a disk keeps\n"
#define LARGE 400000

/* A request is the name of a file; it is made, filled, looked at and removed, and the answer is what it all came to. */
struct job {
	struct gb_handle conn;
	struct gb_file_operation file;
	struct gb_file_stat stat;
	struct gb_file_sending sending;
	char path[64], to[128], copy[64];
	int fd;
	unsigned step;
};

static void answer(struct gb_conn *conn, int result)
{
	gb_conn_printf(conn, "%d\n", result);
}

static void next(struct gb_operation *operation, void *user);

/* The chain of a callback handler: each operation begins the next. */
static void go_on(struct gb_worker *worker, struct job *job)
{
	switch (job->step++) {
	case 0:
		gb_file_open_begin(worker, &job->file, job->path, O_RDWR | O_CREAT, 0600, next, job);
		break;
	case 1:
		gb_file_write_begin(worker, &job->file, job->fd, TEXT, strlen(TEXT), 0, next, job);
		break;
	case 2:
		gb_file_sync_begin(worker, &job->file, job->fd, false, next, job);
		break;
	case 3:
		gb_file_rename_begin(worker, &job->file, job->path, job->to, next, job);
		break;
	case 4:
		gb_file_stat_begin(worker, &job->file, job->to, -1, &job->stat, next, job);
		break;
	case 5:
		gb_file_read_begin(worker, &job->file, job->fd, job->copy, sizeof(job->copy), 0, next, job);
		break;
	case 6:
		gb_file_unlink_begin(worker, &job->file, job->to, next, job);
		break;
	default:
		gb_file_close_begin(worker, &job->file, job->fd, next, job);
	}
}

static void next(struct gb_operation *operation, void *user)
{
	struct job *job = user;
	struct gb_conn *conn = gb_handle_conn(job->conn);
	int result = gb_operation_result(operation);

	if (job->step == 1)
		job->fd = result;
	if (job->step == 6)
		CHECK(result == (int)strlen(TEXT) && memcmp(job->copy, TEXT, strlen(TEXT)) == 0);
	if (result >= 0 && job->step < 8) {
		go_on(operation->worker, job);
		return;
	}
	answer(conn, result < 0 ? result : (int)job->stat.size);
	gb_conn_release(conn);
	free(job);
}

static void closed(struct gb_operation *operation, void *user)
{
	CHECK_INT(gb_operation_result(operation), 0);
	free(user);
}

static void is_sent(struct gb_operation *operation, void *user)
{
	struct job *job = user;

	CHECK_INT(gb_operation_result(operation), 0);
	CHECK_INT(job->sending.sent, LARGE);
	gb_file_close_begin(operation->worker, &job->file, job->fd, closed, job);
}

static void is_open(struct gb_operation *operation, void *user)
{
	struct job *job = user;
	struct gb_conn *conn = gb_handle_conn(job->conn);

	job->fd = gb_operation_result(operation);
	CHECK(job->fd >= 0 && conn);
	gb_conn_send_file_begin(conn, &job->sending, job->fd, 0, UINT64_MAX, is_sent, job);
	gb_conn_release(conn); /* what is sent holds it */
}

static void begin(struct gb_conn *conn, int status, void *arg)
{
	struct job *job = calloc(1, sizeof(*job)); /* it outlives its connection, if that is reset */

	CHECK(job && status == 0);
	snprintf(job->path, sizeof(job->path), "%s", (char *)arg);
	snprintf(job->to, sizeof(job->to), "%s.renamed", (char *)arg);
	free(arg);
	job->conn = gb_conn_handle(conn);
	gb_conn_hold(conn);
	if (job->path[0] == '=')
		gb_file_open_begin(
			gb_conn_worker(conn), &job->file, job->path + 1, O_RDONLY, 0, is_open, job);
	else
		go_on(gb_conn_worker(conn), job);
}

/* Under compute=threads it is not on the worker's thread, where operations begin. */
static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	CHECK_INT(gb_handle_post(
			  gb_conn_handle(conn), begin, strndup((const char *)message.data, message.size)),
		0);
}

static const struct gb_service by_callbacks = { GB_SERVICE_INIT, .name = "files", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_message = on_message };

static int in_line(struct gb_coro *coro, const char *path)
{
	struct gb_file_stat stat = { 0 };
	char to[128], copy[64];
	int fd = gb_file_open(coro, path, O_RDWR | O_CREAT, 0600), result;

	if (fd < 0)
		return fd;
	snprintf(to, sizeof(to), "%s.renamed", path);
	result = gb_file_write(coro, fd, TEXT, strlen(TEXT), 0);
	if (result >= 0)
		result = gb_file_sync(coro, fd, false);
	if (result >= 0)
		result = gb_file_rename(coro, path, to);
	if (result >= 0)
		result = gb_file_stat(coro, to, -1, &stat);
	if (result >= 0)
		result = gb_file_read(coro, fd, copy, sizeof(copy), 0);
	if (result >= 0) {
		CHECK(result == (int)strlen(TEXT) && memcmp(copy, TEXT, strlen(TEXT)) == 0);
		result = gb_file_unlink(coro, to);
	}
	CHECK_INT(gb_file_close(coro, fd), 0);
	return result < 0 ? result : (int)stat.size;
}

/* Whole, and by parts: the same. */
static void send_in_line(struct gb_stream *stream, const char *path)
{
	struct gb_coro *coro = gb_stream_coro(stream);
	struct gb_file_load load;
	int fd = gb_file_open(coro, path, O_RDONLY, 0);

	CHECK(fd >= 0);
	CHECK_INT(gb_write_file(stream, fd, 0, LARGE / 2), LARGE / 2);
	CHECK_INT(gb_file_close(coro, fd), 0);
	CHECK_INT(gb_file_load(coro, path, LARGE - 1, &load), -EFBIG);
	CHECK_INT(gb_file_load(coro, path, LARGE, &load), LARGE);
	gb_write(stream, load.data + LARGE / 2, LARGE / 2);
	gb_file_load_free(&load);
}

static void serve(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		char path[64];

		snprintf(path, sizeof(path), "%.*s", (int)line.size, (const char *)line.data);
		if (path[0] == '=')
			send_in_line(stream, path + 1);
		else
			gb_write_format(stream, "%d\n", in_line(gb_stream_coro(stream), path));
	}
}

static const struct gb_service straight = { GB_SERVICE_INIT, .name = "files", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .serve = serve };

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 253);
}

/* The file is made here, and comes twice, the second time asked for before the first is read. */
static void sent(int client, const char *folder)
{
	static char data[LARGE], got[2 * LARGE];
	char path[64], text[256];
	int fd;

	for (size_t i = 0; i < LARGE; i++)
		data[i] = (char)byte_at(i);
	snprintf(path, sizeof(path), "%s/large", folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(write(fd, data, LARGE) == LARGE);
	close(fd);
	snprintf(text, sizeof(text), "=%s\n=%s\n", path, path);
	driver_send(client, text);
	CHECK_INT(driver_receive(client, got, sizeof(got)), sizeof(got));
	CHECK(memcmp(got, data, LARGE) == 0 && memcmp(got + LARGE, data, LARGE) == 0);
	CHECK(unlink(path) == 0);
}

static void asked(const char *model, const struct gb_service *service)
{
	struct gb_server *server = driver_server(model, service, NULL);
	pid_t pid = driver_host(server);
	char folder[] = "/tmp/gearbox-files-XXXXXX", text[128], size[16];
	int client = driver_client(server);

	CHECK(mkdtemp(folder));
	snprintf(text, sizeof(text), "%s/f\n", folder);
	snprintf(size, sizeof(size), "%zu\n", strlen(TEXT));
	driver_ask(client, text, size);
	driver_ask(client, text, size); /* whatever the first has made serves the second */
	snprintf(text, sizeof(text), "%s/none/f\n", folder);
	driver_ask(client, text, "-2\n");
	sent(client, folder);
	close(client);
	driver_finish(server, pid);
	CHECK(rmdir(folder) == 0); /* nothing is left in it */
}

static void run(const char *model)
{
	asked(model, &by_callbacks);
	asked(model, &straight);
}

TEST(files_are_operated_on_in_both_styles)
{
	driver_each_preset(run);
}
