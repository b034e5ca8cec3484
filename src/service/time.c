/* RFC 868: a connection is answered with the seconds since 1900, four bytes, the highest first. */
#include "clock.h"
#include "services.h"

#define FROM_1900_TO_1970 2208988800u

/* What a client sends is thrown away. */
static void time_serve(struct gb_stream *stream)
{
	/* The number begins anew in 2036, as every implementation of this protocol has it. */
	uint32_t seconds =
		(uint32_t)((uint64_t)gb_service_clock_now(gb_stream_user(stream)) + FROM_1900_TO_1970);
	const unsigned char answer[] = { (unsigned char)(seconds >> 24), (unsigned char)(seconds >> 16),
		(unsigned char)(seconds >> 8), (unsigned char)seconds };

	gb_write(stream, answer, sizeof(answer));
}

const struct gb_service gb_service_time = {
	GB_SERVICE_INIT,
	.name = "time",
	.summary = "tells the seconds since 1900 as four bytes, then closes (RFC 868)",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE,
	.settings = gb_service_clock_settings,
	.settings_size = sizeof(struct clock_settings),
	.serve = time_serve,
};
