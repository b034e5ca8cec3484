#include "tls/context.h"

#include "base/alloc.h"

#include <errno.h>
#include <openssl/err.h>

struct gb__tls {
	SSL_CTX *ctx;
};

size_t gb__tls_shared_size(void)
{
	return 0;
}

const char *gb__tls_reason(const char *text)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return reason ? reason : text;
}

static int prepare(SSL_CTX *ctx, const struct gb__tls_options *options, struct gb_error *error)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (options->certificates && SSL_CTX_use_certificate_chain_file(ctx, options->certificates) <= 0)
		return gb_error_set(error, -EINVAL, "%s: %s", options->certificates,
			gb__tls_reason("holds no certificate"));
	if (options->keys && SSL_CTX_use_PrivateKey_file(ctx, options->keys, SSL_FILETYPE_PEM) <= 0)
		return gb_error_set(
			error, -EINVAL, "%s: %s", options->keys, gb__tls_reason("holds no private key"));
	if (options->ca && SSL_CTX_load_verify_file(ctx, options->ca) <= 0)
		return gb_error_set(
			error, -EINVAL, "%s: %s", options->ca, gb__tls_reason("holds no certificates"));
	if (options->verify != GB__TLS_VERIFY_NONE)
		SSL_CTX_set_verify(ctx,
			SSL_VERIFY_PEER |
				(options->verify == GB__TLS_VERIFY_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
									    : 0),
			NULL);
	return 0;
}

int gb__tls_create(const struct gb__tls_options *options, struct gb__tls **ret, struct gb_error *error)
{
	struct gb__tls *tls = gb__alloc_zero(sizeof(*tls));
	int result;

	if (!tls)
		return gb_error_set(error, -ENOMEM, "no memory for TLS");
	tls->ctx = SSL_CTX_new(options->server ? TLS_server_method() : TLS_client_method());
	result = tls->ctx ? prepare(tls->ctx, options, error)
			  : gb_error_set(error, -ENOMEM, "no memory for TLS");
	if (result < 0)
		gb__tls_destroy(tls);
	else
		*ret = tls;
	return result;
}

void gb__tls_destroy(struct gb__tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	gb__free(tls);
}

void gb__tls_refresh(struct gb__tls *tls, uint64_t now_ms)
{
}

SSL_CTX *gb__tls_current(struct gb__tls *tls)
{
	SSL_CTX_up_ref(tls->ctx);
	return tls->ctx;
}

int gb__tls_client_prepare(struct gb__tls *tls, SSL *ssl, const char *name)
{
	if (!name)
		return 0;
	return SSL_set_tlsext_host_name(ssl, name) && SSL_set1_host(ssl, name) ? 0 : -ENOMEM;
}
