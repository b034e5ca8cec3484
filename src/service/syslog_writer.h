/**
 * What a worker of the service `syslog` has: records in memory, on their way to the file, and the connections that wait.
 */
#ifndef SERVICE_SYSLOG_WRITER_H
#define SERVICE_SYSLOG_WRITER_H

#include "syslog_file.h"

#include <gearbox/gearbox.h>

#include <stdatomic.h>

enum syslog_framing { FRAMING_AUTO, FRAMING_COUNTED, FRAMING_ANY };
enum syslog_fsync { FSYNC_NEVER, FSYNC_INTERVAL, FSYNC_BATCH };

/* In memory that worker processes share. */
struct syslog_counters {
	_Atomic uint64_t accepted, stored, lost, cut, ill_framed, oversized, sync_failures;
};

struct syslog_settings {
	char *file;
	unsigned framing; /* enum syslog_framing */
	unsigned fsync;   /* enum syslog_fsync */
	uint64_t delay_ms, rest_ms, memory;
	struct syslog_counters *counters;
	struct syslog_files files;
	unsigned prepared; /* addresses that it serves */
};

struct syslog_batch {
	struct gb_append append;
	unsigned char *data;
	size_t size, room;
	size_t done;      /* so much of it is in the file, or to be left out */
	uint64_t records; /* whole lines of it */
};

struct syslog_writer {
	struct gb_worker *worker;
	struct syslog_settings *settings;
	struct syslog_file *file, *next; /* what is written to, and what will be once `change` is complete */
	struct gb_appender *appender;
	struct syslog_batch batches[2];
	struct syslog_batch *filling;
	bool storing;   /* the other one is */
	bool delaying;  /* what is filled is stored when `delay` expires, or has become enough */
	bool full;      /* and waits for room on the disk */
	bool torn;      /* the last line of ours is cut */
	bool paused;    /* all connections are */
	bool draining;  /* nothing is tried again */
	bool dirty;     /* stored, and not synced */
	bool again;     /* the file is to be looked for once more when `change` is complete */
	bool resting;   /* it rests behind this turn, if that brings few records */
	size_t brought; /* bytes of records, in this turn */
	uint64_t turn;  /* of the batch that is filled */
	struct syslog_talk *talks;
	struct syslog_talk *held;
	struct gb_timer delay, retry, sync_timer;
	struct gb_append sync, last_sync, change;
	struct gb_signal_watch hangup;
};

/* What a connection has of its own. */
struct syslog_talk {
	struct syslog_writer *writer;
	struct gb_conn *conn;
	struct syslog_talk *next, **link;           /* of all connections */
	struct syslog_talk *held_next, **held_link; /* of those with records in memory; NULL: it has none */
	uint64_t turn;                              /* of the batch with the last one */
	bool counted;                               /* each record must have its length in front */
};

/** Thread: any. */
static inline void syslog_count(_Atomic uint64_t *counter, uint64_t many)
{
	atomic_fetch_add_explicit(counter, many, memory_order_relaxed);
}

int syslog_writer_create(
	struct gb_worker *worker, struct syslog_settings *settings, struct syslog_writer **ret);
/** What is in memory is stored before, by plain calls. */
void syslog_writer_destroy(struct syslog_writer *writer);

/** A record of a connection, whole or cut: it is accepted. Returns 0, or -ENOMEM: it is lost. */
int syslog_writer_add(struct syslog_writer *writer, struct gb_bytes record, bool cut);
/** After it the connection is held until that record is stored. */
void syslog_writer_hold(struct syslog_writer *writer, struct syslog_talk *talk);
/** Store what was added: soon, with what comes meanwhile. */
void syslog_writer_store(struct syslog_writer *writer);
/** Nothing waits for others any more, and a full disk is tried for the last time. */
void syslog_writer_drain(struct syslog_writer *writer);
/** A connection comes, respectively goes. */
void syslog_writer_join(struct syslog_writer *writer, struct syslog_talk *talk, struct gb_conn *conn);
void syslog_writer_leave(struct syslog_talk *talk);

#endif
