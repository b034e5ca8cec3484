/* Ends with TLS in front: what the peer is told of them. */
#include "net/task.h"
#include "rig.h"
#include "tls/session.h"

#define ROUNDS 6u /* of each case: handshakes take their time */

static unsigned messages, errors;

static void answer(struct gb_conn *conn, struct gb_bytes message)
{
	(void)message;
	messages++;
	gb_conn_send(conn, "answer\n", 7);
}

static void note_error(struct gb_conn *conn, int reason)
{
	(void)conn;
	CHECK_INT(reason, GB_CLOSE_TLS_ERROR);
	errors++;
}

static const struct gb_service lines = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lines",
	.codec = &gb_codec_line, .on_open = count_open, .on_message = answer, .on_error = note_error,
	.on_close = count_close };

/* Behind a message that is answered: the peer is told all the same, whoever has the records, OpenSSL or we. */
static void tell_behind(struct rig *rig, unsigned before)
{
	static const char changed[] = "\x17\x03\x03\x00\x14xxxxxxxxxxxxxxxxxxxx";
	struct peer *peer = rig_tls_peer(rig, &lines);
	const unsigned closed = rig->closed, opened = rig->opened;

	UNTIL(rig, peer, peer->open && rig->opened > opened);
	for (unsigned i = 0; i < before; i++) {
		peer_send(peer, "good\n", 5);
		UNTIL(rig, peer, peer->got_size == (i + 1) * 7);
	}
	CHECK((rig->current->terms->fronted->session->ssl != NULL) == (before == 0));
	CHECK_INT(gb__tls_session_write(peer->session, "last\n", 5), 5);
	memcpy(peer->records + peer->records_size, changed, sizeof(changed) - 1);
	peer->records_size += sizeof(changed) - 1;
	CHECK_INT(sim_client_send(peer->client, peer->records, peer->records_size), peer->records_size);
	peer->records_size = 0;
	UNTIL(rig, peer, peer->failed || peer->at_end || peer->was_reset);
	CHECK(peer->failed);
	CHECK_STR(gb__tls_session_problem(peer->session), "the peer says: bad record mac");
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == closed + 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_TLS_ERROR);
	peer_close(peer);
}

NET_TEST(tls_a_record_that_was_changed_is_told_although_one_before_it_is_answered)
{
	if (rig->round >= ROUNDS)
		return;
	messages = errors = 0;
	rig_calm(rig);
	tell_behind(rig, 0);
	tell_behind(rig, 2);
	CHECK_INT(messages, 4);
	CHECK_INT(errors, 2);
}
