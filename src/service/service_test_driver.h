/**
 * Handlers on a connection that only records: the public functions that they call are defined by the driver.
 */
#ifndef SERVICE_TEST_DRIVER_H
#define SERVICE_TEST_DRIVER_H

#include "services.h"

#include "harness.h"

struct gb_conn {
	void *user;
	void *state;         /* conn_state_size zeroed bytes */
	unsigned char *sent; /* and not yet dropped */
	size_t size;
	size_t room; /* gb_conn_try_send says -EAGAIN above so many bytes in `sent` */
	bool closed;
	int reason; /* of closing */
	bool paused;
	int holds;
	struct gb_bytes rest; /* what gb_conn_rest says */
};

/** A connection of the service with this setting (NULL: all fallbacks), not told of yet. */
struct gb_conn *service_conn(const struct gb_service *service, const char *key, const char *value);
void service_conn_destroy(const struct gb_service *service, struct gb_conn *conn);

/** Call on_message with `size` bytes in memory of their own. */
void service_deliver(const struct gb_service *service, struct gb_conn *conn, const void *data, size_t size);
/** Serve it to its end, after which it is closed. What it hears is the peer's end. */
void service_serve(const struct gb_service *service, struct gb_conn *conn);
/** What was sent since is exactly this; forgets it. */
void service_check_sent(struct gb_conn *conn, const void *data, size_t size);

/** The append and the timer that are under way, or NULL: there is one of each. */
extern struct gb_append *service_append;
extern struct gb_timer *service_timer;
/** There is no memory for one. */
extern bool service_timers_refused;
/** The switch to another file that is under way, and the watch of SIGHUP. */
extern struct gb_append *service_switch;
extern struct gb_signal_watch *service_hangup;
void service_switch_done(void);
/** The sync that is under way. */
extern struct gb_append *service_sync;
void service_sync_done(void);
/** Complete the append, respectively the timer. */
void service_append_done(int result, size_t written);
void service_timer_expire(void);

#endif
