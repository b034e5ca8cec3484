/* Which messages are timed while an observer asks for it. */
#include "rig.h"

static struct gb__ledger ledger;
static unsigned handled;

static void count_message(struct gb_conn *conn, struct gb_bytes message)
{
	handled++;
}

static const struct gb_service counting = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "counting",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = count_message,
	.on_close = count_close };

static void ask(struct rig *rig, uint32_t every)
{
	atomic_store(&ledger.every, every);
	gb__ledger_switch(&rig->net, every);
}

/* How many of so many are timed. */
static unsigned timed(struct rig *rig, struct peer *peer, unsigned count)
{
	const uint64_t before = rig->counters.sampled.messages;

	handled = 0;
	for (unsigned i = 0; i < count; i++) {
		peer_send(peer, "message\n", 8);
		UNTIL(rig, peer, handled == i + 1);
	}
	return (unsigned)(rig->counters.sampled.messages - before);
}

NET_TEST(one_message_in_so_many_is_timed_from_the_one_on_with_which_more_are_asked_for)
{
	struct peer *peer = rig_peer(rig, &counting);

	atomic_store(&ledger.until_ms, UINT64_MAX);
	rig->net.tracing.ledger = &ledger;
	ask(rig, 2);
	CHECK_INT(timed(rig, peer, 1), 1);
	ask(rig, 1);
	CHECK_INT(timed(rig, peer, 1), 1); /* and not the one behind it, as it would have been */
	CHECK_INT(timed(rig, peer, 3), 3);
	ask(rig, 4);
	CHECK_INT(timed(rig, peer, 1), 1);
	CHECK_INT(timed(rig, peer, 3), 0);
	CHECK_INT(timed(rig, peer, 8), 2);
	ask(rig, 0);
	CHECK_INT(timed(rig, peer, 2), 0);
	peer_close(peer);
}
