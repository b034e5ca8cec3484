#include "tls/records_test_driver.h"

#include "harness.h"

#include <openssl/hmac.h>

static int take(void *arg, const void *data, size_t size)
{
	struct driver *driver = arg;

	if (driver->refuse)
		return driver->refuse;
	CHECK(driver->out_size + size <= DRIVER_WIRE_MAX);
	memcpy(driver->out + driver->out_size, data, size);
	driver->out_size += size;
	return 0;
}

const struct gb__tls_sink driver_sink = { .emit = take };

void driver_expand(const struct gb__tls_suite *suite, const unsigned char *secret, const char *label,
	unsigned char *ret, size_t size)
{
	const EVP_MD *hash = suite->hash_size == 48 ? EVP_sha384() : EVP_sha256();
	unsigned char info[64], block[EVP_MAX_MD_SIZE];
	int info_size = snprintf((char *)info, sizeof(info), "%c%c%ctls13 %s%c%c", 0, (int)size,
		(int)strlen(label) + 6, label, 0, 1);

	CHECK(size <= suite->hash_size); /* one block */
	CHECK(HMAC(hash, secret, suite->hash_size, info, (size_t)info_size, block, NULL));
	memcpy(ret, block, size);
}

static void derive(struct driver_way *way)
{
	driver_expand(way->suite, way->secret, "key", way->key, way->suite->key_size);
	driver_expand(way->suite, way->secret, "iv", way->iv, sizeof(way->iv));
	way->sequence = 0;
}

static void way_begin(struct driver_way *way, uint16_t suite, unsigned char first)
{
	*way = (struct driver_way){ .suite = gb__tls_suite_find(suite) };
	for (unsigned i = 0; i < way->suite->hash_size; i++)
		way->secret[i] = (unsigned char)(first + i * 7);
	derive(way);
}

void driver_begin(struct driver *driver, bool server, uint16_t suite)
{
	driver->out_size = 0;
	driver->refuse = 0;
	CHECK_INT(OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL), 1); /* as contexts do */
	way_begin(&driver->to, suite, 1);
	way_begin(&driver->from, suite, 100);
	CHECK_INT(gb__tls_pool_create(&driver->pool), 0);
	driver->session = calloc(1, sizeof(*driver->session));
	CHECK(driver->session);
	*driver->session = (struct gb__tls_session){ .pool = driver->pool,
		.sink = &driver_sink,
		.arg = driver,
		.suite = driver->to.suite,
		.plain_max = GB__RECORD_PLAIN_MAX,
		.server = server,
		.established = true };
	CHECK_INT(gb__tls_way_begin(
			  driver->pool, &driver->session->in, driver->to.suite, false, driver->to.secret, 0),
		0);
	CHECK_INT(gb__tls_way_begin(driver->pool, &driver->session->out, driver->from.suite, true,
			  driver->from.secret, 0),
		0);
}

void driver_end(struct driver *driver)
{
	gb__tls_traffic_finish(driver->session);
	gb__tls_buffer_give(driver->pool, driver->session->room);
	gb__tls_problem_free(driver->session);
	free(driver->session);
	gb__tls_pool_destroy(driver->pool);
}

void driver_update(struct driver_way *way)
{
	unsigned char secret[GB__TLS_SECRET_MAX];

	driver_expand(way->suite, way->secret, "traffic upd", secret, way->suite->hash_size);
	memcpy(way->secret, secret, sizeof(secret));
	derive(way);
}

static EVP_CIPHER_CTX *cipher(struct driver_way *way, bool encrypts)
{
	const EVP_CIPHER *ciphers[] = { EVP_aes_128_gcm(), EVP_aes_256_gcm(), EVP_chacha20_poly1305() };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char nonce[12];

	memcpy(nonce, way->iv, sizeof(nonce));
	for (int i = 0; i < 8; i++)
		nonce[11 - i] ^= (unsigned char)(way->sequence >> 8 * i);
	CHECK(ctx &&
		EVP_CipherInit_ex(ctx, ciphers[way->suite->index], NULL, way->key, nonce, encrypts) == 1);
	return ctx;
}

size_t driver_seal(struct driver_way *way, const void *inner, size_t size, unsigned char *ret)
{
	const size_t body = size + GB__RECORD_TAG;
	const unsigned char header[] = { 23, 3, 3, (unsigned char)(body >> 8), (unsigned char)body };
	EVP_CIPHER_CTX *ctx = cipher(way, true);
	int done;

	memcpy(ret, header, sizeof(header));
	CHECK_INT(EVP_EncryptUpdate(ctx, NULL, &done, header, sizeof(header)), 1);
	CHECK_INT(EVP_EncryptUpdate(ctx, ret + 5, &done, inner, (int)size), 1);
	CHECK_INT(EVP_EncryptFinal_ex(ctx, ret + 5 + size, &done), 1);
	CHECK_INT(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GB__RECORD_TAG, ret + 5 + size), 1);
	EVP_CIPHER_CTX_free(ctx);
	way->sequence++;
	return 5 + body;
}

size_t driver_open(struct driver_way *way, const unsigned char *record, size_t size, unsigned char *ret)
{
	const size_t inner = size - 5 - GB__RECORD_TAG;
	EVP_CIPHER_CTX *ctx = cipher(way, false);
	unsigned char rest[16];
	int done, good;

	CHECK_INT(EVP_DecryptUpdate(ctx, NULL, &done, record, 5), 1);
	CHECK_INT(EVP_DecryptUpdate(ctx, ret, &done, record + 5, (int)inner), 1);
	CHECK_INT(
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GB__RECORD_TAG, (void *)(record + 5 + inner)),
		1);
	good = EVP_DecryptFinal_ex(ctx, rest, &done);
	EVP_CIPHER_CTX_free(ctx);
	way->sequence++;
	return good == 1 ? inner : 0;
}

int driver_feed(struct driver *driver, const unsigned char *bytes, size_t size, size_t piece,
	unsigned char *ret, size_t *ret_size)
{
	ssize_t got = 0;

	while (size > 0 && got >= 0) {
		const size_t now = size < piece ? size : piece;
		/* Before it are bytes that may be written (tls.h). */
		unsigned char *memory = malloc(GB__TLS_HEADROOM + now), *data;

		CHECK(memory);
		memcpy(memory + GB__TLS_HEADROOM, bytes, now);
		driver->session->input = memory + GB__TLS_HEADROOM;
		driver->session->input_size = now;
		while ((got = gb__tls_traffic_read(driver->session, &data)) > 0) {
			memcpy(ret + *ret_size, data, (size_t)got);
			memset(data - GB__TLS_HEADROOM, 0xee, GB__TLS_HEADROOM + (size_t)got);
			*ret_size += (size_t)got;
		}
		driver->session->input = NULL;
		driver->session->input_size = 0;
		free(memory);
		bytes += now;
		size -= now;
	}
	return (int)got;
}

size_t driver_emitted(struct driver *driver, unsigned char *ret, unsigned char *ret_type)
{
	size_t size;

	CHECK(driver->out_size >= GB__RECORD_OVERHEAD);
	CHECK_INT(driver->out[3] << 8 | driver->out[4], driver->out_size - 5);
	size = driver_open(&driver->from, driver->out, driver->out_size, ret);
	CHECK(size > 0);
	driver->out_size = 0;
	*ret_type = ret[size - 1];
	return size - 1;
}
