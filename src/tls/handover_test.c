/*
 * Sessions that are handed over, in both roles and with each cipher, and OpenSSL itself at the other end: it was not there when
 * our records were written.
 */
#include "tls/certificate_test_driver.h"
#include "tls/context.h"
#include "tls/session.h"

#include "harness.h"

#include <openssl/err.h>

#define WIRE_MAX (1u << 20)

static const char *const suites[] = {
	"TLS_AES_128_GCM_SHA256",
	"TLS_AES_256_GCM_SHA384",
	"TLS_CHACHA20_POLY1305_SHA256",
};

/* Ours, and the other one. */
static struct gb__tls *ours, *others;
static struct gb__tls_pool *pool;
static struct gb__tls_session *session;
static SSL *other;
static unsigned char out[WIRE_MAX];
static size_t out_size;
static bool done;

static int take(void *arg, const void *data, size_t size)
{
	(void)arg;
	CHECK(out_size + size <= WIRE_MAX);
	memcpy(out + out_size, data, size);
	out_size += size;
	return 0;
}

/* Half of them where the session is told to. */
static unsigned char *room(void *arg, size_t size)
{
	static unsigned char memory[WIRE_MAX];

	(void)arg;
	return size % 2 ? memory : NULL;
}

static const struct gb__tls_sink sink = { take, room };

/* Another session of these. */
static void again(bool server, const char *suite)
{
	SSL_CTX *ctx;

	CHECK_INT(gb__tls_session_create(ours, pool, NULL, &sink, NULL, &session), 0);
	ctx = gb__tls_current(others);
	other = SSL_new(ctx);
	SSL_CTX_free(ctx);
	CHECK(other && (!suite || SSL_set_ciphersuites(other, suite) == 1));
	SSL_set_bio(other, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (server)
		SSL_set_connect_state(other);
	else
		SSL_set_accept_state(other);
	out_size = 0;
	done = false;
}

static void begin(bool server, const char *suite)
{
	ours = server ? tls_server() : tls_client();
	others = server ? tls_client() : tls_server();
	CHECK_INT(gb__tls_pool_create(&pool), 0);
	again(server, suite);
}

static void leave(void)
{
	gb__tls_session_destroy(session);
	SSL_free(other);
}

static void end(void)
{
	leave();
	gb__tls_pool_destroy(pool);
	gb__tls_destroy(ours);
	gb__tls_destroy(others);
}

/* What we have emitted is there. */
static void there(void)
{
	if (out_size > 0)
		CHECK_INT(BIO_write(SSL_get_rbio(other), out, (int)out_size), out_size);
	out_size = 0;
}

/* So many bytes of what it has to send are here. What is read is added to `ret`. Returns what reading returned. */
static int here(size_t piece, unsigned char *ret, size_t *ret_size)
{
	ssize_t got = 0;

	while (got >= 0 && BIO_pending(SSL_get_wbio(other)) > 0) {
		static unsigned char bytes[GB__TLS_HEADROOM + WIRE_MAX];
		int size = BIO_read(SSL_get_wbio(other), bytes + GB__TLS_HEADROOM, (int)piece);
		unsigned char *data;

		gb__tls_session_input(session, bytes + GB__TLS_HEADROOM, (size_t)size);
		if (!done) {
			got = gb__tls_session_handshake(session);
			done = got == 1;
		}
		while (done && got >= 0 && (got = gb__tls_session_read(session, &data)) > 0) {
			memcpy(ret + *ret_size, data, (size_t)got);
			*ret_size += (size_t)got;
		}
		gb__tls_session_input(session, NULL, 0);
	}
	return (int)got;
}

static void shake(void)
{
	size_t none = 0;

	done = gb__tls_session_handshake(session) == 1;
	for (int i = 0; i < 10 && !(done && SSL_is_init_finished(other)); i++) {
		there();
		SSL_do_handshake(other);
		CHECK(here(WIRE_MAX, NULL, &none) >= 0);
	}
	CHECK(done);
	there();
	CHECK(here(WIRE_MAX, NULL, &none) >= 0); /* tickets */
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 11 + at / 253);
}

static size_t sent[2], received[2]; /* by us, by the other */

static void we_send(size_t size)
{
	static unsigned char data[WIRE_MAX];

	for (size_t i = 0; i < size; i++)
		data[i] = pattern(sent[0] + i);
	CHECK_INT(gb__tls_session_write(session, data, size), size);
	sent[0] += size;
}

static void other_sends(size_t size)
{
	static unsigned char data[WIRE_MAX];

	for (size_t i = 0; i < size; i++)
		data[i] = pattern(sent[1] + i);
	if (size > 0)
		CHECK_INT(SSL_write(other, data, (int)size), size);
	sent[1] += size;
}

static void all_arrive(size_t piece)
{
	static unsigned char got[WIRE_MAX];
	size_t size = 0;
	int read;

	for (int i = 0; i < 3; i++) {
		there();
		while ((read = SSL_read(other, got, sizeof(got))) > 0)
			for (int at = 0; at < read; at++)
				CHECK_INT(got[at], pattern(received[0]++));
		size = 0;
		CHECK_INT(here(piece, got, &size), 0);
		for (size_t at = 0; at < size; at++)
			CHECK_INT(got[at], pattern(received[1]++));
	}
	CHECK_INT(received[0], sent[0]);
	CHECK_INT(received[1], sent[1]);
}

static void converse(bool server, const char *suite, uint64_t *seed)
{
	sent[0] = sent[1] = received[0] = received[1] = 0;
	begin(server, suite);
	pool->update_after = 20;
	shake();
	CHECK(gb__tls_handover(session) && !session->ssl);
	CHECK_STR(session->suite->name, suite);
	for (unsigned i = 0; i < 60; i++) {
		const uint64_t drawn = test_random(seed);
		static const size_t most[] = { 3, 100, 5000, 70000 };

		we_send(drawn % most[drawn >> 20 & 3]);
		other_sends((drawn >> 24) % most[drawn >> 40 & 3]);
		if ((drawn >> 42) % 4 == 0) {
			CHECK_INT(SSL_key_update(other, (int)(drawn >> 44 & 1)), 1);
			CHECK_INT(SSL_do_handshake(other), 1);
		}
		if ((drawn >> 45) % 8 == 0)
			SSL_set_block_padding(other, 1 + (drawn >> 48) % 300);
		if ((drawn >> 57) % 4)
			all_arrive((drawn >> 59) % 4 ? 1 + (drawn >> 30) % 20000 : 1 + (drawn >> 30) % 7);
		if (i == 30)
			gb__tls_pool_trim(pool);
	}
	all_arrive(WIRE_MAX);
	/* Both ends. */
	CHECK(SSL_shutdown(other) >= 0);
	all_arrive(3);
	CHECK(gb__tls_session_ended(session));
	we_send(10);
	gb__tls_session_close(session);
	all_arrive(3);
	CHECK_INT(SSL_get_shutdown(other), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	end();
}

TEST(both_roles_and_all_ciphers_converse_with_openssl)
{
	uint64_t seed = test_seed();

	for (unsigned i = 0; i < 6; i++)
		converse(i % 2, suites[i / 2], &seed);
}

/* Records of OpenSSL's before the hand-over are counted: tickets, and what was said. */
TEST(it_is_handed_over_with_the_second_message)
{
	for (unsigned server = 0; server < 2; server++) {
		sent[0] = sent[1] = received[0] = received[1] = 0;
		begin(server, NULL);
		shake();
		for (unsigned i = 0; i < 4; i++) {
			other_sends(100);
			we_send(100);
			all_arrive(i % 2 ? 7 : WIRE_MAX);
			CHECK_INT(session->ssl != NULL, i == 0);
		}
		end();
	}
}

TEST(one_message_and_the_end_is_no_reason_to)
{
	sent[0] = sent[1] = received[0] = received[1] = 0;
	begin(true, NULL);
	shake();
	other_sends(64);
	we_send(64);
	all_arrive(WIRE_MAX);
	CHECK(SSL_shutdown(other) >= 0);
	all_arrive(WIRE_MAX);
	CHECK(gb__tls_session_ended(session) && session->ssl);
	end();
}

TEST(who_rests_is_handed_over)
{
	begin(true, NULL);
	CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_NONE);
	shake();
	CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_LATER);
	CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_LATER);
	CHECK(session->ssl);
	CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_NONE);
	CHECK(!session->ssl);
	CHECK(gb__tls_pool_freed(pool) > 0);
	sent[0] = sent[1] = received[0] = received[1] = 0;
	we_send(1000);
	other_sends(1000);
	all_arrive(100);
	end();
}

/* OpenSSL's log of secrets costs time for nothing then. */
TEST(where_nobody_stays_no_secrets_are_kept_until_one_does)
{
	begin(true, NULL);
	shake();
	for (unsigned i = 0; i < 40; i++) {
		CHECK_INT(session->secrets, i < 32 ? 3 : 0);
		leave();
		again(true, NULL);
		shake();
	}
	sent[0] = sent[1] = received[0] = received[1] = 0;
	for (unsigned i = 0; i < 3; i++) {
		other_sends(100);
		we_send(100);
		all_arrive(WIRE_MAX);
		CHECK(session->ssl);
	}
	leave();
	again(true, NULL);
	shake();
	CHECK_INT(session->secrets, 3);
	CHECK(gb__tls_handover(session));
	end();
}

TEST(only_so_many_are_without_secrets_at_once)
{
	struct gb__tls_session *last;
	SSL *others_last;

	begin(true, NULL);
	pool->brief = 32;
	pool->keyless = 255;
	shake();
	CHECK_INT(session->secrets, 0);
	CHECK_INT(pool->keyless, 256);
	last = session;
	others_last = other;
	again(true, NULL);
	shake();
	CHECK_INT(session->secrets, 3);
	CHECK_INT(pool->keyless, 256);
	leave();
	session = last;
	other = others_last;
	leave();
	CHECK_INT(pool->keyless, 255);
	again(true, NULL);
	CHECK(SSL_set_max_proto_version(other, TLS1_2_VERSION)); /* it has nothing to keep */
	shake();
	CHECK_INT(pool->keyless, 255);
	leave();
	again(true, NULL);
	CHECK_INT(SSL_set1_groups_list(other, "P-521:P-256"), 1); /* its hello comes twice */
	shake();
	CHECK_INT(session->secrets, 0);
	CHECK_INT(pool->keyless, 256);
	end();
}

/* Its tickets come with the first answer at the latest. */
TEST(a_client_rests_once_it_was_answered)
{
	sent[0] = sent[1] = received[0] = received[1] = 0;
	begin(false, NULL);
	shake();
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_NONE);
	other_sends(10);
	all_arrive(WIRE_MAX);
	CHECK(session->ssl && session->young);
	for (unsigned i = 0; session->ssl; i++)
		CHECK(i < 3 && gb__tls_pool_rest(pool) >= GB__TLS_REST_NONE);
	we_send(10);
	other_sends(10);
	all_arrive(1);
	end();
}

TEST(within_a_record_it_waits)
{
	unsigned char got[100];
	size_t size = 0;

	for (size_t piece = 1; piece < 35; piece += 3) {
		unsigned char bytes[100], *data;
		int whole;

		begin(true, NULL);
		shake();
		CHECK_INT(SSL_write(other, "half a record", 13), 13);
		whole = BIO_read(SSL_get_wbio(other), bytes, sizeof(bytes));
		CHECK(whole > 0 && piece < (size_t)whole);
		gb__tls_session_input(session, bytes, piece);
		CHECK_INT(gb__tls_session_read(session, &data), 0);
		CHECK(!gb__tls_handover(session) && session->ssl && session->young);
		for (unsigned i = 0; i < 2; i++)
			CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_LATER);
		CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_NONE); /* it is not asked again and again */
		CHECK(session->ssl && !session->young);
		BIO_write(SSL_get_wbio(other), bytes + piece, whole - (int)piece);
		size = 0;
		CHECK_INT(here(1, got, &size), 0);
		CHECK_INT(size, 13);
		CHECK(session->ssl && session->young);
		for (unsigned i = 0; session->ssl; i++)
			CHECK(i < 3 && gb__tls_pool_rest(pool) >= GB__TLS_REST_NONE);
		end();
	}
}

/* A record that the other one could have sent behind those before it. */
static void other_seals(struct gb__tls_way *way, enum gb__tls_record_type type, const void *data, size_t size)
{
	unsigned char bytes[2000];
	int sealed;

	CHECK(size <= sizeof(bytes) - GB__RECORD_OVERHEAD);
	sealed = gb__tls_record_seal(pool, way, type, data, size, bytes);
	CHECK_INT(BIO_write(SSL_get_wbio(other), bytes, sealed), sealed);
}

static void other_begins(struct gb__tls_way *way)
{
	const struct gb__tls_suite *suite =
		gb__tls_suite_find(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(other)));

	CHECK_INT(gb__tls_way_begin(pool, way, suite, true, session->in.secret, session->in_records), 0);
}

TEST(within_a_message_it_waits)
{
	static const char update[] = "\x18\0\0\1";
	unsigned char got[100];

	for (unsigned piece = 1; piece <= 5; piece++) {
		struct gb__tls_way way = { 0 };
		size_t size = 0;

		begin(true, NULL);
		shake();
		other_begins(&way);
		other_seals(&way, GB__RECORD_DATA, "a", 1);
		other_seals(&way, GB__RECORD_HANDSHAKE, update, piece);
		CHECK_INT(here(WIRE_MAX, got, &size), 0);
		CHECK(!gb__tls_handover(session));
		if (piece < 5)
			other_seals(&way, GB__RECORD_HANDSHAKE, update + piece, 5 - piece);
		CHECK_INT(gb__tls_way_update(pool, &way), 0);
		other_seals(&way, GB__RECORD_DATA, "b", 1);
		CHECK_INT(here(WIRE_MAX, got, &size), 0);
		CHECK(size == 2 && memcmp(got, "ab", 2) == 0);
		gb__tls_way_finish(pool, &way);
		end();
	}
}

/* Two tickets, cut in two records anywhere. */
TEST(within_a_ticket_it_waits_and_behind_it_does_not)
{
	static const char ticket[] = "\4\0\0\22"
				     "\0\0\0\2"
				     "age_"
				     "\1n"
				     "\0\4seal"
				     "\0";
	unsigned char both[2 * sizeof(ticket)], got[10];

	memcpy(both, ticket, sizeof(ticket));
	memcpy(both + sizeof(ticket), ticket, sizeof(ticket));
	for (size_t cut = 1; cut < sizeof(both); cut++) {
		struct gb__tls_way way = { 0 };
		size_t size = 0;

		begin(false, NULL);
		shake();
		other_begins(&way);
		other_seals(&way, GB__RECORD_HANDSHAKE, both, cut);
		CHECK_INT(here(WIRE_MAX, got, &size), 0);
		CHECK_INT(gb__tls_handover(session), cut == sizeof(ticket));
		other_seals(&way, GB__RECORD_HANDSHAKE, both + cut, sizeof(both) - cut);
		CHECK_INT(here(WIRE_MAX, got, &size), 0);
		CHECK(!session->ssl || gb__tls_handover(session));
		other_seals(&way, GB__RECORD_DATA, "b", 1);
		CHECK_INT(here(WIRE_MAX, got, &size), 0);
		CHECK(size == 1 && got[0] == 'b');
		gb__tls_way_finish(pool, &way);
		end();
	}
}

TEST(a_client_gets_no_longer_records_than_it_has_asked_for)
{
	static const unsigned char data[513];
	struct gb__tls_way way = { 0 };
	unsigned char got[1000];
	size_t size = 0;

	sent[0] = sent[1] = received[0] = received[1] = 0;
	begin(true, NULL);
	CHECK_INT(SSL_set_tlsext_max_fragment_length(other, TLSEXT_max_fragment_length_512), 1);
	shake();
	other_begins(&way);
	CHECK(gb__tls_handover(session));
	we_send(5000);
	for (size_t at = 0; at < out_size; at += GB__RECORD_HEADER + (size_t)(out[at + 3] << 8 | out[at + 4]))
		CHECK((out[at + 3] << 8 | out[at + 4]) + GB__RECORD_HEADER <= 512 + GB__RECORD_OVERHEAD);
	all_arrive(WIRE_MAX);
	other_seals(&way, GB__RECORD_DATA, data, 512);
	CHECK_INT(here(WIRE_MAX, got, &size), 0);
	CHECK_INT(size, 512);
	other_seals(&way, GB__RECORD_DATA, data, 513);
	CHECK(here(WIRE_MAX, got, &size) < 0);
	CHECK_STR(gb__tls_session_problem(session), "data length too long");
	gb__tls_way_finish(pool, &way);
	end();
}

TEST(who_has_updated_keys_already_or_speaks_tls_1_2_stays)
{
	sent[0] = sent[1] = received[0] = received[1] = 0;
	begin(true, NULL);
	shake();
	CHECK_INT(SSL_key_update(other, SSL_KEY_UPDATE_REQUESTED), 1);
	other_sends(10);
	for (unsigned i = 0; i < 3; i++) {
		other_sends(10);
		we_send(10);
		all_arrive(5);
		CHECK(session->ssl && !session->young);
	}
	end();
	sent[0] = sent[1] = received[0] = received[1] = 0;
	begin(true, NULL);
	CHECK(SSL_set_max_proto_version(other, TLS1_2_VERSION));
	shake();
	CHECK_INT(gb__tls_pool_rest(pool), GB__TLS_REST_NONE);
	for (unsigned i = 0; i < 3; i++) {
		other_sends(10);
		we_send(10);
		all_arrive(5);
		CHECK(session->ssl);
	}
	end();
}

TEST(what_was_agreed_on_is_known_as_before)
{
	struct gb_tls_info before, after;

	begin(true, suites[2]);
	CHECK(SSL_set_tlsext_host_name(other, "localhost"));
	shake();
	CHECK_INT(gb__tls_session_info(session, &before), 0);
	CHECK(gb__tls_handover(session));
	CHECK_INT(gb__tls_session_info(session, &after), 0);
	CHECK(before.server_name == after.server_name && before.alpn == after.alpn &&
		before.subject == after.subject); /* they last as long as the session */
	CHECK_STR(after.server_name, "localhost");
	CHECK_STR(after.version, before.version);
	CHECK_STR(after.cipher, before.cipher);
	CHECK_STR(after.alpn, "");
	CHECK_STR(after.subject, "");
	CHECK(!after.resumed && !before.resumed);
	end();
}

/* The other one has a fault; it is told by the alert. */
TEST(a_fault_is_told_to_openssl_and_its_alerts_are_understood)
{
	unsigned char got[10];
	size_t size = 0;

	begin(true, NULL);
	shake();
	CHECK(gb__tls_handover(session));
	CHECK_INT(BIO_write(SSL_get_wbio(other), "\x17\x03\x03\x00\x14xxxxxxxxxxxxxxxxxxxx", 25), 25);
	CHECK(here(3, got, &size) < 0);
	there();
	CHECK(SSL_read(other, got, sizeof(got)) <= 0);
	CHECK_INT(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
	ERR_clear_error();
	end();
	begin(false, NULL);
	shake();
	CHECK(gb__tls_handover(session));
	CHECK_INT(take(NULL, "\x17\x03\x03\x00\x14xxxxxxxxxxxxxxxxxxxx", 25), 0);
	there();
	CHECK(SSL_read(other, got, sizeof(got)) <= 0);
	ERR_clear_error();
	CHECK(here(3, got, &size) < 0);
	CHECK_STR(gb__tls_session_problem(session), "the peer says: bad record mac");
	end();
}

TEST(a_truncation_is_no_end_after_the_hand_over)
{
	unsigned char got[100];
	size_t size = 0;

	begin(true, NULL);
	shake();
	CHECK(gb__tls_handover(session));
	CHECK_INT(SSL_write(other, "whole", 5), 5);
	CHECK_INT(here(4, got, &size), 0);
	CHECK(size == 5 && !gb__tls_session_ended(session) && !gb__tls_session_problem(session));
	end();
}
