/*
 * echo by handlers that compute for some ten microseconds first, with the library: a worker of it is busy when others
 * have something for it. It is measured, and measures nothing.
 */
#include <gearbox/gearbox.h>

#define STEPS 8000u

static void on_message(struct gb_conn *conn, struct gb_bytes bytes)
{
	volatile uint32_t number = 1;

	for (unsigned i = 0; i < STEPS; i++)
		number = number * 1664525u + 1013904223u;
	gb_conn_send(conn, bytes.data, bytes.size);
}

static const struct gb_service busy_echo = {
	GB_SERVICE_INIT,
	.state = GB_STATE_NONE,
	.name = "busy-echo",
	.summary = "computes, then sends back what it received",
	.on_message = on_message,
};

int main(int argc, char **argv)
{
	return gb_main(argc, argv, &busy_echo);
}
