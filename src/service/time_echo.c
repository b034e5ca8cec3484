/* Each line comes back with the local time before it: "[Thu Apr 20 12:00:00 2017] line". */
#include "clock.h"
#include "services.h"

#include <stdio.h>
#include <string.h>

/*
 * "[time] " of a second. Formatting costs far more than reading the clock, and many messages share a
 * second, so each thread keeps the last one.
 */
static const char *stamp_of(time_t now, size_t *ret_size)
{
	static _Thread_local char stamp[32];
	static _Thread_local time_t stamped;
	static _Thread_local size_t size;
	char text[26]; /* the size that ctime_r asks for */

	if (size == 0 || now != stamped) {
		if (!ctime_r(&now, text))
			strcpy(text, "unknown time"); /* a clock beyond the year 9999 */
		size = (size_t)snprintf(stamp, sizeof(stamp), "[%.*s] ", (int)strcspn(text, "\n"), text);
		stamped = now;
	}
	*ret_size = size;
	return stamp;
}

static void time_echo_message(struct gb_conn *conn, struct gb_bytes line)
{
	size_t size;
	const char *stamp = stamp_of(gb_service_clock_now(gb_conn_user(conn)), &size);

	gb_conn_send(conn, stamp, size);
	gb_conn_send(conn, line.data, line.size);
	gb_conn_send(conn, "\n", 1);
}

const struct gb_service gb_service_time_echo = {
	GB_SERVICE_INIT,
	.name = "time-echo",
	.summary = "sends back each line with the local time before it",
	.codec = &gb_codec_line,
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_MOVABLE_IDLE,
	.settings = gb_service_clock_settings,
	.settings_size = sizeof(struct clock_settings),
	.on_message = time_echo_message,
};
