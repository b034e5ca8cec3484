/* Files on the simulated kernel: a disk that is slow, short, interrupted, full and failing, under every engine. */
#include "rig.h"

#include "base/macros.h"
#include "file/appender.h"
#include "file/load.h"

#include <errno.h>
#include <fcntl.h>
#include <gearbox/stream.h>

#define DATA_MAX 4000u
#define APPENDS 60u
#define TRIES_MAX 10000u

/* What threads would do: some of the jobs in each turn of the world, in any order. */
struct disk {
	struct sim_actor actor;
	struct gb__file_job *jobs;
	struct rig *rig;
};

static struct disk disk;
static struct gb__files files;

static int submit(void *arg, struct gb__file_job *job)
{
	job->next = disk.jobs;
	disk.jobs = job;
	return 0;
}

static void act(struct sim_actor *actor, struct sim_kernel *kernel)
{
	struct gb__file_job **place = &disk.jobs;

	while (*place) {
		struct gb__file_job *job = *place;

		if (disk.rig->round > 0 && sim_random(kernel, 3) == 0) {
			place = &job->next;
			continue;
		}
		*place = job->next;
		job->run(job);
	}
}

static void begin(struct rig *rig)
{
	files = (struct gb__files){ .loop = &rig->loop };
	disk = (struct disk){ .actor = { .act = act, .wake_ns = UINT64_MAX }, .rig = rig };
	sim_actor_add(rig->sim, &disk.actor);
	if (!(rig->loop.engine->ops->caps & GB__ENGINE_ONE_STREAM))
		files.submit = submit;
	if (rig->round > 0)
		sim_profile_draw_files(&rig->profile, &rig->random);
	sim_kernel_set_profile(rig->sim, &rig->profile);
}

static void finish(struct rig *rig)
{
	CHECK_INT(files.under_way, 0);
	sim_actor_remove(rig->sim, &disk.actor);
}

/* As gb_await, however often the disk fails. */
#define INSISTS(coro, file, begin) \
	({ \
		int outcome; \
		unsigned tries = 0; \
		do { \
			outcome = gb_await(coro, begin); \
			CHECK(tries++ < TRIES_MAX); \
		} while (outcome == -EIO || outcome == -ENOSPC); \
		outcome; \
	})

static bool over;

static void run_alone(struct rig *rig, gb_coro_run *test)
{
	begin(rig);
	over = false;
	CHECK_INT(gb__coro_start(&rig->streams, "test", test, rig, NULL), 0);
	UNTIL(rig, NULL, over);
	UNTIL(rig, NULL, rig->net.coroutines == 0);
	finish(rig);
}

static int lives(struct gb_coro *coro, void *arg)
{
	struct rig *rig = arg;
	struct gb_file_operation file = { 0 };
	struct gb_file_stat stat;
	unsigned char data[DATA_MAX], copy[DATA_MAX];
	size_t size = 1 + test_random(&rig->random) % DATA_MAX, done = 0;
	int fd, result;

	for (size_t i = 0; i < size; i++)
		data[i] = pattern_at(i);
	CHECK_INT(gb_await(coro, gb__file_open(&files, &file, "a", O_RDWR, 0, NULL, NULL)), -ENOENT);
	fd = gb_await(coro, gb__file_open(&files, &file, "a", O_RDWR | O_CREAT, 0600, NULL, NULL));
	CHECK(fd >= 0);
	/* What was written counts also where the rest failed. */
	do {
		result = gb_await(coro,
			gb__file_write(
				&files, &file, fd, data + done, size - done, (int64_t)done, NULL, NULL));
		CHECK(result == -EIO || result == -ENOSPC || result == (int)(size - done));
		CHECK(file.done <= size - done);
		done += file.done;
	} while (result < 0);
	CHECK_INT(done, size);
	CHECK_INT(INSISTS(coro, file, gb__file_sync(&files, &file, fd, true, NULL, NULL)), 0);
	CHECK_INT(sim_file_synced(rig->sim, "a"), size);
	CHECK_INT(gb_await(coro, gb__file_stat(&files, &file, NULL, fd, &stat, NULL, NULL)), 0);
	CHECK_INT(stat.size, size);
	for (done = 0; done < size; done += (size_t)result) {
		result = INSISTS(coro, file,
			gb__file_read(
				&files, &file, fd, copy + done, size - done, (int64_t)done, NULL, NULL));
		CHECK(result > 0);
	}
	CHECK(memcmp(copy, data, size) == 0);
	CHECK_INT(
		INSISTS(coro, file, gb__file_read(&files, &file, fd, copy, size, (int64_t)size, NULL, NULL)),
		0);
	CHECK_INT(gb_await(coro, gb__file_rename(&files, &file, "a", "b", NULL, NULL)), 0);
	CHECK_INT(gb_await(coro, gb__file_stat(&files, &file, "a", -1, &stat, NULL, NULL)), -ENOENT);
	CHECK_INT(gb_await(coro, gb__file_stat(&files, &file, "b", -1, &stat, NULL, NULL)), 0);
	CHECK_INT(gb_await(coro, gb__file_unlink(&files, &file, "b", NULL, NULL)), 0);
	CHECK_INT(gb_await(coro, gb__file_close(&files, &file, fd, NULL, NULL)), 0);
	over = true;
	return 0;
}

NET_TEST(a_file_lives_on_a_bad_disk)
{
	run_alone(rig, lives);
}

/* An open that is cancelled at any moment is an open or leaves nothing: the rig counts descriptors. */
NET_TEST(a_cancelled_call_is_complete_once_and_leaves_nothing)
{
	struct gb_file_operation opens[20] = { 0 };

	begin(rig);
	for (unsigned i = 0; i < 20; i++)
		gb__file_open(&files, &opens[i], "a", O_RDWR | O_CREAT, 0600, NULL, NULL);
	for (unsigned i = 0; i < 20; i++) {
		if (test_random(&rig->random) % 2)
			rig_step(rig, NULL);
		if (test_random(&rig->random) % 2)
			gb_operation_cancel(&opens[i].operation);
	}
	UNTIL(rig, NULL, files.under_way == 0);
	for (unsigned i = 0; i < 20; i++) {
		int fd = gb_operation_result(&opens[i].operation);

		CHECK(fd >= 0 || fd == -ECANCELED);
		if (fd >= 0)
			rig->loop.os->ops->close(rig->loop.os, fd);
	}
	finish(rig);
}

/* Appends of a writer that tries again what failed. */
struct writer {
	struct rig *rig;
	struct gb_appender *appender;
	unsigned char data[APPENDS * 100];
	size_t size, begins[APPENDS + 1];
	struct gb_append appends[APPENDS];
	bool complete[APPENDS], cancelled[APPENDS], calm, syncs;
	unsigned begun, done;
	size_t kept; /* bytes that belong into the file: in front of what is next to be complete */
};

static void on_append(struct gb_operation *operation, void *user)
{
	struct writer *writer = user;
	struct gb_append *append = gb__container_of(operation, struct gb_append, operation);
	unsigned i = (unsigned)(append - writer->appends);
	int result = gb_operation_result(operation);

	CHECK(!writer->complete[i]);
	if (result == -ECANCELED) {
		CHECK(writer->cancelled[i] && append->written == 0);
	} else if (result < 0) {
		CHECK(result == -EIO || result == -ENOSPC);
		/* All that fail are told one behind the other, so that they come again in their order. */
		gb_append_begin(writer->appender, append, (const char *)append->data + append->written,
			append->size - append->written, on_append, writer);
		return;
	} else {
		CHECK_INT(result, append->size);
		CHECK_INT(append->written, append->size);
		for (unsigned before = 0; before < i; before++)
			CHECK(writer->complete[before] || writer->cancelled[before]);
		writer->kept += writer->begins[i + 1] - writer->begins[i];
		CHECK(!writer->syncs || sim_file_synced(writer->rig->sim, "log") >= writer->kept);
		writer->cancelled[i] = false;
	}
	writer->complete[i] = true;
	writer->done++;
}

static void append_next(struct writer *writer)
{
	unsigned i = writer->begun++;

	gb_append_begin(writer->appender, &writer->appends[i], writer->data + writer->begins[i],
		writer->begins[i + 1] - writer->begins[i], on_append, writer);
	CHECK(!writer->complete[i]); /* never told inside */
	if (test_random(&writer->rig->random) % 8 == 0) {
		writer->cancelled[i] = true;
		gb_operation_cancel(&writer->appends[i].operation);
		CHECK(!writer->complete[i]);
	}
}

static void write_all(struct rig *rig, bool syncs)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	struct gb_file_operation file = { 0 };
	const unsigned char *got;
	size_t size, at = 0;
	int fd;

	begin(rig);
	writer->rig = rig;
	writer->syncs = syncs;
	for (unsigned i = 0; i < APPENDS; i++)
		writer->begins[i + 1] = writer->begins[i] + test_random(&rig->random) % 100;
	for (size_t i = 0; i < sizeof(writer->data); i++)
		writer->data[i] = (unsigned char)test_random(&rig->random);
	gb__file_open(&files, &file, "log", O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, NULL);
	UNTIL(rig, NULL, !gb_operation_pending(&file.operation));
	fd = gb_operation_result(&file.operation);
	CHECK(fd >= 0);
	CHECK_INT(gb__appender_create(&files, fd, syncs ? GB_APPENDER_SYNC : 0, &writer->appender), 0);
	while (writer->begun < APPENDS) {
		for (unsigned n = test_random(&rig->random) % 10; n > 0 && writer->begun < APPENDS; n--)
			append_next(writer);
		rig_step(rig, NULL);
	}
	UNTIL(rig, NULL, writer->done == APPENDS);
	CHECK_INT(gb_appender_waiting(writer->appender), 0);
	got = sim_file_data(rig->sim, "log", &size);
	for (unsigned i = 0; i < APPENDS; i++) {
		size_t part = writer->begins[i + 1] - writer->begins[i];

		if (writer->cancelled[i])
			continue;
		CHECK(at + part <= size &&
			(!part || memcmp(got + at, writer->data + writer->begins[i], part) == 0));
		at += part;
	}
	CHECK_INT(size, at);
	gb_appender_destroy(writer->appender);
	gb__file_close(&files, &file, fd, NULL, NULL);
	UNTIL(rig, NULL, files.under_way == 0);
	free(writer);
	finish(rig);
}

NET_TEST(appends_are_in_the_file_each_once_and_in_order)
{
	write_all(rig, false);
}

NET_TEST(appends_that_are_synced_are_complete_once_they_are_on_the_disk)
{
	write_all(rig, true);
}

static int results[6];
static unsigned told;

static void note(struct gb_operation *operation, void *user)
{
	*(int *)user = gb_operation_result(operation);
	told++;
}

static int open_now(struct rig *rig, const char *path)
{
	struct gb_file_operation file = { 0 };

	gb__file_open(&files, &file, path, O_WRONLY | O_CREAT | O_APPEND, 0600, NULL, NULL);
	UNTIL(rig, NULL, !gb_operation_pending(&file.operation));
	return gb_operation_result(&file.operation);
}

static void holds(struct rig *rig, const char *path, const char *text)
{
	size_t size;
	const unsigned char *data = sim_file_data(rig->sim, path, &size);

	CHECK_INT(size, strlen(text));
	CHECK(memcmp(data, text, size) == 0);
}

/* The disk is full in the middle of the second: it and the third fail, and what was switched to gets the fourth. */
NET_TEST(what_a_full_disk_stops_fails_with_all_behind_it_up_to_a_switch)
{
	static const char *const texts[] = { "0123456", "abcdef", "ghi", NULL, "xyz" };
	struct gb_append appends[5] = { 0 };
	struct gb_appender *appender;
	int old, new;

	begin(rig);
	sim_kernel_set_profile(rig->sim, &sim_profile_calm);
	told = 0;
	old = open_now(rig, "old");
	new = open_now(rig, "new");
	CHECK_INT(gb__appender_create(&files, old, 0, &appender), 0);
	sim_file_space(rig->sim, 10);
	for (unsigned i = 0; i < 5; i++)
		if (texts[i])
			gb_append_begin(appender, &appends[i], texts[i], strlen(texts[i]), note, &results[i]);
		else
			gb_append_switch_begin(appender, &appends[i], new, note, &results[i]);
	CHECK_INT(gb_appender_waiting(appender), 19);
	UNTIL(rig, NULL, told >= 3);
	CHECK_INT(results[0], 7);
	CHECK_INT(results[1], -ENOSPC);
	CHECK_INT(appends[1].written, 3);
	CHECK_INT(results[2], -ENOSPC);
	CHECK_INT(appends[2].written, 0);
	UNTIL(rig, NULL, told == 5);
	CHECK_INT(results[3], old);
	CHECK_INT(results[4], -ENOSPC); /* the same disk */
	sim_file_space(rig->sim, 100);
	gb_append_begin(appender, &appends[4], texts[4], 3, note, &results[4]);
	UNTIL(rig, NULL, told == 6);
	CHECK_INT(results[4], 3);
	CHECK_INT(gb_appender_fd(appender), new);
	holds(rig, "old", "0123456abc");
	holds(rig, "new", "xyz");
	gb_appender_destroy(appender);
	rig->loop.os->ops->close(rig->loop.os, old);
	rig->loop.os->ops->close(rig->loop.os, new);
	finish(rig);
}

/* They come together: the first alone, those behind it with one write, which is short three times. */
NET_TEST(appends_that_wait_go_with_one_write_and_a_short_one_is_continued)
{
	struct gb_append appends[4] = { 0 }, sync = { 0 };
	static const char *const texts[] = { "a", "bcd", "", "efgh" };
	struct gb_appender *appender;
	int fd;

	begin(rig);
	sim_kernel_set_profile(rig->sim, &sim_profile_calm);
	told = 0;
	fd = open_now(rig, "log");
	CHECK_INT(gb__appender_create(&files, fd, 0, &appender), 0);
	sim_script(rig->sim, fd, SIM_FILE_CALL, (struct sim_outcome){ 0 });
	for (int part = 1; part <= 3; part++)
		sim_script(rig->sim, fd, SIM_FILE_CALL, (struct sim_outcome){ .result = 2 });
	for (unsigned i = 0; i < 4; i++)
		gb_append_begin(appender, &appends[i], texts[i], strlen(texts[i]), note, &results[i]);
	gb_append_sync_begin(appender, &sync, note, &results[4]);
	CHECK_INT(told, 0);
	UNTIL(rig, NULL, told == 5);
	CHECK_INT(sim_script_left(rig->sim, fd, SIM_FILE_CALL), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(results[i], strlen(texts[i]));
	CHECK_INT(results[4], 0);
	CHECK_INT(sim_file_synced(rig->sim, "log"), 8);
	holds(rig, "log", "abcdefgh");
	/* A switch with nothing under way is not told inside either. */
	gb_append_switch_begin(appender, &sync, fd, note, &results[5]);
	CHECK(told == 5 && gb_operation_pending(&sync.operation));
	gb_operation_cancel(&sync.operation); /* it was made */
	UNTIL(rig, NULL, told == 6);
	CHECK_INT(results[5], fd);
	gb_appender_destroy(appender);
	rig->loop.os->ops->close(rig->loop.os, fd);
	finish(rig);
}

NET_TEST(a_failed_sync_is_told_to_those_it_was_for)
{
	struct gb_append appends[2] = { 0 };
	struct gb_appender *appender;
	int fd;

	begin(rig);
	sim_kernel_set_profile(rig->sim, &sim_profile_calm);
	told = 0;
	fd = open_now(rig, "log");
	CHECK_INT(gb__appender_create(&files, fd, GB_APPENDER_SYNC, &appender), 0);
	sim_script(rig->sim, fd, SIM_FILE_CALL, (struct sim_outcome){ 0 });
	sim_script(rig->sim, fd, SIM_FILE_CALL, (struct sim_outcome){ .result = -EIO });
	gb_append_begin(appender, &appends[0], "ab", 2, note, &results[0]);
	UNTIL(rig, NULL, told == 1);
	CHECK_INT(results[0], -EIO);
	CHECK_INT(appends[0].written, 2);
	gb_append_begin(appender, &appends[1], "c", 1, note, &results[1]);
	UNTIL(rig, NULL, told == 2);
	CHECK_INT(results[1], 1);
	holds(rig, "log", "abc");
	gb_appender_destroy(appender);
	rig->loop.os->ops->close(rig->loop.os, fd);
	finish(rig);
}

/* Sizes around what is allowed, and a file that grew since it was asked for its size, which the disk's parts come to. */
static int loads(struct gb_coro *coro, void *arg)
{
	struct rig *rig = arg;
	struct gb_file_operation file = { 0 };
	struct gb_file_load load;
	unsigned char data[DATA_MAX];
	size_t size = test_random(&rig->random) % DATA_MAX;
	int fd;

	for (size_t i = 0; i < size; i++)
		data[i] = pattern_at(i);
	CHECK_INT(gb_await(coro, gb__file_load(&files, &load, "none", 10, NULL, NULL)), -ENOENT);
	CHECK(!load.data);
	fd = gb_await(coro, gb__file_open(&files, &file, "a", O_WRONLY | O_CREAT, 0600, NULL, NULL));
	CHECK(fd >= 0);
	for (size_t done = 0; done < size; done += file.done)
		gb_await(coro,
			gb__file_write(
				&files, &file, fd, data + done, size - done, (int64_t)done, NULL, NULL));
	CHECK_INT(INSISTS(coro, file, gb__file_load(&files, &load, "a", size, NULL, NULL)), size);
	CHECK(load.size == size && memcmp(load.data, data, size) == 0 && load.data[size] == 0);
	gb_file_load_free(&load);
	if (size > 0) {
		CHECK_INT(
			INSISTS(coro, file, gb__file_load(&files, &load, "a", size - 1, NULL, NULL)), -EFBIG);
		CHECK(!load.data);
	}
	/* Cancelled at some step of it, or never. */
	gb__file_load(&files, &load, "a", size, NULL, NULL);
	for (unsigned i = test_random(&rig->random) % 8; i > 0; i--)
		CHECK_INT(gb_yield(coro), 0);
	gb_operation_cancel(&load.operation);
	if (gb_await(coro, &load.operation) < 0)
		CHECK(!load.data && load.size == 0);
	gb_file_load_free(&load);
	gb_await(coro, gb__file_close(&files, &file, fd, NULL, NULL));
	over = true;
	return 0;
}

NET_TEST(a_whole_file_is_loaded_or_nothing_is_left_of_it)
{
	run_alone(rig, loads);
}

/* A service that sends a file for an F, and a t for a T. Operations lie apart from connections, which may go first. */
#define FILE_SIZE 300000u

static struct gb_file_sending sendings[8];
static int sent[8];
static unsigned sendings_begun;
static int sent_fd;
static uint64_t sent_size;
static unsigned char file_bytes[FILE_SIZE];

static void on_sent(struct gb_operation *operation, void *user)
{
	*(int *)user = gb_operation_result(operation);
}

static void on_request(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == 'T') {
		gb_conn_send(conn, "t", 1);
		return;
	}
	CHECK(sendings_begun < 8);
	gb_conn_send_file_begin(
		conn, &sendings[sendings_begun], sent_fd, 0, sent_size, on_sent, &sent[sendings_begun]);
	sendings_begun++;
}

static const struct gb_service sender = { GB_SERVICE_INIT, .name = "sender", .state = GB_STATE_NONE,
	.codec = &gb_codec_line, .on_open = count_open, .on_message = on_request, .on_close = count_close };

/* Faults as drawn, but for errors, each of which ends a connection. */
static struct peer *begin_sending(struct rig *rig)
{
	struct gb_file_operation file = { 0 };

	begin(rig);
	rig->net.files = &files;
	sendings_begun = 0;
	for (unsigned i = 0; i < 8; i++)
		sent[i] = 1;
	sent_size = UINT64_MAX;
	rig->profile.file_eio = rig->profile.file_enospc = 0;
	sim_kernel_set_profile(rig->sim, &rig->profile);
	for (size_t i = 0; i < FILE_SIZE; i++)
		file_bytes[i] = pattern_at(i);
	gb__file_open(&files, &file, "page", O_RDWR | O_CREAT, 0600, NULL, NULL);
	UNTIL(rig, NULL, !gb_operation_pending(&file.operation));
	sent_fd = gb_operation_result(&file.operation);
	gb__file_write(&files, &file, sent_fd, file_bytes, FILE_SIZE, 0, NULL, NULL);
	UNTIL(rig, NULL, !gb_operation_pending(&file.operation));
	CHECK_INT(gb_operation_result(&file.operation), FILE_SIZE);
	return rig_peer(rig, &sender);
}

static void finish_sending(struct rig *rig, struct peer *peer)
{
	UNTIL(rig, NULL, files.under_way == 0);
	if (peer)
		peer_close(peer);
	rig->loop.os->ops->close(rig->loop.os, sent_fd);
	finish(rig);
}

NET_TEST(files_are_sent_in_the_order_of_replies)
{
	struct peer *peer = begin_sending(rig);
	size_t at = 0;

	peer_send(peer, "T\nF\nT\nF\nT\n", 10);
	UNTIL(rig, peer, peer->got_size == 2 * FILE_SIZE + 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(peer->got[at] == 't');
		at++;
		CHECK(i == 2 || memcmp(peer->got + at, file_bytes, FILE_SIZE) == 0);
		at += FILE_SIZE;
	}
	UNTIL(rig, peer, files.under_way == 0);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_INT(sent[i], 0);
		CHECK_INT(sendings[i].sent, FILE_SIZE);
	}
	sent_size = 0;
	peer_send(peer, "F\nT\n", 4);
	UNTIL(rig, peer, peer->got_size == 2 * FILE_SIZE + 4 && sent[2] == 0);
	/* The peer's end is answered behind all that. */
	sent_size = 70000;
	peer_send(peer, "F\n", 2);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end && rig->closed == 1);
	CHECK(!peer->was_reset);
	CHECK_INT(peer->got_size, 2 * FILE_SIZE + 4 + 70000);
	finish_sending(rig, peer);
}

NET_TEST(of_a_file_no_more_is_read_than_the_peer_takes)
{
	struct peer *peer;

	rig->profile.rx_max = rig->profile.tx_max = 4096;
	peer = begin_sending(rig);
	peer->read_max = 10;
	peer_send(peer, "F\n", 2);
	UNTIL(rig, peer, peer->got_size == 10);
	for (unsigned i = 0; i < 500; i++)
		rig_step(rig, peer);
	CHECK_INT(sent[0], 1);
	/* What the kernel holds at either end, what is queued up to the low watermark, and a page. */
	CHECK(sendings[0].sent <=
		rig->profile.rx_max + rig->profile.tx_max + rig->limits.output_low + (64u << 10) + 10);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == FILE_SIZE && sent[0] == 0);
	finish_sending(rig, peer);
}

NET_TEST(of_files_behind_one_another_only_the_first_is_read)
{
	struct peer *peer;

	rig->profile.rx_max = rig->profile.tx_max = 4096;
	rig->limits.output_low = 1000;
	rig->limits.output_high = rig->limits.output_bytes_max = 20000; /* less than a page */
	peer = begin_sending(rig);
	sent_size = 100000;
	peer->read_max = 10;
	peer_send(peer, "F\nF\nF\nF\nF\nF\nF\nF\n", 16);
	UNTIL(rig, peer, sendings_begun == 8 && peer->got_size == 10);
	for (unsigned i = 0; i < 500; i++)
		rig_step(rig, peer);
	CHECK_INT(rig->closed, 0);
	for (unsigned i = 1; i < 8; i++)
		CHECK(!sendings[i].page && sendings[i].sent == 0);
	peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, peer->got_size == 8 * 100000 && files.under_way == 0);
	for (unsigned i = 0; i < 8; i++)
		CHECK(sent[i] == 0 && memcmp(peer->got + i * 100000, file_bytes, 100000) == 0);
	finish_sending(rig, peer);
}

NET_TEST(a_file_that_cannot_be_sent_whole_ends_the_connection)
{
	bool fails = rig->round % 2;
	struct peer *peer;

	rig->profile.rx_max = rig->profile.tx_max = 4096;
	peer = begin_sending(rig);
	sent_size = fails ? FILE_SIZE : FILE_SIZE + 1;
	peer_send(peer, "F\nT\n", 4);
	if (fails) { /* a page leaves, then the disk fails */
		UNTIL(rig, peer, peer->got_size > 0);
		sim_script(rig->sim, sent_fd, SIM_FILE_CALL, (struct sim_outcome){ .result = -EIO });
	}
	UNTIL(rig, peer, sent[0] < 0);
	CHECK_INT(sent[0], fails ? -EIO : -ENODATA);
	UNTIL(rig, peer, rig->closed == 1 && peer->was_reset);
	CHECK_INT(rig->last_reason, GB_CLOSE_KERNEL_ERROR);
	CHECK(peer->got_size <= FILE_SIZE && memcmp(peer->got, file_bytes, peer->got_size) == 0);
	finish_sending(rig, peer);
}

/* At any moment: two are under way (the second is not read above high), of which one is cancelled, or the peer goes. */
NET_TEST(a_sending_that_is_cut_is_complete_once)
{
	struct peer *peer = begin_sending(rig);

	peer->read_max = test_random(&rig->random) % FILE_SIZE;
	peer_send(peer, "F\nF\n", 4);
	UNTIL(rig, peer, (peer->read_max += 100, sendings_begun == 2));
	for (unsigned i = test_random(&rig->random) % 40; i > 0; i--)
		rig_step(rig, peer);
	if (test_random(&rig->random) % 2) {
		gb_operation_cancel(&sendings[test_random(&rig->random) % 2].operation);
	} else {
		peer_close(peer);
		peer = NULL;
	}
	if (peer)
		peer->read_max = PEER_BYTES_MAX;
	UNTIL(rig, peer, sent[0] < 1 && sent[1] < 1);
	if (sent[0] != -EPIPE && sent[0] != -ECANCELED)
		CHECK_INT(sent[0], 0);
	if (sent[1] != -EPIPE && sent[1] != -ECANCELED)
		CHECK_INT(sent[1], 0);
	UNTIL(rig, peer, !peer || peer->at_end || peer->was_reset || (sent[0] == 0 && sent[1] == 0));
	finish_sending(rig, peer);
}

static int64_t written;

static void send_in_line(struct gb_stream *stream)
{
	struct gb_bytes line;

	while (gb_read_message(stream, &line) > 0) {
		written = gb_write_file(stream, sent_fd, 7, sent_size);
		gb_write(stream, "t", 1);
	}
}

static const struct gb_service straight_sender = { GB_SERVICE_INIT, .name = "straight",
	.state = GB_STATE_NONE, .codec = &gb_codec_line, .serve = send_in_line };

NET_TEST(a_straight_line_handler_writes_a_file)
{
	struct peer *peer = begin_sending(rig);

	peer_close(peer);
	UNTIL(rig, NULL, rig->closed == 1);
	peer = rig_peer(rig, &straight_sender);
	rig->opened = rig->closed = 0;
	peer_send(peer, "F\n", 2);
	UNTIL(rig, peer, peer->got_size == FILE_SIZE - 7 + 1);
	CHECK(memcmp(peer->got, file_bytes + 7, FILE_SIZE - 7) == 0);
	CHECK_INT(written, FILE_SIZE - 7);
	sent_size = 11;
	peer_send(peer, "F\n", 2);
	UNTIL(rig, peer, peer->got_size == FILE_SIZE - 7 + 1 + 12);
	CHECK_INT(written, 11);
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, peer->at_end);
	finish_sending(rig, peer);
}

NET_TEST(a_straight_line_handler_that_writes_a_file_learns_of_a_reset)
{
	struct peer *peer;

	rig->profile.rx_max = rig->profile.tx_max = 4096;
	peer = begin_sending(rig);
	peer_close(peer);
	UNTIL(rig, NULL, rig->closed == 1);
	peer = rig_peer(rig, &straight_sender);
	rig->opened = rig->closed = 0;
	written = 1;
	peer->read_max = 10;
	peer_send(peer, "F\n", 2);
	UNTIL(rig, peer, peer->got_size == 10);
	for (unsigned i = test_random(&rig->random) % 200; i > 0; i--)
		rig_step(rig, peer);
	gb__net_abort_all(&rig->net, GB_CLOSE_RESET);
	UNTIL(rig, NULL, rig->net.connections == 0 && rig->net.coroutines == 0);
	CHECK(written < 0);
	finish_sending(rig, peer);
}
