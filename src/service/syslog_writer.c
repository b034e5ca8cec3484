/*
 * A record is written as a line to the batch that is filled. It is stored when it is large or some milliseconds old, by an
 * appender, one at a time; what comes meanwhile goes with the next one, so that a slow disk gets larger writes. A connection
 * is held while records of it are in memory.
 *
 * Above `memory` bytes the worker's connections are paused. A disk that is full is tried again until there is room, or until
 * the worker drains. What is given up then, or is lost to another error, is counted.
 *
 * A line that an error cut stays in the file as it is, and the next batch begins a new one: every batch has an LF before
 * its first record, for that.
 */
#include "syslog_writer.h"
#include "syslog_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH_ENOUGH 65536u /* bytes that wait for no others */
#define BATCH_KEPT 262144u  /* bytes of memory that a batch keeps when it is empty */
#define REST_BELOW 16384u   /* bytes of records in a turn */
#define RETRY_MS 1000u
#define SYNC_MS 1000u

static struct syslog_batch *other(struct syslog_writer *writer)
{
	return &writer->batches[writer->filling == &writer->batches[0]];
}

/* Bytes that are not in the file. */
static size_t waiting(struct syslog_writer *writer)
{
	const struct syslog_batch *batch = other(writer);

	return writer->filling->size + (writer->storing ? batch->size - batch->done : 0);
}

/* Connections that are held. */

void syslog_writer_hold(struct syslog_writer *writer, struct syslog_talk *talk)
{
	talk->turn = writer->turn;
	if (talk->held_link)
		return;
	gb_conn_hold(talk->conn);
	talk->held_next = writer->held;
	talk->held_link = &writer->held;
	if (talk->held_next)
		talk->held_next->held_link = &talk->held_next;
	writer->held = talk;
}

static void unlink_held(struct syslog_talk *talk)
{
	*talk->held_link = talk->held_next;
	if (talk->held_next)
		talk->held_next->held_link = talk->held_link;
	talk->held_link = NULL;
}

/* Those whose records are in no later batch than the one before that which is filled. */
static void release_held(struct syslog_writer *writer)
{
	struct syslog_talk *next;

	for (struct syslog_talk *talk = writer->held; talk; talk = next) {
		next = talk->held_next;
		if (talk->turn >= writer->turn)
			continue;
		unlink_held(talk);
		gb_conn_release(talk->conn);
	}
}

static void pause_or_resume(struct syslog_writer *writer)
{
	bool pause =
		waiting(writer) > (writer->paused ? writer->settings->memory / 2 : writer->settings->memory);

	if (pause == writer->paused)
		return;
	writer->paused = pause;
	for (struct syslog_talk *talk = writer->talks; talk; talk = talk->next)
		(pause ? gb_conn_pause : gb_conn_resume)(talk->conn);
}

/* Batches. */

/* Room for so much, behind an LF that is there for who needs it. Returns 0 or -ENOMEM. */
static int reserve(struct syslog_batch *batch, size_t size)
{
	size_t room = batch->room ? batch->room : 16384;
	unsigned char *data;

	if (batch->size == 0)
		size++;
	while (room < batch->size + size)
		room *= 2;
	if (room > batch->room) {
		data = realloc(batch->data, room);
		if (!data)
			return -ENOMEM;
		batch->data = data;
		batch->room = room;
	}
	if (batch->size == 0)
		batch->data[batch->size++] = '\n';
	return 0;
}

static void empty(struct syslog_batch *batch)
{
	batch->size = batch->done = 0;
	batch->records = 0;
	if (batch->room <= BATCH_KEPT)
		return;
	free(batch->data);
	batch->data = NULL;
	batch->room = 0;
}

static uint64_t lines(const unsigned char *data, size_t size)
{
	uint64_t found = 0;

	for (size_t i = 0; i < size; i++)
		found += data[i] == '\n';
	return found;
}

static bool changes(const struct syslog_writer *writer)
{
	return gb_operation_pending(&writer->change.operation);
}

/* Nothing more is tried with it. After a sync that failed nobody knows what is on the disk: it is not called stored. */
static void batch_end(struct syslog_writer *writer, struct syslog_batch *batch, int error)
{
	struct syslog_counters *counters = writer->settings->counters;
	uint64_t stored = batch->records;

	if (error < 0) {
		stored = batch->done > 1 && batch->done < batch->size
			? lines(batch->data + 1, batch->done - 1)
			: 0;
		gb_log(GB_LOG_ERROR, "syslog: %s: %" PRIu64 " records are lost: %s", writer->settings->file,
			batch->records - stored, gb_strerror(error));
	}
	/* What comes goes to another file already if it is being changed. */
	if (batch->done > 0)
		writer->torn = batch->data[batch->done - 1] != '\n' && !changes(writer);
	syslog_count(&counters->stored, stored);
	syslog_count(&counters->lost, batch->records - stored);
	empty(batch);
}

static void on_stored(struct gb_operation *operation, void *user);

static void append_rest(struct syslog_writer *writer)
{
	struct syslog_batch *batch = other(writer);

	gb_append_begin(writer->appender, &batch->append, batch->data + batch->done,
		batch->size - batch->done, on_stored, writer);
}

/* Where the last line is whole its LF is left out. */
static void skip_end(const struct syslog_writer *writer, struct syslog_batch *batch)
{
	if (!writer->torn)
		batch->done = 1;
}

static void store(struct syslog_writer *writer)
{
	struct syslog_batch *batch = writer->filling;

	if (batch->size == 0 || writer->storing)
		return;
	writer->delaying = false; /* its timer may expire for the next batch, which is then stored early */
	writer->filling = other(writer);
	writer->storing = true;
	writer->turn++;
	skip_end(writer, batch);
	append_rest(writer);
}

static void on_delayed(struct gb_timer *timer, void *arg)
{
	struct syslog_writer *writer = arg;

	(void)timer;
	if (writer->delaying)
		store(writer);
}

/* With what comes soon, so that few records are not a write of their own. */
static void store_soon(struct syslog_writer *writer)
{
	const struct syslog_settings *settings = writer->settings;
	const size_t size = writer->filling->size;

	if (size == 0 || writer->storing)
		return;
	if (size < BATCH_ENOUGH && size < settings->memory && settings->delay_ms > 0 && !writer->draining) {
		writer->delaying = writer->delaying ||
			gb_timer_start(
				writer->worker, &writer->delay, settings->delay_ms, on_delayed, writer) == 0;
		if (writer->delaying)
			return;
	}
	store(writer);
}

static void on_retry(struct gb_timer *timer, void *arg)
{
	(void)timer;
	append_rest(arg);
}

/* Whether it is tried again: senders wait meanwhile. */
static bool waits_for_room(struct syslog_writer *writer, int error)
{
	if ((error != -ENOSPC && error != -EDQUOT) || other(writer)->done == other(writer)->size ||
		writer->draining)
		return false;
	if (gb_timer_start(writer->worker, &writer->retry, RETRY_MS, on_retry, writer) < 0)
		return false;
	if (!writer->full)
		gb_log(GB_LOG_WARNING, "syslog: %s: %s: it is tried again, senders wait",
			writer->settings->file, gb_strerror(error));
	writer->full = true;
	return true;
}

static void on_sync_due(struct gb_timer *timer, void *arg);

/* Without memory for the timer it is due now: later nobody would ask for it again. */
static void sync_soon(struct syslog_writer *writer)
{
	if (gb_timer_start(writer->worker, &writer->sync_timer, SYNC_MS, on_sync_due, writer) < 0)
		on_sync_due(&writer->sync_timer, writer);
}

static void note_synced(const struct syslog_writer *writer, int result)
{
	if (result >= 0)
		return;
	syslog_count(&writer->settings->counters->sync_failures, 1);
	gb_log(GB_LOG_ERROR, "syslog: %s: records may not be on the disk: %s", writer->settings->file,
		gb_strerror(result));
}

static void on_synced(struct gb_operation *operation, void *user)
{
	struct syslog_writer *writer = user;

	note_synced(writer, gb_operation_result(operation));
	if (writer->dirty)
		sync_soon(writer);
}

static void on_sync_due(struct gb_timer *timer, void *arg)
{
	struct syslog_writer *writer = arg;

	(void)timer;
	writer->dirty = false;
	gb_append_sync_begin(writer->appender, &writer->sync, on_synced, writer);
}

static void sync_later(struct syslog_writer *writer)
{
	if (writer->settings->fsync != FSYNC_INTERVAL || writer->dirty)
		return;
	writer->dirty = true;
	if (!gb_operation_pending(&writer->sync.operation))
		sync_soon(writer);
}

/* The rest of it goes to another file: that has the whole line which the one before has a part of. */
static void rewind_line(struct syslog_batch *batch)
{
	while (batch->done > 1 && batch->data[batch->done - 1] != '\n')
		batch->done--;
	if (batch->done == 0)
		batch->done = 1;
}

static void on_stored(struct gb_operation *operation, void *user)
{
	struct syslog_writer *writer = user;
	struct syslog_batch *batch = other(writer);
	int result = gb_operation_result(operation);

	batch->done += batch->append.written;
	if (result < 0 && waits_for_room(writer, result)) {
		if (changes(writer))
			rewind_line(batch);
		return;
	}
	if (writer->full && result >= 0)
		gb_log(GB_LOG_NOTICE, "syslog: %s: there is room again", writer->settings->file);
	writer->full = false;
	batch_end(writer, batch, result < 0 ? result : 0);
	writer->storing = false;
	sync_later(writer);
	release_held(writer);
	store_soon(writer);
	pause_or_resume(writer);
}

/* Rotation: what has the path is written to from now on. What was appended before goes to the file that had it. */

static void look_for_file(struct syslog_writer *writer);

static void on_changed(struct gb_operation *operation, void *user)
{
	struct syslog_writer *writer = user;
	struct syslog_file *before = writer->file;

	if (gb_operation_result(operation) >= 0) {
		writer->file = writer->next;
		writer->next = before;
	}
	syslog_file_give(&writer->settings->files, writer->next);
	writer->next = NULL;
	if (writer->again)
		look_for_file(writer);
}

static void on_last_synced(struct gb_operation *operation, void *user)
{
	note_synced(user, gb_operation_result(operation));
}

static void look_for_file(struct syslog_writer *writer)
{
	const struct syslog_settings *settings = writer->settings;
	int result;

	writer->again = changes(writer);
	if (writer->again)
		return;
	result = syslog_file_take(&writer->settings->files, &writer->next);
	if (result < 0) {
		gb_log(GB_LOG_ERROR, "syslog: %s: cannot be opened again, what was open is written to: %s",
			settings->file, gb_strerror(result));
		return;
	}
	if (writer->next == writer->file) {
		syslog_file_give(&writer->settings->files, writer->next);
		return;
	}
	if (settings->fsync == FSYNC_INTERVAL)
		gb_append_sync_begin(writer->appender, &writer->last_sync, on_last_synced, writer);
	gb_append_switch_begin(writer->appender, &writer->change, writer->next->fd, on_changed, writer);
	writer->torn = false;
	if (writer->full && !gb_operation_pending(&other(writer)->append.operation))
		rewind_line(other(writer));
}

static void on_hangup(struct gb_signal_watch *watch, uint64_t times, void *user)
{
	(void)watch;
	(void)times;
	look_for_file(user);
}

/* Connections. */

void syslog_writer_join(struct syslog_writer *writer, struct syslog_talk *talk, struct gb_conn *conn)
{
	talk->writer = writer;
	talk->conn = conn;
	talk->next = writer->talks;
	talk->link = &writer->talks;
	if (talk->next)
		talk->next->link = &talk->next;
	writer->talks = talk;
	if (writer->paused)
		gb_conn_pause(conn);
}

void syslog_writer_leave(struct syslog_talk *talk)
{
	*talk->link = talk->next;
	if (talk->next)
		talk->next->link = talk->link;
	if (talk->held_link)
		unlink_held(talk);
}

/*
 * Behind all that this turn of the loop has brought. Nobody waits for an answer of this worker, and a wake-up for each record
 * that comes alone is dearer than all that is done with it: as network cards do with their interrupts.
 */
static void rest(struct gb_worker *worker, void *arg)
{
	struct syslog_writer *writer = arg;
	struct timespec pause;

	if (!worker)
		return; /* it has ended, and the writer with it */
	pause.tv_sec = (time_t)(writer->settings->rest_ms / 1000);
	pause.tv_nsec = (long)(writer->settings->rest_ms % 1000) * 1000000;
	if (writer->brought < REST_BELOW && !writer->draining && !writer->paused)
		nanosleep(&pause, NULL);
	writer->resting = false;
	writer->brought = 0;
}

static void rest_later(struct syslog_writer *writer, size_t size)
{
	writer->brought += size;
	if (writer->resting || writer->settings->rest_ms == 0)
		return;
	writer->resting = true;
	if (gb_worker_post(writer->worker, rest, writer) < 0)
		writer->resting = false;
}

int syslog_writer_add(struct syslog_writer *writer, struct gb_bytes record, bool cut)
{
	struct syslog_counters *counters = writer->settings->counters;
	struct syslog_batch *batch = writer->filling;

	syslog_count(&counters->accepted, 1);
	if (reserve(batch, SYSLOG_LINE_MAX(record.size) + SYSLOG_CUT_SIZE) < 0) {
		syslog_count(&counters->lost, 1);
		return -ENOMEM;
	}
	batch->size += syslog_line(record, cut, batch->data + batch->size);
	batch->records++;
	rest_later(writer, record.size);
	return 0;
}

void syslog_writer_store(struct syslog_writer *writer)
{
	store_soon(writer);
	pause_or_resume(writer);
}

void syslog_writer_drain(struct syslog_writer *writer)
{
	if (writer->draining)
		return;
	writer->draining = true;
	store(writer);
	if (!writer->full || gb_operation_pending(&other(writer)->append.operation))
		return;
	gb_timer_stop(&writer->retry);
	append_rest(writer);
}

/* The beginning and the end. */

static void release(struct syslog_writer *writer)
{
	gb_appender_destroy(writer->appender);
	syslog_file_give(&writer->settings->files, writer->file);
	free(writer->batches[0].data);
	free(writer->batches[1].data);
	free(writer);
}

/* It is told of rotations from before it looks for the file. */
static int start(struct syslog_writer *writer)
{
	struct syslog_settings *settings = writer->settings;
	int result = gb_signal_watch_start(writer->worker, &writer->hangup, SIGHUP, on_hangup, writer, NULL);

	if (result == 0)
		result = syslog_file_take(&settings->files, &writer->file);
	if (result == 0)
		result = gb_appender_create(writer->worker, writer->file->fd,
			settings->fsync == FSYNC_BATCH ? GB_APPENDER_SYNC : 0, &writer->appender);
	return result;
}

int syslog_writer_create(
	struct gb_worker *worker, struct syslog_settings *settings, struct syslog_writer **ret)
{
	struct syslog_writer *writer = calloc(1, sizeof(*writer));
	int result;

	if (!writer)
		return -ENOMEM;
	writer->worker = worker;
	writer->settings = settings;
	writer->filling = &writer->batches[0];
	result = start(writer);
	if (result == 0) {
		*ret = writer;
		return 0;
	}
	gb_signal_watch_stop(&writer->hangup);
	release(writer);
	return result;
}

/* What no operation has stored, by plain calls. */
static void store_now(struct syslog_writer *writer, struct syslog_batch *batch)
{
	int error = 0;

	while (error == 0 && batch->done < batch->size) {
		ssize_t written =
			write(writer->file->fd, batch->data + batch->done, batch->size - batch->done);

		if (written > 0)
			batch->done += (size_t)written;
		else if (written == 0 || errno != EINTR)
			error = written == 0 ? -EIO : -errno;
	}
	if (error == 0 && writer->settings->fsync == FSYNC_BATCH && fdatasync(writer->file->fd) < 0)
		error = -errno;
	batch_end(writer, batch, error);
	writer->dirty = true;
}

void syslog_writer_destroy(struct syslog_writer *writer)
{
	gb_timer_stop(&writer->delay);
	gb_timer_stop(&writer->retry);
	gb_timer_stop(&writer->sync_timer);
	if (writer->storing)
		store_now(writer, other(writer));
	if (writer->filling->size > 0) {
		skip_end(writer, writer->filling);
		store_now(writer, writer->filling);
	}
	if (writer->settings->fsync == FSYNC_INTERVAL && writer->dirty && fdatasync(writer->file->fd) < 0)
		syslog_count(&writer->settings->counters->sync_failures, 1);
	gb_signal_watch_stop(&writer->hangup);
	release(writer);
}
