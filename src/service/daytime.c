/* RFC 867: a connection is answered with the local time as a line, "Thursday, April 20, 2017 12:00:00-UTC". */
#include "clock.h"
#include "services.h"

/* What a client sends is thrown away. */
static void daytime_serve(struct gb_stream *stream)
{
	time_t now = gb_service_clock_now(gb_stream_user(stream));
	struct tm parts;
	char line[80];

	if (localtime_r(&now, &parts))
		gb_write(stream, line, strftime(line, sizeof(line), "%A, %B %d, %Y %H:%M:%S-%Z\r\n", &parts));
	else /* a clock that no calendar shows */
		gb_stream_fail(stream, GB_CLOSE_REFUSED);
}

const struct gb_service gb_service_daytime = {
	GB_SERVICE_INIT,
	.name = "daytime",
	.summary = "tells the time as a line, then closes (RFC 867)",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE,
	.settings = gb_service_clock_settings,
	.settings_size = sizeof(struct clock_settings),
	.serve = daytime_serve,
};
