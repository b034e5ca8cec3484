/* Sessions back to back: what one emits is what has arrived at the other, in pieces that the test chooses. */
#include "tls/certificate_test_driver.h"
#include "tls/context.h"
#include "tls/tls.h"

#include "harness.h"

#include <errno.h>

#define WIRE_MAX (4u << 20)

struct side {
	struct gb__tls *tls;
	struct gb__tls_session *session;
	struct gb__tls_pool *pool;
	unsigned char *out; /* emitted and not yet at the other side */
	size_t out_size;
	int refuse; /* what emit returns */
	bool done;
};

static int take(void *arg, const void *data, size_t size)
{
	struct side *side = arg;

	if (side->refuse)
		return side->refuse;
	CHECK(side->out_size + size <= WIRE_MAX);
	memcpy(side->out + side->out_size, data, size);
	side->out_size += size;
	return 0;
}

static const struct gb__tls_sink sink = { .emit = take };

static void begin_named(struct side *side, struct gb__tls *tls, const char *name)
{
	*side = (struct side){ .tls = tls, .out = malloc(WIRE_MAX) };
	CHECK_INT(gb__tls_pool_create(&side->pool), 0);
	CHECK_INT(gb__tls_session_create(tls, side->pool, name, &sink, side, &side->session), 0);
}

static void begin(struct side *side, struct gb__tls *tls)
{
	begin_named(side, tls, NULL);
}

static void end(struct side *side)
{
	gb__tls_session_destroy(side->session);
	gb__tls_pool_destroy(side->pool);
	gb__tls_destroy(side->tls);
	free(side->out);
}

/* What there is now, which fits. */
static ssize_t take_plain(struct gb__tls_session *session, void *ret, size_t size)
{
	unsigned char *data;
	ssize_t got = gb__tls_session_read(session, &data);

	CHECK(got <= (ssize_t)size);
	if (got > 0)
		memcpy(ret, data, (size_t)got);
	return got;
}

/* Up to `piece` bytes of what `from` has emitted are at `to` now. Returns how many. */
static size_t carry(struct side *from, struct side *to, size_t piece)
{
	static unsigned char bytes[WIRE_MAX];
	size_t size = from->out_size < piece ? from->out_size : piece;

	memcpy(bytes, from->out, size);
	memmove(from->out, from->out + size, from->out_size - size);
	from->out_size -= size;
	gb__tls_session_input(to->session, bytes, size);
	return size;
}

static int step(struct side *side)
{
	int result = gb__tls_session_handshake(side->session);

	side->done = result == 1;
	return result;
}

/* The handshake, with pieces of this size. */
static void shake(struct side *client, struct side *server, size_t piece)
{
	CHECK_INT(step(client), 0);
	while (!client->done || !server->done) {
		unsigned char byte;

		if (carry(client, server, piece) > 0)
			CHECK(server->done ? take_plain(server->session, &byte, 1) == 0 : step(server) >= 0);
		if (carry(server, client, piece) > 0)
			CHECK(client->done ? take_plain(client->session, &byte, 1) == 0 : step(client) >= 0);
	}
	while (carry(server, client, piece) > 0) { /* tickets */
		unsigned char byte;

		CHECK_INT(take_plain(client->session, &byte, 1), 0);
	}
}

static void pair(struct side *client, struct side *server)
{
	begin(client, tls_client());
	begin(server, tls_server());
}

static void pair_open(struct side *client, struct side *server)
{
	pair(client, server);
	shake(client, server, WIRE_MAX);
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 7 + at / 251);
}

/* All of it arrives, whatever the pieces of the wire. */
static void transfer(struct side *from, struct side *to, size_t size, size_t piece)
{
	unsigned char *data = malloc(size), *got = malloc(size);
	size_t at = 0;

	for (size_t i = 0; i < size; i++)
		data[i] = pattern(i);
	CHECK_INT(gb__tls_session_write(from->session, data, size), size);
	while (carry(from, to, piece) > 0) {
		ssize_t read;

		while ((read = take_plain(to->session, got + at, size - at)) > 0)
			at += (size_t)read;
		CHECK_INT(read, 0);
	}
	CHECK_INT(at, size);
	CHECK(memcmp(data, got, size) == 0);
	free(data);
	free(got);
}

TEST(a_handshake_is_done_whatever_the_pieces_it_comes_in)
{
	static const size_t pieces[] = { 1, 2, 5, 6, 100, 1000, WIRE_MAX };

	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		struct side client, server;

		pair(&client, &server);
		shake(&client, &server, pieces[i]);
		CHECK(!gb__tls_session_problem(client.session));
		end(&client);
		end(&server);
	}
}

TEST(bytes_arrive_in_order_whatever_the_pieces)
{
	static const struct {
		size_t size, piece;
	} cases[] = { { 1, WIRE_MAX }, { 1, 1 }, { 1000, 1 }, { 16384, 1000 }, { 16385, WIRE_MAX },
		{ 100000, 4093 }, { 1u << 20, 65536 }, { 70000, WIRE_MAX } };
	struct side client, server;

	pair_open(&client, &server);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		transfer(&client, &server, cases[i].size, cases[i].piece);
		transfer(&server, &client, cases[i].size, cases[i].piece);
	}
	end(&client);
	end(&server);
}

TEST(one_write_up_to_16_kib_is_one_record)
{
	struct side client, server;
	static unsigned char data[16384];

	pair_open(&client, &server);
	CHECK_INT(gb__tls_session_write(client.session, data, sizeof(data)), sizeof(data));
	CHECK(client.out_size > sizeof(data) && client.out_size < sizeof(data) + 64);
	end(&client);
	end(&server);
}

/* Records that came together are read together: what answers them is one record as well. */
TEST(several_records_are_read_at_once)
{
	struct side client, server;
	unsigned char got[100];

	pair_open(&client, &server);
	for (unsigned i = 0; i < 10; i++)
		CHECK_INT(gb__tls_session_write(client.session, "hello", 5), 5);
	carry(&client, &server, WIRE_MAX);
	CHECK_INT(take_plain(server.session, got, sizeof(got)), 50);
	end(&client);
	end(&server);
}

TEST(close_notify_is_an_end_and_is_sent_once)
{
	struct side client, server;
	unsigned char got[10];
	size_t size;

	pair_open(&client, &server);
	CHECK_INT(gb__tls_session_write(client.session, "last", 4), 4);
	gb__tls_session_close(client.session);
	size = client.out_size;
	gb__tls_session_close(client.session);
	CHECK_INT(client.out_size, size);
	carry(&client, &server, WIRE_MAX);
	CHECK_INT(take_plain(server.session, got, sizeof(got)), 4);
	if (!gb__tls_session_ended(server.session))
		CHECK_INT(take_plain(server.session, got, sizeof(got)), 0);
	CHECK(gb__tls_session_ended(server.session));
	/* The other direction goes on. */
	transfer(&server, &client, 5000, 100);
	gb__tls_session_close(server.session);
	carry(&server, &client, WIRE_MAX);
	CHECK_INT(take_plain(client.session, got, sizeof(got)), 0);
	CHECK(gb__tls_session_ended(client.session));
	end(&client);
	end(&server);
}

/* Whoever looks for an end of input before close_notify sees that there was none. */
TEST(a_truncation_is_no_end)
{
	struct side client, server;
	unsigned char got[10];

	pair_open(&client, &server);
	CHECK_INT(gb__tls_session_write(client.session, "half", 4), 4);
	client.out_size -= 3;
	carry(&client, &server, WIRE_MAX);
	CHECK_INT(take_plain(server.session, got, sizeof(got)), 0);
	CHECK(!gb__tls_session_ended(server.session));
	CHECK(!gb__tls_session_problem(server.session));
	end(&client);
	end(&server);
}

static const char *refused(const char *hello, size_t size, bool *ret_http)
{
	static char problem[200];
	unsigned char bytes[100];
	struct side server;

	CHECK(size <= sizeof(bytes));
	memcpy(bytes, hello, size);
	begin(&server, tls_server());
	gb__tls_session_input(server.session, bytes, size);
	CHECK(gb__tls_session_handshake(server.session) < 0);
	CHECK(gb__tls_session_handshake(server.session) < 0);
	snprintf(problem, sizeof(problem), "%s", gb__tls_session_problem(server.session));
	*ret_http = gb__tls_session_met_http(server.session);
	gb__tls_session_close(server.session);
	end(&server);
	return problem;
}

TEST(what_is_no_tls_is_told_as_such)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	bool met_http;

	CHECK(strcmp(refused("hello, this is plain\n", 21, &met_http), "the peer speaks no TLS") == 0);
	CHECK(!met_http);
	CHECK(strcmp(refused(http, sizeof(http) - 1, &met_http), "the peer speaks HTTP, no TLS") == 0);
	CHECK(met_http);
	CHECK(strlen(refused("\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff", 10, &met_http)) > 0);
}

TEST(a_record_that_was_changed_ends_the_session)
{
	struct side client, server;
	unsigned char got[10];

	pair_open(&client, &server);
	CHECK_INT(gb__tls_session_write(client.session, "first", 5), 5);
	CHECK_INT(gb__tls_session_write(client.session, "second", 6), 6);
	client.out[client.out_size - 1] ^= 1;
	carry(&client, &server, WIRE_MAX);
	CHECK_INT(take_plain(server.session, got, sizeof(got)), 5);
	CHECK(take_plain(server.session, got, sizeof(got)) < 0);
	CHECK(gb__tls_session_problem(server.session));
	CHECK(server.out_size > 0); /* an alert */
	CHECK(gb__tls_session_write(server.session, "no", 2) < 0);
	carry(&server, &client, WIRE_MAX);
	CHECK(take_plain(client.session, got, sizeof(got)) < 0);
	CHECK(strncmp(gb__tls_session_problem(client.session), "the peer says: ", 15) == 0);
	end(&client);
	end(&server);
}

TEST(what_cannot_be_emitted_ends_the_session)
{
	struct side client, server;

	pair_open(&client, &server);
	server.refuse = -EPIPE;
	CHECK_INT(gb__tls_session_write(server.session, "no", 2), -EPIPE);
	CHECK(gb__tls_session_problem(server.session));
	CHECK(gb__tls_session_write(server.session, "no", 2) < 0);
	end(&client);
	end(&server);
}

TEST(both_know_what_they_agreed_on)
{
	struct gb_tls_info info;
	struct side client, server;

	begin(&server, tls_server());
	begin_named(&client, tls_client(), "localhost");
	shake(&client, &server, WIRE_MAX);
	CHECK_INT(gb__tls_session_info(server.session, &info), 0);
	CHECK(strcmp(info.version, "TLSv1.3") == 0);
	CHECK(strncmp(info.cipher, "TLS_", 4) == 0);
	CHECK(strcmp(info.server_name, "localhost") == 0);
	CHECK(strcmp(info.alpn, "") == 0 && strcmp(info.subject, "") == 0 && !info.resumed);
	end(&client);
	end(&server);
}

/* A client who does what only OpenSSL's own calls let one do. */
struct raw {
	SSL *ssl;
	BIO *in, *out;
};

static struct raw raw_begin(struct gb__tls *tls, int version_max)
{
	SSL_CTX *ctx = gb__tls_current(tls);
	struct raw raw = { SSL_new(ctx), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()) };

	SSL_CTX_free(ctx);
	SSL_set_max_proto_version(raw.ssl, version_max);
	SSL_set_bio(raw.ssl, raw.in, raw.out);
	SSL_set_connect_state(raw.ssl);
	SSL_set_verify(raw.ssl, SSL_VERIFY_NONE, NULL);
	return raw;
}

/* What it has to send is at the server. Returns whether that was anything. */
static bool raw_carry(struct raw *raw, struct side *server)
{
	char *bytes;
	long size = BIO_get_mem_data(raw->out, &bytes);
	static unsigned char copy[WIRE_MAX];

	memcpy(copy, bytes, (size_t)size);
	BIO_reset(raw->out);
	gb__tls_session_input(server->session, copy, (size_t)size);
	return size > 0;
}

static void raw_answer(struct side *server, struct raw *raw)
{
	BIO_write(raw->in, server->out, (int)server->out_size);
	server->out_size = 0;
}

static void raw_shake(struct raw *raw, struct side *server)
{
	for (int i = 0; i < 10 && !(server->done && SSL_is_init_finished(raw->ssl)); i++) {
		SSL_do_handshake(raw->ssl);
		if (raw_carry(raw, server) && !server->done)
			CHECK(step(server) >= 0);
		raw_answer(server, raw);
	}
	CHECK(server->done);
}

/* Returns what the server says of it. */
static const char *key_updates(struct raw *raw, struct side *server, unsigned count, bool data)
{
	unsigned char byte;

	for (unsigned i = 0; i < count; i++) {
		CHECK_INT(SSL_key_update(raw->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		CHECK_INT(SSL_do_handshake(raw->ssl), 1);
		if (data)
			CHECK_INT(SSL_write(raw->ssl, "x", 1), 1);
		raw_carry(raw, server);
		if (take_plain(server->session, &byte, 1) < 0)
			break;
		SSL_read(raw->ssl, &byte, 1);
		raw_answer(server, raw);
	}
	return gb__tls_session_problem(server->session);
}

TEST(key_updates_are_answered_and_a_flood_of_them_ends_the_session)
{
	struct gb__tls *tls = tls_client();
	struct raw raw = raw_begin(tls, TLS1_3_VERSION);
	const char *problem;
	struct side server;
	char got[4];

	begin(&server, tls_server());
	raw_shake(&raw, &server);
	CHECK(!gb__tls_session_ends_last(server.session)); /* the peer has heard all but tickets */
	CHECK(!key_updates(&raw, &server, 200, true));
	CHECK_INT(gb__tls_session_write(server.session, "data", 4), 4);
	raw_answer(&server, &raw);
	CHECK_INT(SSL_read(raw.ssl, got, 4), 4);
	problem = key_updates(&raw, &server, 200, false);
	CHECK(problem && strcmp(problem, "the peer sends records without data and no end") == 0);
	SSL_free(raw.ssl);
	gb__tls_destroy(tls);
	end(&server);
}

TEST(renegotiation_is_refused)
{
	struct gb__tls *tls = tls_client();
	struct raw raw = raw_begin(tls, TLS1_2_VERSION);
	unsigned char got[10];
	struct side server;
	size_t size;

	begin(&server, tls_server());
	raw_shake(&raw, &server);
	CHECK(gb__tls_session_ends_last(server.session));
	SSL_clear_options(raw.ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_renegotiate(raw.ssl);
	SSL_do_handshake(raw.ssl);
	CHECK(raw_carry(&raw, &server));
	size = take_plain(server.session, got, sizeof(got)) <= 0 ? server.out_size : WIRE_MAX;
	CHECK(size > 0 && size < 100); /* an alert, and no hello */
	SSL_free(raw.ssl);
	gb__tls_destroy(tls);
	end(&server);
}
