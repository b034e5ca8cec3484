/* RFC 867: a connection is answered with the local time as a line, "Thursday, April 20, 2017 12:00:00-UTC". */
#include "clock.h"
#include "services.h"

#include <errno.h>

static int daytime_open(struct gb_conn *conn)
{
	time_t now = gb_service_clock_now(gb_conn_user(conn));
	struct tm parts;
	char line[80];

	if (!localtime_r(&now, &parts))
		return -errno; /* a clock that no calendar shows */
	gb_conn_send(conn, line, strftime(line, sizeof(line), "%A, %B %d, %Y %H:%M:%S-%Z\r\n", &parts));
	gb_conn_close(conn);
	return 0;
}

static void daytime_message(struct gb_conn *conn, struct gb_bytes message)
{
	/* What a client sends is thrown away. */
	(void)conn;
	(void)message;
}

const struct gb_service gb_service_daytime = {
	GB_SERVICE_INIT,
	.name = "daytime",
	.summary = "tells the time as a line, then closes (RFC 867)",
	.traits = GB_TRAIT_THREAD_SAFE,
	.settings = gb_service_clock_settings,
	.settings_size = sizeof(struct clock_settings),
	.on_open = daytime_open,
	.on_message = daytime_message,
};
