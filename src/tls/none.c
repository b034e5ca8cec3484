#include "tls/tls.h"

#include "base/assert.h"
#include "tls/issue.h"
#include "tls/mac.h"

#include <errno.h>

const char *gb__tls_library(void)
{
	return NULL;
}

size_t gb__tls_shared_size(void)
{
	return 0;
}

int gb__tls_create(const struct gb__tls_options *options, struct gb__tls **ret, struct gb_error *error)
{
	return gb_error_set(error, -ENOTSUP, "this library was built without TLS (OpenSSL)");
}

int gb__tls_issue(const struct gb__tls_issue *what, struct gb_error *error)
{
	return gb_error_set(error, -ENOTSUP, "this library was built without TLS (OpenSSL)");
}

int gb__tls_mac(const char *digest, const void *key, size_t key_size, const void *data, size_t size,
	unsigned char ret[GB__MAC_MAX], size_t *ret_size)
{
	return -ENOTSUP;
}

void gb__tls_destroy(struct gb__tls *tls)
{
}

uint64_t gb__tls_refresh(struct gb__tls *tls, uint64_t now_ms)
{
	return UINT64_MAX;
}

void gb__tls_reload(struct gb__tls *tls, uint64_t now_ms)
{
}

/* Without contexts there are no sessions: none of these is called. */

int gb__tls_pool_create(struct gb__tls_pool **ret)
{
	return -ENOTSUP;
}

void gb__tls_pool_destroy(struct gb__tls_pool *pool)
{
}

void gb__tls_pool_trim(struct gb__tls_pool *pool)
{
}

uint64_t gb__tls_pool_freed(const struct gb__tls_pool *pool)
{
	return 0;
}

int gb__tls_pool_rest(struct gb__tls_pool *pool)
{
	return GB__TLS_REST_NONE;
}

bool gb__tls_session_rests(const struct gb__tls_session *session)
{
	return false;
}

size_t gb__tls_session_size(void)
{
	return 0;
}

int gb__tls_session_init(struct gb__tls_session *session, struct gb__tls *tls, struct gb__tls_pool *pool,
	const char *name, const struct gb__tls_sink *sink, void *arg)
{
	return -ENOTSUP;
}

void gb__tls_session_finish(struct gb__tls_session *session)
{
}

int gb__tls_session_create(struct gb__tls *tls, struct gb__tls_pool *pool, const char *name,
	const struct gb__tls_sink *sink, void *arg, struct gb__tls_session **ret)
{
	return -ENOTSUP;
}

void gb__tls_session_destroy(struct gb__tls_session *session)
{
}

void gb__tls_session_input(struct gb__tls_session *session, unsigned char *data, size_t size)
{
}

bool gb__tls_session_unread(const struct gb__tls_session *session)
{
	return false;
}

int gb__tls_session_handshake(struct gb__tls_session *session)
{
	return -ENOTSUP;
}

ssize_t gb__tls_session_read(struct gb__tls_session *session, unsigned char **ret)
{
	return -ENOTSUP;
}

ssize_t gb__tls_session_write(struct gb__tls_session *session, const void *data, size_t size)
{
	return -ENOTSUP;
}

void gb__tls_session_close(struct gb__tls_session *session)
{
}

bool gb__tls_session_ended(const struct gb__tls_session *session)
{
	return false;
}

const char *gb__tls_session_problem(const struct gb__tls_session *session)
{
	return NULL;
}

bool gb__tls_session_ends_last(const struct gb__tls_session *session)
{
	return false;
}

bool gb__tls_session_resumed(const struct gb__tls_session *session)
{
	return false;
}

bool gb__tls_session_met_http(const struct gb__tls_session *session)
{
	return false;
}

int gb__tls_session_info(struct gb__tls_session *session, struct gb_tls_info *ret)
{
	return -ENOTSUP;
}
