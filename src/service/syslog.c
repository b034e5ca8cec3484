/*
 * Stores log records that come over TCP (RFC 5424 and RFC 3164, framed as RFC 6587 says) in a file, one line each.
 *
 * Over TLS each record must have its length in front (RFC 5425, 4.3), else either framing will do.
 *
 * Nobody is answered, so who sends is held back by not reading. At the end accepted = stored + lost.
 *
 * What a connection ends in the middle of is stored and counted as cut, and its line says so. (rsyslog drops it behind a
 * length, and takes it for a whole record behind none: but a sender that died ends its connection by a FIN as well.)
 *
 * At SIGHUP the file is looked for by its path again, so that whoever rotates logs moves it away first.
 */
#include "services.h"
#include "syslog_record.h"
#include "syslog_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PEER_MAX 448u

static const struct gb_setting syslog_settings[] = {
	{ "file", GB_SETTING_TEXT, offsetof(struct syslog_settings, file), .argument = "PATH",
		.summary = "what records are appended to, a line each" },
	{ "framing", GB_SETTING_CHOICE, offsetof(struct syslog_settings, framing), .fallback = "auto",
		.choices = "auto|counted|any",
		.summary = "whether each record must have its length in front; auto: over TLS (RFC 5425)" },
	{ "fsync", GB_SETTING_CHOICE, offsetof(struct syslog_settings, fsync), .fallback = "never",
		.choices = "never|interval|batch",
		.summary =
			"when the disk is to have them: when it likes, every second, or behind every write" },
	{ "delay", GB_SETTING_DURATION, offsetof(struct syslog_settings, delay_ms), .fallback = "5ms",
		.max = 60000, .argument = "TIME",
		.summary = "records wait so long for others to be written with; 0: not at all" },
	{ "rest", GB_SETTING_DURATION, offsetof(struct syslog_settings, rest_ms), .fallback = "2ms",
		.max = 1000, .argument = "TIME",
		.summary =
			"a worker that got few records sleeps so long, so that more come at once; 0: not at all" },
	{ "memory", GB_SETTING_SIZE, offsetof(struct syslog_settings, memory), .fallback = "1MiB", .min = 1,
		.max = 1u << 30, .argument = "SIZE",
		.summary = "stop reading while more than this waits for the disk, in each worker" },
	{ NULL },
};

/* Connections. */

static int syslog_open(struct gb_conn *conn)
{
	const struct syslog_settings *settings = gb_conn_user(conn);
	struct syslog_talk *talk = gb_conn_state(conn);
	struct gb_tls_info info;

	syslog_writer_join(gb_worker_data(gb_conn_worker(conn), gb_conn_user(conn)), talk, conn);
	talk->counted = settings->framing == FRAMING_COUNTED ||
		(settings->framing == FRAMING_AUTO && gb_conn_tls(conn, &info) == 0);
	return 0;
}

static void tell_ill_framed(struct gb_conn *conn, const char *problem)
{
	struct syslog_talk *talk = gb_conn_state(conn);
	char peer[PEER_MAX] = "?";

	gb_conn_peer(conn, peer, sizeof(peer));
	syslog_count(&talk->writer->settings->counters->ill_framed, 1);
	gb_log(GB_LOG_NOTICE, "syslog: %s: ill-framed: %s", peer, problem ? problem : "no record");
}

static void syslog_message(struct gb_conn *conn, struct gb_bytes record)
{
	struct syslog_talk *talk = gb_conn_state(conn);
	struct syslog_writer *writer = talk->writer;

	if (talk->counted && gb_conn_frame(conn)->offset == 0) {
		tell_ill_framed(conn, "a record has no length in front, as RFC 5425 wants it");
		gb_conn_fail(conn, GB_CLOSE_BAD_FRAME);
		return;
	}
	if (syslog_writer_add(writer, record, false) < 0) {
		gb_conn_fail(conn, GB_CLOSE_NO_MEMORY);
		return;
	}
	syslog_writer_hold(writer, talk);
	syslog_writer_store(writer);
}

/* The connection ends in the middle of a record, if there is any of one. */
static void take_cut(struct gb_conn *conn)
{
	struct syslog_writer *writer = ((struct syslog_talk *)gb_conn_state(conn))->writer;
	struct gb_bytes rest = gb_conn_rest(conn);
	char peer[PEER_MAX] = "?";

	if (rest.size == 0)
		return;
	gb_conn_peer(conn, peer, sizeof(peer));
	gb_log(GB_LOG_NOTICE, "syslog: %s: its last record is cut behind %zu bytes", peer, rest.size);
	syslog_count(&writer->settings->counters->cut, 1);
	if (syslog_writer_add(writer, syslog_begun(rest), true) == 0)
		syslog_writer_store(writer);
}

static void syslog_eof(struct gb_conn *conn)
{
	take_cut(conn);
	gb_conn_end_output(conn);
}

static void syslog_error(struct gb_conn *conn, int reason)
{
	struct syslog_talk *talk = gb_conn_state(conn);
	struct syslog_counters *counters = talk->writer->settings->counters;
	const char *problem = gb_conn_frame(conn)->problem;
	char peer[PEER_MAX] = "?";

	if (reason != GB_CLOSE_BAD_FRAME && reason != GB_CLOSE_MESSAGE_TOO_LARGE) {
		take_cut(conn);
		return;
	}
	if (reason == GB_CLOSE_BAD_FRAME) {
		tell_ill_framed(conn, problem);
		return;
	}
	gb_conn_peer(conn, peer, sizeof(peer));
	syslog_count(&counters->oversized, 1);
	gb_log(GB_LOG_NOTICE, "syslog: %s: a record is larger than max-message", peer);
}

static void syslog_drain(struct gb_conn *conn)
{
	syslog_writer_drain(((struct syslog_talk *)gb_conn_state(conn))->writer);
}

static void syslog_close(struct gb_conn *conn, int reason)
{
	struct syslog_talk *talk = gb_conn_state(conn);

	(void)reason;
	if (!talk->link)
		return;
	take_cut(conn);
	syslog_writer_leave(talk);
}

/* Workers. */

static int syslog_start(struct gb_worker *worker, void *user)
{
	struct syslog_writer *writer;
	int result;

	if (gb_worker_computes(worker))
		return 0;
	result = syslog_writer_create(worker, user, &writer);
	if (result < 0)
		return result;
	result = gb_worker_set_data(worker, user, writer);
	if (result < 0)
		syslog_writer_destroy(writer);
	return result;
}

static void syslog_stop(struct gb_worker *worker, void *user)
{
	struct syslog_writer *writer = gb_worker_data(worker, user);

	if (writer)
		syslog_writer_destroy(writer);
}

/* The server. */

/* Whether it can be written to; it is each worker's to open. */
static int try_file(struct syslog_settings *settings, struct gb_error *error)
{
	struct syslog_file *file;
	int result;

	settings->files = (struct syslog_files){ .path = settings->file, .lock = PTHREAD_MUTEX_INITIALIZER };
	result = syslog_file_take(&settings->files, &file);
	if (result < 0)
		return gb_error_set(error, result, "set file: %s: %s", settings->file, gb_strerror(result));
	if (settings->fsync != FSYNC_NEVER && fdatasync(file->fd) < 0)
		result =
			gb_error_set(error, -GB_EUSAGE, "set fsync: %s cannot be synced: %s: set fsync=never",
				settings->file, gb_strerror(errno));
	syslog_file_give(&settings->files, file);
	return result;
}

static int syslog_prepare(struct gb_server *server, void *user, struct gb_error *error)
{
	struct syslog_settings *settings = user;
	struct syslog_counters *counters;
	int result;

	(void)server;
	if (!settings->file || !*settings->file)
		return gb_error_set(error, -GB_EUSAGE, "syslog has no file: --set file=PATH");
	if (settings->prepared > 0) {
		settings->prepared++;
		return 0;
	}
	result = try_file(settings, error);
	if (result < 0)
		return result;
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED)
		return gb_error_set(error, -ENOMEM, "no memory for the counters of syslog");
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
}

/* What waits at the end of all was in the memory of a worker that crashed. */
static int syslog_summary(void *user, char *text, size_t size)
{
	struct syslog_counters *counters = ((struct syslog_settings *)user)->counters;
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
	.conn_state_size = sizeof(struct syslog_talk),
	.settings = syslog_settings,
	.settings_size = sizeof(struct syslog_settings),
	.samples = samples,
	.routes = &syslog_routes,
	.signals = GB_SIGNAL_BIT(SIGHUP),
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
