/* Peers that keep the session busy, and say nothing to the service. */
#include "rig.h"

#include <openssl/ssl.h>

#define FLOOD_BYTES 600000u

static unsigned messages;

static void count_message(struct gb_conn *conn, struct gb_bytes message)
{
	(void)conn;
	messages += message.size > 0;
}

static const struct gb_service quiet = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "quiet",
	.on_open = count_open, .on_message = count_message, .on_close = count_close };

/* OpenSSL's own client: it can ask for what ours never does. */
static SSL *client_create(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;

	SSL_CTX_free(ctx);
	CHECK(ssl && SSL_set_min_proto_version(ssl, TLS1_3_VERSION));
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	return ssl;
}

/* Returns whether all that it has to send was taken within some turns. */
static bool leaves(struct rig *rig, struct peer *peer, SSL *ssl)
{
	char *bytes;
	size_t size = (size_t)BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);

	for (unsigned turns = 0; size > 0 && turns < 50; turns++) {
		size_t taken = sim_client_send(peer->client, bytes, size);

		bytes += taken;
		size -= taken;
		if (taken > 0)
			turns = 0;
		rig_step(rig, NULL);
	}
	CHECK(BIO_reset(SSL_get_wbio(ssl)) == 1);
	return size == 0;
}

/* What it has received is there. */
static void comes(struct peer *peer, SSL *ssl)
{
	if (peer->got_size > 0)
		CHECK_INT(BIO_write(SSL_get_rbio(ssl), peer->got, (int)peer->got_size), peer->got_size);
	peer->got_size = 0;
}

/* All but the end of it is said. */
static void shake(struct rig *rig, struct peer *peer, SSL *ssl)
{
	for (unsigned i = 0; SSL_do_handshake(ssl) != 1; i++) {
		CHECK(i < 1000 && leaves(rig, peer, ssl));
		rig_step(rig, peer);
		comes(peer, ssl);
	}
}

/* Each asks for an answer (RFC 8446, 4.6.3), and gets one of its own as they come one at a time; data between them, so that it is
 * no flood without. */
NET_TEST(tls_who_has_keys_updated_and_does_not_read_is_not_read_either)
{
	struct peer *peer;
	SSL *ssl;

	if (rig->round > 0)
		return;
	messages = 0;
	peer = rig_peer_on(rig, &quiet, rig_front());
	ssl = client_create();
	shake(rig, peer, ssl);
	CHECK(leaves(rig, peer, ssl));
	UNTIL(rig, NULL, rig->opened == 1);
	for (size_t sent = 0; sent < FLOOD_BYTES; sent += 50) {
		CHECK(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
		CHECK_INT(SSL_write(ssl, "x", 1), 1);
		if (!leaves(rig, peer, ssl))
			break;
	}
	CHECK(messages > 0);
	CHECK_INT(rig->closed, 0);
	CHECK(rig->current->stream.output.bytes > rig->limits.output_low);
	CHECK(rig->current->stream.output.bytes < 2 * rig->limits.output_high);
	SSL_free(ssl);
	peer_close(peer);
	UNTIL(rig, NULL, rig->closed == 1);
}

static int greet(struct gb_conn *conn)
{
	count_open(conn);
	return gb_conn_send(conn, "welcome", 7);
}

static const struct gb_service greeting = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "greeting",
	.on_open = greet, .on_close = count_close };

/* What comes with the end of the handshake is nothing to the service, as a KeyUpdate or half a record. */
NET_TEST(tls_who_is_greeted_need_not_have_said_anything_whatever_its_session_says)
{
	for (unsigned half = 0; half < 2 && rig->round == 0; half++) {
		struct peer *peer = rig_peer_on(rig, &greeting, rig_front());
		SSL *ssl = client_create();
		char text[10];

		shake(rig, peer, ssl);
		if (half)
			CHECK_INT(BIO_write(SSL_get_wbio(ssl), "\x17\x03\x03\x01\x00half", 9), 9);
		else
			CHECK(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
				SSL_do_handshake(ssl) == 1);
		CHECK(leaves(rig, peer, ssl));
		for (unsigned i = 0; SSL_read(ssl, text, sizeof(text)) != 7; i++) {
			CHECK(i < 100);
			rig_step(rig, peer);
			comes(peer, ssl);
		}
		CHECK(memcmp(text, "welcome", 7) == 0);
		SSL_free(ssl);
		peer_close(peer);
		UNTIL(rig, NULL, rig->closed == half + 1);
	}
}

/* Of a record the service sees nothing before it is complete, and so has no message that could be late. */
NET_TEST(tls_who_sends_a_record_byte_by_byte_is_idle)
{
	struct peer *peer;

	if (rig->round > 0)
		return;
	rig->limits.idle_timeout_ms = 1000;
	peer = rig_tls_peer(rig, &quiet);
	UNTIL(rig, peer, rig->opened == 1 && peer->open);
	CHECK_INT(sim_client_send(peer->client, "\x17\x03\x03\x40\x00", 5), 5);
	for (unsigned i = 0; !peer->ended; i++) {
		CHECK(i < 40);
		sim_client_send(peer->client, "x", 1);
		for (unsigned turn = 0; turn < 3; turn++)
			rig_step(rig, peer);
		rig_pass(rig, 100);
	}
	sim_client_shutdown(peer->client);
	UNTIL(rig, peer, rig->closed == 1);
	CHECK_INT(rig->last_reason, GB_CLOSE_IDLE);
	peer_close(peer);
}
