/* Operations on files of the real kernel, carried out by a ring, by threads, and by the loop's own thread. */
#include "file/file.h"

#include "base/macros.h"
#include "file/threads.h"
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct gb__loop loop;
static struct gb__files files;
static struct gb__file_threads *threads;
static char folder[] = "/tmp/gearbox-file-XXXXXX";
static unsigned told;

static int submit(void *arg, struct gb__file_job *job)
{
	return gb__file_threads_submit(arg, job);
}

static const char *path(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

/* Returns false where this machine has no such engine. */
static bool begin(const char *engine_name)
{
	struct gb__engine *engine;
	struct gb_error error;

	if (gb__engine_create(
		    engine_name, (struct gb__engine_options){ .os = &gb__os_linux }, &engine, &error) < 0)
		return false;
	CHECK(mkdtemp(folder));
	gb__loop_init(&loop, engine);
	files = (struct gb__files){ .loop = &loop };
	if (strcmp(engine_name, "epoll") == 0) {
		threads = gb__file_threads_create(0);
		files.submit = submit;
		files.submit_arg = threads;
	}
	return true;
}

static void finish(void)
{
	CHECK_INT(files.under_way, 0);
	gb__loop_finish(&loop);
	gb__file_threads_destroy(threads);
	CHECK(rmdir(folder) == 0);
}

static void run(const char *name, void (*body)(void))
{
	if (!begin(name))
		return;
	body();
	finish();
}

#define FILE_TEST(name) \
	static void name(void); \
	TEST(name##_by_the_ring) \
	{ \
		run("io_uring", name); \
	} \
	TEST(name##_by_threads) \
	{ \
		run("epoll", name); \
	} \
	TEST(name##_at_once) \
	{ \
		run("blocking", name); \
	} \
	static void name(void)

static void on_done(struct gb_operation *operation, void *user)
{
	CHECK(!gb_operation_pending(operation));
	told++;
	*(int *)user = gb_operation_result(operation);
}

#define PENDING INT32_MIN

static void turn_until(const int *result)
{
	while (*result == PENDING)
		gb__loop_turn(&loop, -1);
}

/* The result of one that is begun with on_done and &result. */
#define OUTCOME(begin) \
	({ \
		int result = PENDING; \
		struct gb_operation *begun = begin; \
		CHECK(gb_operation_pending(begun)); /* never told inside */ \
		turn_until(&result); \
		result; \
	})

FILE_TEST(a_file_is_made_written_read_renamed_and_removed)
{
	static char data[100000], copy[sizeof(data)];
	struct gb_file_operation file = { 0 };
	struct gb_file_stat stat = { 0 }, again = { 0 };
	int fd;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 % 251);
	fd = OUTCOME(
		gb__file_open(&files, &file, path("new"), O_RDWR | O_CREAT | O_EXCL, 0600, on_done, &result));
	CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	CHECK_INT(OUTCOME(gb__file_write(&files, &file, fd, data, sizeof(data), 0, on_done, &result)),
		sizeof(data));
	CHECK_INT(file.done, sizeof(data));
	CHECK_INT(OUTCOME(gb__file_write(&files, &file, fd, "xy", 2, 50, on_done, &result)), 2);
	data[50] = 'x';
	data[51] = 'y';
	CHECK_INT(OUTCOME(gb__file_sync(&files, &file, fd, true, on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_sync(&files, &file, fd, false, on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_read(&files, &file, fd, copy, sizeof(copy), 0, on_done, &result)),
		sizeof(copy));
	CHECK(memcmp(copy, data, sizeof(data)) == 0);
	CHECK_INT(OUTCOME(gb__file_read(&files, &file, fd, copy, 10, sizeof(data), on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_stat(&files, &file, NULL, fd, &stat, on_done, &result)), 0);
	CHECK_INT(stat.size, sizeof(data));
	CHECK_INT(stat.mode, S_IFREG | 0600);
	CHECK_INT(OUTCOME(gb__file_rename(&files, &file, path("new"), path("old"), on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_stat(&files, &file, path("old"), -1, &again, on_done, &result)), 0);
	CHECK(again.inode == stat.inode && again.device == stat.device &&
		again.modified_ns == stat.modified_ns);
	CHECK_INT(OUTCOME(gb__file_unlink(&files, &file, path("old"), on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_close(&files, &file, fd, on_done, &result)), 0);
	CHECK_INT(fcntl(fd, F_GETFD), -1);
	CHECK_INT(told, 12);
}

FILE_TEST(what_is_here_is_the_end_of_a_file_that_is_appended_to)
{
	struct gb_file_operation file = { 0 };
	char texts[] = "bcdef", copy[8];
	const struct iovec parts[] = { { texts, 2 }, { texts, 0 }, { texts + 2, 3 } };
	int fd = OUTCOME(gb__file_open(
		&files, &file, path("log"), O_RDWR | O_CREAT | O_APPEND, 0600, on_done, &result));

	CHECK_INT(OUTCOME(gb__file_write(&files, &file, fd, "", 0, GB_FILE_HERE, on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_write(&files, &file, fd, "a", 1, GB_FILE_HERE, on_done, &result)), 1);
	CHECK_INT(OUTCOME(gb__file_write_parts(&files, &file, fd, parts, 3, on_done, &result)), 5);
	CHECK_INT(OUTCOME(gb__file_read(&files, &file, fd, copy, 8, 0, on_done, &result)), 6);
	CHECK(memcmp(copy, "abcdef", 6) == 0);
	CHECK_INT(OUTCOME(gb__file_unlink(&files, &file, path("log"), on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_close(&files, &file, fd, on_done, &result)), 0);
}

FILE_TEST(what_the_kernel_refuses_is_told)
{
	struct gb_file_operation file = { 0 };
	struct gb_file_stat stat = { 0 };
	char byte;
	int fd;

	CHECK_INT(
		OUTCOME(gb__file_open(&files, &file, path("none"), O_RDONLY, 0, on_done, &result)), -ENOENT);
	CHECK_INT(OUTCOME(gb__file_stat(&files, &file, path("none"), -1, &stat, on_done, &result)), -ENOENT);
	CHECK_INT(OUTCOME(gb__file_unlink(&files, &file, path("none"), on_done, &result)), -ENOENT);
	CHECK_INT(OUTCOME(gb__file_rename(&files, &file, path("none"), path("some"), on_done, &result)),
		-ENOENT);
	CHECK_INT(OUTCOME(gb__file_read(&files, &file, -1, &byte, 1, 0, on_done, &result)), -EBADF);
	CHECK_INT(OUTCOME(gb__file_sync(&files, &file, -1, false, on_done, &result)), -EBADF);
	CHECK_INT(OUTCOME(gb__file_close(&files, &file, -1, on_done, &result)), -EBADF);
	fd = OUTCOME(gb__file_open(&files, &file, "/dev/full", O_WRONLY, 0, on_done, &result));
	CHECK_INT(OUTCOME(gb__file_write(&files, &file, fd, "abc", 3, 0, on_done, &result)), -ENOSPC);
	CHECK_INT(file.done, 0);
	CHECK_INT(OUTCOME(gb__file_write(&files, &file, fd, "", (size_t)1 << 40, 0, on_done, &result)),
		-EINVAL);
	CHECK_INT(OUTCOME(gb__file_close(&files, &file, fd, on_done, &result)), 0);
}

/* More at once than there are threads, or entries in the ring: all are told, each once. */
FILE_TEST(many_are_under_way_at_once)
{
	enum { MANY = 700 };
	static struct gb_file_operation many[MANY];
	static int results[MANY];
	struct gb_file_operation file = { 0 };
	char byte[MANY];
	int fd =
		OUTCOME(gb__file_open(&files, &file, path("many"), O_RDWR | O_CREAT, 0600, on_done, &result));

	told = 0;
	for (int i = 0; i < MANY; i++) {
		byte[i] = (char)i;
		results[i] = PENDING;
		gb__file_write(&files, &many[i], fd, &byte[i], 1, i, on_done, &results[i]);
	}
	CHECK_INT(told, 0);
	CHECK_INT(files.under_way, MANY);
	for (int i = 0; i < MANY; i++) {
		turn_until(&results[i]);
		CHECK_INT(results[i], 1);
	}
	CHECK_INT(told, MANY);
	for (int i = 0; i < MANY; i++) {
		char back;

		CHECK(pread(fd, &back, 1, i) == 1 && back == (char)i);
	}
	CHECK_INT(OUTCOME(gb__file_unlink(&files, &file, path("many"), on_done, &result)), 0);
	CHECK_INT(OUTCOME(gb__file_close(&files, &file, fd, on_done, &result)), 0);
}

static bool is_open(long call)
{
#ifdef SYS_open /* musl's, where there is one */
	if (call == SYS_open)
		return true;
#endif
	return call == SYS_openat;
}

/* Threads of this process that are inside an open; `enough` where the kernel does not tell. */
static unsigned opening(unsigned enough)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	unsigned count = 0;

	CHECK(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char name[64], line[64] = "";
		FILE *file;

		snprintf(name, sizeof(name), "/proc/self/task/%.20s/syscall", entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(name, "re");
		if (!file)
			continue;
		if (!fgets(line, sizeof(line), file))
			count = enough;
		fclose(file);
		count += is_open(strtol(line, NULL, 10));
	}
	closedir(tasks);
	return count;
}

/* Opening a FIFO takes a thread until somebody opens its other end. */
TEST(a_cancelled_open_leaves_no_descriptor)
{
	struct gb_file_operation opens[GB__FILE_THREADS_MAX], behind = { 0 };
	int results[GB__FILE_THREADS_MAX], result = PENDING, writer, free_fd;

	CHECK(begin("epoll"));
	free_fd = dup(0);
	close(free_fd);
	CHECK(mkfifo(path("fifo"), 0600) == 0);
	for (unsigned i = 0; i < GB__FILE_THREADS_MAX; i++) {
		results[i] = PENDING;
		gb__file_open(&files, &opens[i], path("fifo"), O_RDONLY, 0, on_done, &results[i]);
	}
	while (opening(GB__FILE_THREADS_MAX) < GB__FILE_THREADS_MAX)
		sched_yield();
	/* It waits for a thread, and so its turn never comes. */
	gb__file_open(&files, &behind, path("never"), O_WRONLY | O_CREAT, 0600, on_done, &result);
	gb_operation_cancel(&behind.operation);
	gb_operation_cancel(&behind.operation); /* once more does no harm */
	for (unsigned i = 0; i < GB__FILE_THREADS_MAX; i++)
		gb_operation_cancel(&opens[i].operation);
	gb__loop_turn(&loop, 0);
	CHECK_INT(told, 0);
	/* They are not called off: they succeed, and nothing of them is left. (O_RDWR waits for nobody.) */
	writer = open(path("fifo"), O_RDWR);
	CHECK(writer >= 0);
	for (unsigned i = 0; i < GB__FILE_THREADS_MAX; i++) {
		turn_until(&results[i]);
		CHECK_INT(results[i], -ECANCELED);
	}
	turn_until(&result);
	CHECK_INT(result, -ECANCELED);
	CHECK(access(path("never"), F_OK) != 0);
	close(writer);
	CHECK_INT(dup(0), free_fd); /* the lowest that is free, as before */
	close(free_fd);
	CHECK(unlink(path("fifo")) == 0);
	finish();
}

TEST(a_ring_gives_up_what_is_cancelled_and_waits)
{
	struct gb_file_operation file = { 0 };
	int ends[2], result = PENDING;
	char byte;

	if (!begin("io_uring"))
		return;
	CHECK(pipe(ends) == 0);
	gb__file_read(&files, &file, ends[0], &byte, 1, GB_FILE_HERE, on_done, &result);
	gb__loop_turn(&loop, 0);
	CHECK_INT(told, 0);
	gb_operation_cancel(&file.operation);
	gb_operation_cancel(&file.operation);
	CHECK_INT(told, 0); /* never inside */
	turn_until(&result);
	CHECK_INT(result, -ECANCELED);
	/* Cancelled before the ring knew of it. */
	result = PENDING;
	gb__file_read(&files, &file, ends[0], &byte, 1, GB_FILE_HERE, on_done, &result);
	gb_operation_cancel(&file.operation);
	turn_until(&result);
	CHECK_INT(result, -ECANCELED);
	close(ends[0]);
	close(ends[1]);
	finish();
}
