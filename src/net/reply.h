/**
 * Places in the order of a connection's replies: gearbox/reply.h.
 *
 * Terms hold those of their connection, first to last. The first one's bytes go to the connection's output as they
 * come. Each of the others collects its own, and what is sent on the connection behind it; finished, it waits for those
 * before it. A handler on a pool thread takes places that its task keeps, until it is back and they are placed.
 *
 * A place's memory stays for as long as anybody may name it, until the server has ended; its serial tells who means it:
 * even while it is open, odd once somebody has said that it is finished, who alone may refer to it then; the next even
 * one when it is free. So a reply that is finished twice, or whose connection has ended, is found on any thread.
 */
#ifndef NET_REPLY_H
#define NET_REPLY_H

#include "buffer/output.h"
#include "loop/loop.h"

#include <gearbox/reply.h>

#include <pthread.h>
#include <stdatomic.h>

struct gb__net;

struct gb__place {
	_Atomic uint64_t serial;
	struct gb__net *net;       /* whose loop's thread alone has the rest while it is open */
	struct gb__loop *loop;     /* of it, and */
	struct gb__places *places; /* where it goes back to: a worker's net may be another one's by then */
	struct gb_conn *conn;      /* NULL: it has ended */
	struct gb__place *next;    /* in order; or of those that are free */
	struct gb__output output;  /* of the reply, while others are before it */
	struct gb__output behind;  /* what was sent on the connection after it, and before the next */
	struct gb__post done;      /* from another thread: it is finished */
	int reason;                /* gb_reply_fail, or -1; by who finishes it */
	bool finished;
	bool placed;  /* false: its task is not back */
	bool streams; /* bytes of it went to the connection's output */
};

/** Those of a connection, or of a task. Zeroed there is none. */
struct gb__replies {
	struct gb__place *first, *last;
	unsigned open;
	bool loose;     /* they need not wait for one another */
	size_t waiting; /* bytes in places */
};

/** Free places of all loops of a process. */
struct gb__places {
	pthread_mutex_t lock;
	struct gb__place *free;
	struct gb__places_block *blocks;
};

void gb__places_init(struct gb__places *places);
/** Nobody names any more. */
void gb__places_finish(struct gb__places *places);
/** The net has no connection any more: what it had taken goes back. */
void gb__replies_finish(struct gb__net *net);
/** A connection has ended. */
void gb__replies_cancel(struct gb_conn *conn);
/** A task is back, and its connection is open: what it deferred is in order now. */
void gb__replies_place(struct gb_conn *conn, struct gb__replies *from);
/** Likewise, and its connection is not: nobody waits for them. */
void gb__replies_drop(struct gb_conn *conn, struct gb__replies *replies);
/** Whether more than half of max-replies are open: who was stopped at the bound goes on below that, not one by one. */
bool gb__replies_many(const struct gb_conn *conn);

#endif
