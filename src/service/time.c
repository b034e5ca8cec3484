/* RFC 868: a connection is answered with the seconds since 1900, four bytes, the highest first. */
#include "clock.h"
#include "services.h"

#define FROM_1900_TO_1970 2208988800u

static int time_open(struct gb_conn *conn)
{
	/* The number begins anew in 2036, as every implementation of this protocol has it. */
	uint32_t seconds = (uint32_t)((uint64_t)gb_service_clock_now(gb_conn_user(conn)) + FROM_1900_TO_1970);
	const unsigned char answer[] = { (unsigned char)(seconds >> 24), (unsigned char)(seconds >> 16),
		(unsigned char)(seconds >> 8), (unsigned char)seconds };

	gb_conn_send(conn, answer, sizeof(answer));
	gb_conn_close(conn);
	return 0;
}

static void time_message(struct gb_conn *conn, struct gb_bytes message)
{
	/* What a client sends is thrown away. */
	(void)conn;
	(void)message;
}

const struct gb_service gb_service_time = {
	GB_SERVICE_INIT,
	.name = "time",
	.summary = "tells the seconds since 1900 as four bytes, then closes (RFC 868)",
	.traits = GB_TRAIT_THREAD_SAFE,
	.settings = gb_service_clock_settings,
	.settings_size = sizeof(struct clock_settings),
	.on_open = time_open,
	.on_message = time_message,
};
