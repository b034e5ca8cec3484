#include "tls/session.h"

#include "base/alloc.h"

#include <openssl/err.h>
#include <stdio.h>

static char no_memory[] = "no memory";

/* What the peer says by an alert; OpenSSL 3.0 has no words for some. */
static const char *alert_of(int alert)
{
	switch (alert) {
	case SSL_AD_MISSING_EXTENSION:
		return "missing extension";
	case SSL_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	case SSL_AD_INAPPROPRIATE_FALLBACK:
		return "inappropriate fallback";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

const char *gb__tls_alert_text(int alert, char *text, size_t size)
{
	snprintf(text, size, "the peer says: %s", alert_of(alert));
	return text;
}

int gb__tls_session_fail(struct gb__tls_session *session, const char *reason)
{
	if (session->failed)
		return -GB_EBADFRAME;
	session->failed = true;
	session->problem = gb__strdup(reason ? reason : "the peer does not keep to TLS");
	if (!session->problem)
		session->problem = no_memory;
	ERR_clear_error();
	return session->error < 0 ? session->error : -GB_EBADFRAME;
}

void gb__tls_problem_free(struct gb__tls_session *session)
{
	if (session->problem != no_memory)
		gb__free(session->problem);
	session->problem = NULL;
}
