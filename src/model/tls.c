#include "model/tls.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "model/worker.h"
#include "os/os.h"
#include "os/process.h"
#include "tls/tls.h"

#include <errno.h>
#include <string.h>

/* One that is there, and what it was made of. */
struct gb__server_tls {
	struct gb__server_tls *next;
	struct gb_options *options;
	struct gb__tls_shared *shared; /* among all processes; NULL: there was no memory */
	struct gb__tls *tls;
};

static bool is_row_of_tls(const struct gb_setting *row)
{
	return strncmp(row->key, "tls", 3) == 0;
}

static bool same(const struct gb_options *left, const struct gb_options *right)
{
	for (const struct gb_setting *row = gb_option_settings; row->key; row++) {
		char texts[2][32];
		const char *a, *b;

		if (!is_row_of_tls(row))
			continue;
		if (row->type == GB_SETTING_TEXT) {
			a = *(char *const *)((const char *)left + row->offset);
			b = *(char *const *)((const char *)right + row->offset);
		} else {
			gb_settings_get(gb_option_settings, left, row->key, texts[0], sizeof(texts[0]));
			gb_settings_get(gb_option_settings, right, row->key, texts[1], sizeof(texts[1]));
			a = texts[0];
			b = texts[1];
		}
		if (strcmp(a, b) != 0)
			return false;
	}
	return true;
}

/* NULL: not given. */
static const char *text_of(const char *text)
{
	return strcmp(text, "none") == 0 ? NULL : text;
}

static enum gb__tls_verify verify_of(const struct gb__tls_settings *settings)
{
	switch ((enum gb__tls_client_cert)settings->client_cert) {
	case GB__TLS_CLIENT_AUTO:
		return text_of(settings->client_ca) ? GB__TLS_VERIFY_REQUIRED : GB__TLS_VERIFY_NONE;
	case GB__TLS_CLIENT_OPTIONAL:
		return GB__TLS_VERIFY_OPTIONAL;
	case GB__TLS_CLIENT_REQUIRED:
		return GB__TLS_VERIFY_REQUIRED;
	case GB__TLS_CLIENT_NONE:
		break;
	}
	return GB__TLS_VERIFY_NONE;
}

static int create(struct gb__server_tls *entry, struct gb_error *error)
{
	static const char *const versions[] = { "1.2", "1.3" };
	const struct gb__tls_settings *settings = &entry->options->tls;
	const struct gb__tls_options what = {
		.server = true,
		.certificates = text_of(settings->cert),
		.keys = text_of(settings->key),
		.password_file = text_of(settings->password_file),
		.ocsp = text_of(settings->ocsp),
		.ca = text_of(settings->client_ca),
		.verify = verify_of(settings),
		.alpn = text_of(settings->alpn),
		.versions = versions[settings->version],
		.ciphers = text_of(settings->ciphers),
		.ticket_ms = settings->tickets_ms,
		.reload_ms = settings->reload_ms,
		.shared = entry->shared,
	};

	return gb__tls_create(&what, &entry->tls, error);
}

static void destroy(struct gb__server_tls *entry)
{
	gb__tls_destroy(entry->tls);
	if (entry->shared)
		gb__shared_unmap(entry->shared, gb__tls_shared_size());
	gb_options_destroy(entry->options);
	gb__free(entry);
}

/* Whether TLS is wanted: 1, 0, or -GB_EUSAGE: it is not clear what for. */
static int wanted(const struct gb__tls_settings *settings, struct gb_error *error)
{
	const char *without = text_of(settings->key)           ? "tls-key"
		: text_of(settings->client_ca)                 ? "tls-client-ca"
		: text_of(settings->ocsp)                      ? "tls-ocsp"
		: text_of(settings->alpn)                      ? "tls-alpn"
		: text_of(settings->password_file)             ? "tls-password-file"
		: settings->client_cert != GB__TLS_CLIENT_AUTO ? "tls-client-cert"
							       : NULL;

	if (settings->use == GB__TLS_NO)
		return 0;
	if (text_of(settings->cert))
		return 1;
	if (settings->use == GB__TLS_YES)
		return gb_error_set(error, -GB_EUSAGE,
			"tls=yes, and no certificate: tls-cert names its file, tls-key that of its key");
	return without ? gb_error_set(error, -GB_EUSAGE,
				 "%s is given without tls-cert, which names the certificate's file", without)
		       : 0;
}

int gb__server_secure(struct gb_server *server, struct gb__binding *binding, struct gb_error *error)
{
	struct gb__server_tls *entry;
	int result = wanted(&binding->options->tls, error);

	if (result <= 0)
		return result;
	for (entry = server->tls; entry && !same(entry->options, binding->options); entry = entry->next)
		;
	if (!entry) {
		entry = gb__alloc_zero(sizeof(*entry));
		if (!entry || gb__options_copy(binding->options, &entry->options) < 0) {
			gb__free(entry);
			return gb_error_set(error, -ENOMEM, "no memory for TLS");
		}
		entry->shared = gb__shared_map(gb__tls_shared_size());
		result = create(entry, error);
		if (result < 0) {
			destroy(entry);
			return result;
		}
		entry->next = server->tls;
		server->tls = entry;
	}
	binding->front.tls = entry->tls;
	binding->fronted = true;
	return 0;
}

uint64_t gb__server_refresh(struct gb_server *server)
{
	uint64_t due_ms = UINT64_MAX;

	if (!server->tls)
		return due_ms;
	for (struct gb__server_tls *entry = server->tls; entry; entry = entry->next)
		due_ms = gb__min(due_ms, gb__tls_refresh(entry->tls, gb__os_now_ms(&gb__os_linux)));
	return due_ms;
}

static uint64_t upkeep(void *arg)
{
	return gb__server_refresh(arg);
}

void gb__server_refresh_on(struct gb_worker *worker)
{
	if (worker->server->tls)
		gb__net_keep_up(&worker->net, upkeep, worker->server);
}

void gb__server_reload(struct gb_server *server)
{
	for (struct gb__server_tls *entry = server->tls; entry; entry = entry->next)
		gb__tls_reload(entry->tls, gb__os_now_ms(&gb__os_linux));
}

void gb__server_unsecure(struct gb_server *server)
{
	while (server->tls) {
		struct gb__server_tls *entry = server->tls;

		server->tls = entry->next;
		destroy(entry);
	}
}
