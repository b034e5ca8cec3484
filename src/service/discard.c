/* RFC 863: whatever a client sends is thrown away. */
#include "services.h"

static void discard_message(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn;
	(void)message;
}

const struct gb_service gb_service_discard = {
	GB_SERVICE_INIT,
	.name = "discard",
	.summary = "throws away what it receives (RFC 863)",
	.state = GB_STATE_NONE,
	.traits = GB_TRAIT_THREAD_SAFE | GB_TRAIT_MOVABLE_IDLE,
	.on_message = discard_message,
};
