/*
 * Stores log records that come over TCP (RFC 5424 and RFC 3164, framed as RFC 6587 says) in a file, one line each.
 *
 * Happy path: a record is written as a line to the batch that its worker fills. One batch is being stored at a time, by an
 * appender; what comes meanwhile goes with the next one, so that a slow disk gets larger writes. A connection is held while
 * records of it are in memory.
 *
 * Nobody is answered, so who sends is held back by not reading: above `memory` bytes the worker's connections are paused.
 * A disk that is full is tried again until there is room, or until the worker drains. What is given up then, or is lost to
 * another error, is counted: at the end accepted = stored + lost.
 *
 * A line that an error cut stays in the file as it is, and the next batch begins a new one: every batch has an LF before
 * its first record, for that.
 *
 * What a connection ends in the middle of is stored and counted as cut, and its line says so. (rsyslog drops it behind a
 * length, and takes it for a whole record behind none: but a sender that died ends its connection by a FIN as well.)
 */
#include "services.h"
#include "syslog_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCH_KEPT 262144u /* bytes of memory that a batch keeps when it is empty */
#define RETRY_MS 1000u
#define SYNC_MS 1000u
#define PEER_MAX 448u

enum fsync_policy { FSYNC_NEVER, FSYNC_INTERVAL, FSYNC_BATCH };

/* In memory that worker processes share. */
struct counters {
	_Atomic uint64_t accepted, stored, lost, cut, ill_framed, oversized, sync_failures;
};

struct syslog_settings {
	char *file;
	unsigned fsync; /* enum fsync_policy */
	uint64_t memory;
	struct counters *counters;
	int fd;            /* of all workers, with O_APPEND */
	unsigned prepared; /* addresses that it serves */
};

static const struct gb_setting syslog_settings[] = {
	{ "file", GB_SETTING_TEXT, offsetof(struct syslog_settings, file), .argument = "PATH",
		.summary = "what records are appended to, a line each" },
	{ "fsync", GB_SETTING_CHOICE, offsetof(struct syslog_settings, fsync), .fallback = "never",
		.choices = "never|interval|batch",
		.summary =
			"when the disk is to have them: when it likes, every second, or behind every write" },
	{ "memory", GB_SETTING_SIZE, offsetof(struct syslog_settings, memory), .fallback = "1MiB", .min = 1,
		.max = 1u << 30, .argument = "SIZE",
		.summary = "stop reading while more than this waits for the disk, in each worker" },
	{ NULL },
};

struct batch {
	struct gb_append append;
	unsigned char *data;
	size_t size, room;
	size_t done;      /* so much of it is in the file, or to be left out */
	uint64_t records; /* whole lines of it */
};

struct writer {
	struct gb_worker *worker;
	const struct syslog_settings *settings;
	struct gb_appender *appender;
	struct batch batches[2];
	struct batch *filling;
	bool storing;  /* the other one is */
	bool full;     /* and waits for room on the disk */
	bool torn;     /* the last line of ours is cut */
	bool paused;   /* all connections are */
	bool draining; /* nothing is tried again */
	bool dirty;    /* stored, and not synced */
	uint64_t turn; /* of the batch that is filled */
	struct talk *talks;
	struct talk *held;
	struct gb_timer retry, sync_timer;
	struct gb_append sync;
};

/* What a connection has of its own. */
struct talk {
	struct writer *writer;
	struct gb_conn *conn;
	struct talk *next, **link;           /* of all connections */
	struct talk *held_next, **held_link; /* of those with records in memory; NULL: it has none */
	uint64_t turn;                       /* of the batch with the last one */
};

static void count(_Atomic uint64_t *counter, uint64_t many)
{
	atomic_fetch_add_explicit(counter, many, memory_order_relaxed);
}

static struct batch *other(struct writer *writer)
{
	return &writer->batches[writer->filling == &writer->batches[0]];
}

/* Bytes that are not in the file. */
static size_t waiting(struct writer *writer)
{
	const struct batch *batch = other(writer);

	return writer->filling->size + (writer->storing ? batch->size - batch->done : 0);
}

/* Connections that are held. */

static void hold(struct talk *talk)
{
	struct writer *writer = talk->writer;

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

static void unlink_held(struct talk *talk)
{
	*talk->held_link = talk->held_next;
	if (talk->held_next)
		talk->held_next->held_link = talk->held_link;
	talk->held_link = NULL;
}

/* Those whose records are in no later batch than the one before that which is filled. */
static void release_held(struct writer *writer)
{
	struct talk *next;

	for (struct talk *talk = writer->held; talk; talk = next) {
		next = talk->held_next;
		if (talk->turn >= writer->turn)
			continue;
		unlink_held(talk);
		gb_conn_release(talk->conn);
	}
}

static void pause_or_resume(struct writer *writer)
{
	bool pause =
		waiting(writer) > (writer->paused ? writer->settings->memory / 2 : writer->settings->memory);

	if (pause == writer->paused)
		return;
	writer->paused = pause;
	for (struct talk *talk = writer->talks; talk; talk = talk->next)
		(pause ? gb_conn_pause : gb_conn_resume)(talk->conn);
}

/* Batches. */

/* Room for so much, behind an LF that is there for who needs it. Returns 0 or -ENOMEM. */
static int reserve(struct batch *batch, size_t size)
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

static void empty(struct batch *batch)
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

/* Nothing more is tried with it. After a sync that failed nobody knows what is on the disk: it is not called stored. */
static void settle(struct writer *writer, struct batch *batch, int error)
{
	struct counters *counters = writer->settings->counters;
	uint64_t stored = batch->records;

	if (error < 0) {
		stored = batch->done > 1 && batch->done < batch->size
			? lines(batch->data + 1, batch->done - 1)
			: 0;
		gb_log(GB_LOG_ERROR, "syslog: %s: %" PRIu64 " records are lost: %s", writer->settings->file,
			batch->records - stored, gb_strerror(error));
	}
	if (batch->done > 0)
		writer->torn = batch->data[batch->done - 1] != '\n';
	count(&counters->stored, stored);
	count(&counters->lost, batch->records - stored);
	empty(batch);
}

static void on_stored(struct gb_operation *operation, void *user);

static void append_rest(struct writer *writer)
{
	struct batch *batch = other(writer);

	gb_append_begin(writer->appender, &batch->append, batch->data + batch->done,
		batch->size - batch->done, on_stored, writer);
}

/* Where the last line is whole its LF is left out. */
static void skip_end(const struct writer *writer, struct batch *batch)
{
	if (!writer->torn)
		batch->done = 1;
}

static void store(struct writer *writer)
{
	struct batch *batch = writer->filling;

	if (batch->size == 0 || writer->storing)
		return;
	writer->filling = other(writer);
	writer->storing = true;
	writer->turn++;
	skip_end(writer, batch);
	append_rest(writer);
}

static void on_retry(struct gb_timer *timer, void *arg)
{
	(void)timer;
	append_rest(arg);
}

/* Whether it is tried again: senders wait meanwhile. */
static bool waits_for_room(struct writer *writer, int error)
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

static void on_synced(struct gb_operation *operation, void *user)
{
	struct writer *writer = user;
	int result = gb_operation_result(operation);

	if (result < 0) {
		count(&writer->settings->counters->sync_failures, 1);
		gb_log(GB_LOG_ERROR, "syslog: %s: records may not be on the disk: %s", writer->settings->file,
			gb_strerror(result));
	}
	if (writer->dirty)
		gb_timer_start(writer->worker, &writer->sync_timer, SYNC_MS, on_sync_due, writer);
}

static void on_sync_due(struct gb_timer *timer, void *arg)
{
	struct writer *writer = arg;

	(void)timer;
	writer->dirty = false;
	gb_append_sync_begin(writer->appender, &writer->sync, on_synced, writer);
}

static void sync_later(struct writer *writer)
{
	if (writer->settings->fsync != FSYNC_INTERVAL || writer->dirty)
		return;
	writer->dirty = true;
	if (!gb_operation_pending(&writer->sync.operation))
		gb_timer_start(writer->worker, &writer->sync_timer, SYNC_MS, on_sync_due, writer);
}

static void on_stored(struct gb_operation *operation, void *user)
{
	struct writer *writer = user;
	struct batch *batch = other(writer);
	int result = gb_operation_result(operation);

	batch->done += batch->append.written;
	if (result < 0 && waits_for_room(writer, result))
		return;
	if (writer->full && result >= 0)
		gb_log(GB_LOG_NOTICE, "syslog: %s: there is room again", writer->settings->file);
	writer->full = false;
	settle(writer, batch, result < 0 ? result : 0);
	writer->storing = false;
	sync_later(writer);
	release_held(writer);
	store(writer);
	pause_or_resume(writer);
}

/* Connections. */

static int syslog_open(struct gb_conn *conn)
{
	struct talk *talk = gb_conn_state(conn);
	struct writer *writer = gb_worker_data(gb_conn_worker(conn), gb_conn_user(conn));

	talk->writer = writer;
	talk->conn = conn;
	talk->next = writer->talks;
	talk->link = &writer->talks;
	if (talk->next)
		talk->next->link = &talk->next;
	writer->talks = talk;
	if (writer->paused)
		gb_conn_pause(conn);
	return 0;
}

/* Behind those that are there. Returns 0 or -ENOMEM. */
static int add(struct writer *writer, struct gb_bytes record, bool cut)
{
	struct counters *counters = writer->settings->counters;
	struct batch *batch = writer->filling;

	count(&counters->accepted, 1);
	if (reserve(batch, SYSLOG_LINE_MAX(record.size) + SYSLOG_CUT_SIZE) < 0) {
		count(&counters->lost, 1);
		return -ENOMEM;
	}
	batch->size += syslog_line(record, cut, batch->data + batch->size);
	batch->records++;
	return 0;
}

static void syslog_message(struct gb_conn *conn, struct gb_bytes record)
{
	struct talk *talk = gb_conn_state(conn);
	struct writer *writer = talk->writer;

	if (add(writer, record, false) < 0) {
		gb_conn_fail(conn, GB_CLOSE_NO_MEMORY);
		return;
	}
	hold(talk);
	store(writer);
	pause_or_resume(writer);
}

/* The connection ends in the middle of a record, if there is any of one. */
static void take_cut(struct gb_conn *conn)
{
	struct writer *writer = ((struct talk *)gb_conn_state(conn))->writer;
	struct gb_bytes rest = gb_conn_rest(conn);
	char peer[PEER_MAX] = "?";

	if (rest.size == 0)
		return;
	gb_conn_peer(conn, peer, sizeof(peer));
	gb_log(GB_LOG_NOTICE, "syslog: %s: its last record is cut behind %zu bytes", peer, rest.size);
	count(&writer->settings->counters->cut, 1);
	if (add(writer, syslog_begun(rest), true) == 0)
		store(writer);
}

static void syslog_eof(struct gb_conn *conn)
{
	take_cut(conn);
	gb_conn_end_output(conn);
}

static void syslog_error(struct gb_conn *conn, int reason)
{
	struct talk *talk = gb_conn_state(conn);
	struct counters *counters = talk->writer->settings->counters;
	const char *problem = gb_conn_frame(conn)->problem;
	char peer[PEER_MAX] = "?";

	if (reason != GB_CLOSE_BAD_FRAME && reason != GB_CLOSE_MESSAGE_TOO_LARGE) {
		take_cut(conn);
		return;
	}
	gb_conn_peer(conn, peer, sizeof(peer));
	if (reason == GB_CLOSE_BAD_FRAME) {
		count(&counters->ill_framed, 1);
		gb_log(GB_LOG_NOTICE, "syslog: %s: ill-framed: %s", peer, problem ? problem : "no record");
	} else {
		count(&counters->oversized, 1);
		gb_log(GB_LOG_NOTICE, "syslog: %s: a record is larger than max-message", peer);
	}
}

/* A disk that has been full is tried for the last time. */
static void syslog_drain(struct gb_conn *conn)
{
	struct writer *writer = ((struct talk *)gb_conn_state(conn))->writer;

	if (writer->draining)
		return;
	writer->draining = true;
	if (!writer->full || gb_operation_pending(&other(writer)->append.operation))
		return;
	gb_timer_stop(&writer->retry);
	append_rest(writer);
}

static void syslog_close(struct gb_conn *conn, int reason)
{
	struct talk *talk = gb_conn_state(conn);

	(void)reason;
	if (!talk->link)
		return;
	take_cut(conn);
	*talk->link = talk->next;
	if (talk->next)
		talk->next->link = talk->link;
	if (talk->held_link)
		unlink_held(talk);
}

/* Workers. */

static int syslog_start(struct gb_worker *worker, void *user)
{
	const struct syslog_settings *settings = user;
	struct writer *writer;
	int result;

	if (gb_worker_computes(worker))
		return 0;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	writer->worker = worker;
	writer->settings = settings;
	writer->filling = &writer->batches[0];
	result = gb_appender_create(worker, settings->fd,
		settings->fsync == FSYNC_BATCH ? GB_APPENDER_SYNC : 0, &writer->appender);
	if (result == 0)
		result = gb_worker_set_data(worker, user, writer);
	if (result < 0) {
		gb_appender_destroy(writer->appender);
		free(writer);
	}
	return result;
}

/* What no operation has stored, by plain calls. */
static void store_now(struct writer *writer, struct batch *batch)
{
	int error = 0;

	while (error == 0 && batch->done < batch->size) {
		ssize_t written =
			write(writer->settings->fd, batch->data + batch->done, batch->size - batch->done);

		if (written > 0)
			batch->done += (size_t)written;
		else if (written == 0 || errno != EINTR)
			error = written == 0 ? -EIO : -errno;
	}
	if (error == 0 && writer->settings->fsync == FSYNC_BATCH && fdatasync(writer->settings->fd) < 0)
		error = -errno;
	settle(writer, batch, error);
	writer->dirty = true;
}

static void syslog_stop(struct gb_worker *worker, void *user)
{
	struct writer *writer = gb_worker_data(worker, user);

	if (!writer)
		return;
	gb_timer_stop(&writer->retry);
	gb_timer_stop(&writer->sync_timer);
	if (writer->storing)
		store_now(writer, other(writer));
	if (writer->filling->size > 0) {
		skip_end(writer, writer->filling);
		store_now(writer, writer->filling);
	}
	if (writer->settings->fsync == FSYNC_INTERVAL && writer->dirty && fdatasync(writer->settings->fd) < 0)
		count(&writer->settings->counters->sync_failures, 1);
	gb_appender_destroy(writer->appender);
	free(writer->batches[0].data);
	free(writer->batches[1].data);
	free(writer);
}

/* The server. */

static int open_file(struct syslog_settings *settings, struct gb_error *error)
{
	settings->fd = open(settings->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	if (settings->fd < 0)
		return gb_error_set(error, -errno, "set file: %s: %s", settings->file, gb_strerror(errno));
	if (settings->fsync != FSYNC_NEVER && fdatasync(settings->fd) < 0) {
		int code = errno;

		close(settings->fd);
		return gb_error_set(error, -GB_EUSAGE, "set fsync: %s cannot be synced: %s: set fsync=never",
			settings->file, gb_strerror(code));
	}
	return 0;
}

static int syslog_prepare(struct gb_server *server, void *user, struct gb_error *error)
{
	struct syslog_settings *settings = user;
	struct counters *counters;
	int result;

	(void)server;
	if (!settings->file || !*settings->file)
		return gb_error_set(error, -GB_EUSAGE, "syslog has no file: --set file=PATH");
	if (settings->prepared > 0) {
		settings->prepared++;
		return 0;
	}
	result = open_file(settings, error);
	if (result < 0)
		return result;
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED) {
		close(settings->fd);
		return gb_error_set(error, -ENOMEM, "no memory for the counters of syslog");
	}
	settings->counters = counters;
	settings->prepared = 1;
	return 0;
}

static void syslog_release(void *user)
{
	struct syslog_settings *settings = user;

	if (--settings->prepared > 0)
		return;
	munmap(settings->counters, sizeof(*settings->counters));
	settings->counters = NULL;
	close(settings->fd);
}

/* What waits at the end of all was in the memory of a worker that crashed. */
static int syslog_summary(void *user, char *text, size_t size)
{
	struct counters *counters = ((struct syslog_settings *)user)->counters;
	uint64_t stored = atomic_load(&counters->stored), lost = atomic_load(&counters->lost);
	uint64_t accepted = atomic_load(&counters->accepted); /* last: it is not less */

	return snprintf(text, size,
		"{\"accepted\": %" PRIu64 ", \"stored\": %" PRIu64 ", \"lost\": %" PRIu64
		", \"waiting\": %" PRIu64 ", \"cut\": %" PRIu64 ", \"ill_framed\": %" PRIu64
		", \"oversized\": %" PRIu64 ", \"sync_failures\": %" PRIu64 "}",
		accepted, stored, lost, accepted - stored - lost, atomic_load(&counters->cut),
		atomic_load(&counters->ill_framed), atomic_load(&counters->oversized),
		atomic_load(&counters->sync_failures));
}

/* A route of its own keeps it on its worker's thread, where the appender is, also beside a pool. */
static const struct gb_route syslog_table[] = {
	{ "record", .otherwise = true, .on_message = syslog_message },
	{ NULL },
};
static const struct gb_routes syslog_routes = { .by = GB_ROUTE_BY_BYTE, .table = syslog_table };
static const char *const samples[] = { "<34>1 2003-10-11T22:14:15.003Z host su - ID47 - it failed\\n",
	"31 <13>Oct 11 22:14:15 host su: hi", NULL };

const struct gb_service gb_service_syslog = {
	GB_SERVICE_INIT,
	.name = "syslog",
	.summary = "stores log records (RFC 5424, RFC 3164) in a file",
	.codec = &syslog_codec,
	.state = GB_STATE_WORKER,
	.traits = GB_TRAIT_STATE_APART,
	.conn_state_size = sizeof(struct talk),
	.settings = syslog_settings,
	.settings_size = sizeof(struct syslog_settings),
	.samples = samples,
	.routes = &syslog_routes,
	.on_prepare = syslog_prepare,
	.on_release = syslog_release,
	.on_summary = syslog_summary,
	.on_start = syslog_start,
	.on_stop = syslog_stop,
	.on_open = syslog_open,
	.on_eof = syslog_eof,
	.on_error = syslog_error,
	.on_drain = syslog_drain,
	.on_close = syslog_close,
};
