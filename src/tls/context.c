/*
 * Contexts. What they are made of is read at once, and again when its files have changed: then a new SSL_CTX takes the place
 * of the one before, which goes with its last session. Which certificates it has is set.c's.
 */
#include "tls/context.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/macros.h"
#include "os/os.h"
#include "tls/resume.h"
#include "tls/session.h"
#include "tls/set.h"
#include "tls/stamp.h"
#include "tls/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 256 /* of each option */
#define ALPN_MAX 1024
#define ROTATE_MS_MIN 60000u

/* Mozilla's intermediate configuration 5.7, in its order. The first is by SHA-256, which processors have instructions for: of a
 * handshake by another one a fifth is SHA-384. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

struct gb__tls_shared {
	_Atomic uint64_t
		complaint;      /* what was wrong with files, hashed: the one who writes it first says so */
	_Atomic uint64_t asked; /* how often all were told to read them again */
};

/* Names in one option. */
struct list {
	char **names;
	size_t count;
};

struct gb__tls {
	bool server;
	enum gb__tls_verify verify;
	struct list certificates, keys, ocsp;
	char *password_file, *ca, *ciphers;
	int version_min;
	unsigned char alpn[ALPN_MAX]; /* as in ClientHello */
	size_t alpn_size;
	uint64_t ticket_ms, reload_ms;
	struct gb__tls_shared *shared;
	int secrets; /* SSLKEYLOGFILE, or -1 */
	struct gb__tls_tickets tickets;
	struct gb__tls_memory memory;

	pthread_mutex_t lock; /* `current` */
	SSL_CTX *current;
	_Atomic uint64_t due_ms; /* nothing is to be done before: `look_ms`, or the tickets' keys change */
	_Atomic uint64_t heard;  /* of shared->asked */
	pthread_mutex_t looking; /* what follows */
	uint64_t look_ms;        /* when to look at files */
	struct gb__tls_stamp *stamps; /* of all files, as paths_each has them */
	size_t stamps_count;
};

static void list_free(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		gb__free(list->names[i]);
	gb__free(list->names);
	*list = (struct list){ 0 };
}

/* An empty name is one. */
static int list_parse(const char *option, const char *text, struct list *ret, struct gb_error *error)
{
	struct list list = { .names = gb__alloc_zero(FILES_MAX * sizeof(char *)) };
	int result = list.names ? 0 : -ENOMEM;

	while (result == 0) {
		size_t size = strcspn(text, ",");
		char *name = list.count < FILES_MAX ? gb__alloc(size + 1) : NULL;

		if (!name) {
			result = list.count < FILES_MAX ? -ENOMEM : -GB_EUSAGE;
			break;
		}
		memcpy(name, text, size);
		name[size] = '\0';
		list.names[list.count++] = name;
		if (!text[size])
			break;
		text += size + 1;
	}
	if (result < 0) {
		list_free(&list);
		return gb_error_set(error, result,
			result == -ENOMEM ? "%s: no memory for its list" : "%s: more than 256 files", option);
	}
	*ret = list;
	return 0;
}

static int parse_alpn(struct gb__tls *tls, const char *text, struct gb_error *error)
{
	for (;;) {
		size_t size = strcspn(text, ",");

		if (size == 0 || size > 255 || tls->alpn_size + 1 + size > sizeof(tls->alpn))
			return gb_error_set(error, -GB_EUSAGE,
				"tls-alpn: \"%.40s\": names of 1 to 255 bytes, separated by commas, 1 KiB in all, as h2,http/1.1",
				text);
		tls->alpn[tls->alpn_size++] = (unsigned char)size;
		memcpy(tls->alpn + tls->alpn_size, text, size);
		tls->alpn_size += size;
		if (!text[size])
			return 0;
		text += size + 1;
	}
}

static int parse_version(struct gb__tls *tls, const char *text, struct gb_error *error)
{
	if (!text || strcmp(text, "1.2") == 0)
		tls->version_min = TLS1_2_VERSION;
	else if (strcmp(text, "1.3") == 0)
		tls->version_min = TLS1_3_VERSION;
	else
		return gb_error_set(error, -GB_EUSAGE, "tls-version: \"%.20s\" is neither 1.2 nor 1.3", text);
	return 0;
}

static int copy_text(const char *text, char **ret)
{
	*ret = text ? gb__strdup(text) : NULL;
	return text && !*ret ? -ENOMEM : 0;
}

static int take_options(struct gb__tls *tls, const struct gb__tls_options *options, struct gb_error *error)
{
	int result = 0;

	tls->server = options->server;
	tls->verify = options->verify;
	tls->ticket_ms = options->ticket_ms && options->ticket_ms < 1000 ? 1000 : options->ticket_ms;
	tls->reload_ms = options->reload_ms;
	tls->shared = options->shared;
	if (tls->server && !options->certificates)
		return gb_error_set(error, -GB_EUSAGE, "tls: a server needs a certificate: tls-cert");
	if (tls->server && tls->verify != GB__TLS_VERIFY_NONE && !options->ca)
		return gb_error_set(error, -GB_EUSAGE,
			"tls-client-cert: whose certificates are good? tls-client-ca names none");
	if (options->certificates)
		result = list_parse("tls-cert", options->certificates, &tls->certificates, error);
	if (result == 0 && options->certificates) /* the key may be in the same file */
		result = list_parse(
			"tls-key", options->keys ? options->keys : options->certificates, &tls->keys, error);
	if (result == 0 && options->ocsp)
		result = list_parse("tls-ocsp", options->ocsp, &tls->ocsp, error);
	if (result == 0 && tls->keys.count != tls->certificates.count)
		result = gb_error_set(error, -GB_EUSAGE, "tls-key: %zu files for the %zu of tls-cert",
			tls->keys.count, tls->certificates.count);
	if (result == 0 && tls->ocsp.count > tls->certificates.count)
		result = gb_error_set(error, -GB_EUSAGE, "tls-ocsp: %zu files for the %zu of tls-cert",
			tls->ocsp.count, tls->certificates.count);
	if (result == 0 && options->alpn)
		result = parse_alpn(tls, options->alpn, error);
	if (result == 0)
		result = parse_version(tls, options->versions, error);
	if (result == 0 &&
		(copy_text(options->password_file, &tls->password_file) < 0 ||
			copy_text(options->ca, &tls->ca) < 0 ||
			copy_text(options->ciphers, &tls->ciphers) < 0))
		result = gb_error_set(error, -ENOMEM, "tls: no memory for a context");
	return result;
}

/* Each file that was named, in an order that stays; NULL after the last. */
static const char *path_of(const struct gb__tls *tls, size_t n)
{
	const struct list *lists[] = { &tls->certificates, &tls->keys, &tls->ocsp };
	const char *others[] = { tls->password_file ? tls->password_file : "", tls->ca ? tls->ca : "" };

	for (size_t i = 0; i < gb__countof(lists); i++) {
		if (n < lists[i]->count)
			return lists[i]->names[n];
		n -= lists[i]->count;
	}
	return n < gb__countof(others) ? others[n] : NULL;
}

/* Whether any says something else than before. */
static bool stamps_take(struct gb__tls *tls)
{
	bool changed = false;

	for (size_t i = 0; i < tls->stamps_count; i++)
		changed |= gb__tls_stamp_take(&tls->stamps[i], path_of(tls, i));
	return changed;
}

static void on_secret(const SSL *ssl, const char *line)
{
	const struct gb__tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	char text[512];
	int size;

	gb__tls_handover_secret((SSL *)ssl, line);
	if (tls->secrets < 0)
		return;
	size = snprintf(text, sizeof(text), "%s\n", line);
	/* One write: other processes append to it, too. For debugging: what does not fit on the disk is not there. */
	if (size > 0 && (size_t)size < sizeof(text) && write(tls->secrets, text, (size_t)size) < 0)
		return;
}

static void open_secrets(struct gb__tls *tls)
{
	const char *path = secure_getenv("SSLKEYLOGFILE");

	tls->secrets = path && *path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (tls->secrets >= 0)
		gb__log(GB__LOG_WARNING, "tls: who reads %s can read all traffic (SSLKEYLOGFILE)", path);
	else if (path && *path)
		gb__log(GB__LOG_WARNING, "SSLKEYLOGFILE: %s: %s", path, gb_strerror(-errno));
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_size, const unsigned char *offered,
	unsigned offered_size, void *arg)
{
	const struct gb__tls *tls = arg;
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_size, tls->alpn, (unsigned)tls->alpn_size, offered,
		    offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol (RFC 7301, 3.2) */
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* What sessions with this server are remembered by: the name that is asked for, or its address, in one spelling; the caller's
 * to free. NULL: neither. */
static char *name_of_session(const SSL *ssl)
{
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	return host ? OPENSSL_strdup(host) : X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param((SSL *)ssl));
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct gb__tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	char *name = name_of_session(ssl);
	int kept = 0;

	/* Whoever was trusted before the files were read again need not be any more. */
	pthread_mutex_lock(&tls->lock);
	if (SSL_get_SSL_CTX(ssl) == tls->current)
		kept = gb__tls_memory_put(&tls->memory, name ? name : "", session) == 0;
	pthread_mutex_unlock(&tls->lock);
	OPENSSL_free(name);
	return kept;
}

/* What goes for a session may depend on who is trusted: then its tickets are for nothing where others are. */
static int name_sessions(struct gb__tls *tls, SSL_CTX *ctx)
{
	const struct gb__tls_stamp *ca = &tls->stamps[tls->stamps_count - 1]; /* path_of: it is the last */
	unsigned char digest[EVP_MAX_MD_SIZE], what[sizeof(ca->digest) + 1];

	memcpy(what, ca->digest, sizeof(ca->digest));
	what[sizeof(ca->digest)] = (unsigned char)tls->verify;
	return EVP_Digest(what, sizeof(what), digest, NULL, EVP_sha256(), NULL) == 1 &&
			SSL_CTX_set_session_id_context(ctx, digest, SSL_MAX_SID_CTX_LENGTH) == 1
		? 0
		: -ENOMEM;
}

static int configure_sessions(struct gb__tls *tls, SSL_CTX *ctx, struct gb_error *error)
{
	if (!tls->server) {
		SSL_CTX_set_session_cache_mode(ctx,
			tls->ticket_ms ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
				       : SSL_SESS_CACHE_OFF);
		if (tls->ticket_ms)
			SSL_CTX_sess_set_new_cb(ctx, on_session);
		return 0;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (name_sessions(tls, ctx) < 0)
		return gb_error_set(error, -ENOMEM, "tls: no memory for a context");
	if (tls->ticket_ms) {
		gb__tls_tickets_use(&tls->tickets, ctx);
		SSL_CTX_set_timeout(ctx, (long)(tls->ticket_ms / 1000));
		SSL_CTX_set_num_tickets(ctx, 1); /* a session that goes on gets a new one */
	} else {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	}
	return 0;
}

static int configure_trust(struct gb__tls *tls, SSL_CTX *ctx, struct gb_error *error)
{
	STACK_OF(X509_NAME) * names;
	int result = 0;

	if (tls->verify == GB__TLS_VERIFY_NONE) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_CTX_set_verify(ctx,
		SSL_VERIFY_PEER |
			(tls->verify == GB__TLS_VERIFY_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
		NULL);
	if (!tls->ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return gb_error_set(error, -GB_EUSAGE, "tls: the system's certificates cannot be read: %s",
			gb__tls_reason("no reason is known"));
	if (!tls->ca)
		return 0;
	names = tls->server ? sk_X509_NAME_new_null() : NULL;
	result =
		gb__tls_trust_read((struct gb__tls_file){ tls->server ? "tls-client-ca" : "tls-ca", tls->ca },
			SSL_CTX_get_cert_store(ctx), names, error);
	if (result == 0 && names)
		SSL_CTX_set_client_CA_list(ctx, names); /* takes them */
	else
		sk_X509_NAME_pop_free(names, X509_NAME_free);
	return result;
}

/* All but certificates. */
static int configure(struct gb__tls *tls, SSL_CTX *ctx, bool keeps, struct gb_error *error)
{
	int result;

	SSL_CTX_set_app_data(ctx, tls);
	SSL_CTX_set_options(ctx,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (SSL_CTX_set_min_proto_version(ctx, tls->version_min) != 1 ||
		(tls->server && SSL_CTX_set_ciphersuites(ctx, SUITES) != 1) ||
		SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
		return gb_error_set(error, -GB_EUSAGE, "tls: this OpenSSL has not what is needed: %s",
			gb__tls_reason("it does not say what"));
	if (SSL_CTX_set_cipher_list(ctx, tls->ciphers ? tls->ciphers : CIPHERS) != 1)
		return gb_error_set(error, -GB_EUSAGE, "tls-ciphers: %s: %s",
			tls->ciphers ? tls->ciphers : CIPHERS, gb__tls_reason("no cipher match"));
	if (tls->alpn_size && tls->server)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, tls);
	else if (tls->alpn_size && SSL_CTX_set_alpn_protos(ctx, tls->alpn, (unsigned)tls->alpn_size) != 0)
		return gb_error_set(error, -ENOMEM, "tls: no memory for a context");
	if (keeps || tls->secrets >= 0) /* OpenSSL takes its time for that */
		SSL_CTX_set_keylog_callback(ctx, on_secret);
	result = configure_sessions(tls, ctx, error);
	return result < 0 ? result : configure_trust(tls, ctx, error);
}

static int make_bare(void *arg, bool keeps, SSL_CTX **ret, struct gb_error *error)
{
	struct gb__tls *tls = arg;
	SSL_CTX *ctx = SSL_CTX_new(tls->server ? TLS_server_method() : TLS_client_method());
	int result = ctx ? configure(tls, ctx, keeps, error)
			 : gb_error_set(error, -ENOMEM, "tls: no memory for a context");

	if (result < 0) {
		SSL_CTX_free(ctx);
		return result;
	}
	*ret = ctx;
	return 0;
}

static int make_client(const struct gb__tls_set_source *source, SSL_CTX **ret, struct gb_error *error)
{
	SSL_CTX *ctx;
	int result = source->make(source->arg, true, &ctx, error);

	if (result == 0 && source->count > 0)
		result = gb__tls_set_use(source, 0, ctx, error);
	else if (result < 0)
		return result;
	if (result < 0)
		SSL_CTX_free(ctx);
	else
		*ret = ctx;
	return result;
}

static int make(struct gb__tls *tls, SSL_CTX **ret, struct gb_error *error)
{
	const struct gb__tls_set_source source = { .certificates = tls->certificates.names,
		.keys = tls->keys.names,
		.ocsp = tls->ocsp.names,
		.count = tls->certificates.count,
		.ocsp_count = tls->ocsp.count,
		.password_file = tls->password_file,
		.make = make_bare,
		.arg = tls };
	int result;

	ERR_clear_error();
	result = tls->server ? gb__tls_set_make(&source, ret, error) : make_client(&source, ret, error);
	ERR_clear_error();
	return result;
}

const char *gb__tls_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

size_t gb__tls_shared_size(void)
{
	return sizeof(struct gb__tls_shared);
}

static uint64_t asked(const struct gb__tls *tls)
{
	return tls->shared ? atomic_load_explicit(&tls->shared->asked, memory_order_acquire) : 0;
}

static void look_later(struct gb__tls *tls, uint64_t now_ms)
{
	tls->look_ms = tls->reload_ms ? gb__add_capped(now_ms, tls->reload_ms) : UINT64_MAX;
}

/* Keys of tickets that are over are forgotten; then nothing is due for a while. */
static void wait_for_next(struct gb__tls *tls, uint64_t now_ms)
{
	uint64_t keys_ms =
		tls->tickets.period_ms ? gb__tls_tickets_advance(&tls->tickets, now_ms) : UINT64_MAX;

	atomic_store_explicit(&tls->due_ms, gb__min(tls->look_ms, keys_ms), memory_order_relaxed);
}

int gb__tls_create(const struct gb__tls_options *options, struct gb__tls **ret, struct gb_error *error)
{
	uint64_t now_ms = gb__os_now_ms(&gb__os_linux);
	struct gb__tls *tls = gb__alloc_zero(sizeof(*tls));
	int result;

	if (!tls)
		return gb_error_set(error, -ENOMEM, "tls: no memory for a context");
	gb__assert(pthread_mutex_init(&tls->lock, NULL) == 0);
	gb__assert(pthread_mutex_init(&tls->looking, NULL) == 0);
	gb__tls_memory_init(&tls->memory);
	tls->secrets = -1;
	result = take_options(tls, options, error);
	if (result == 0 && tls->server && tls->ticket_ms &&
		gb__tls_tickets_init(&tls->tickets, gb__max(tls->ticket_ms, ROTATE_MS_MIN), now_ms) < 0)
		result = gb_error_set(error, -EIO, "tls-tickets: OpenSSL has no random numbers: %s",
			gb__tls_reason("no reason is known"));
	if (result == 0) {
		while (path_of(tls, tls->stamps_count))
			tls->stamps_count++;
		tls->stamps = gb__alloc_zero(tls->stamps_count * sizeof(*tls->stamps));
		if (!tls->stamps)
			result = gb_error_set(error, -ENOMEM, "tls: no memory for a context");
	}
	if (result == 0) {
		open_secrets(tls);
		stamps_take(tls); /* before they are read: who changes them meanwhile is seen the next time */
		atomic_store(&tls->heard, asked(tls));
		look_later(tls, now_ms);
		wait_for_next(tls, now_ms);
		result = make(tls, &tls->current, error);
	}
	if (result < 0) {
		gb__tls_destroy(tls);
		return result;
	}
	*ret = tls;
	return 0;
}

void gb__tls_destroy(struct gb__tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->current);
	if (tls->secrets >= 0)
		close(tls->secrets);
	if (tls->tickets.period_ms)
		gb__tls_tickets_finish(&tls->tickets);
	gb__tls_memory_finish(&tls->memory);
	list_free(&tls->certificates);
	list_free(&tls->keys);
	list_free(&tls->ocsp);
	gb__free(tls->password_file);
	gb__free(tls->ca);
	gb__free(tls->ciphers);
	gb__free(tls->stamps);
	pthread_mutex_destroy(&tls->lock);
	pthread_mutex_destroy(&tls->looking);
	gb__free(tls);
}

/* Of all workers that see the same files with the same fault one says so. */
static bool first_to_say(struct gb__tls *tls, const char *text)
{
	uint64_t hash = GB__HASH64;

	if (!tls->shared)
		return true;
	for (size_t i = 0; i < tls->stamps_count; i++)
		hash = gb__hash64_add(hash, tls->stamps[i].digest, sizeof(tls->stamps[i].digest));
	hash = gb__hash64_add(hash, text, strlen(text));
	return atomic_exchange(&tls->shared->complaint, hash) != hash;
}

/* `told`: somebody wants to know what comes of it. */
static void read_again(struct gb__tls *tls, bool told)
{
	struct gb_error error = { 0 };
	SSL_CTX *next, *before;

	if (make(tls, &next, &error) < 0) {
		if (first_to_say(tls, error.text) | told)
			gb__log(GB__LOG_ERROR, "%s (what was read before stays)", error.text);
		return;
	}
	pthread_mutex_lock(&tls->lock);
	before = tls->current;
	tls->current = next;
	gb__tls_memory_forget(&tls->memory);
	pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(before);
	if (first_to_say(tls, "") | told)
		gb__log(GB__LOG_NOTICE, "tls: %sfiles have been read%s: %s", told ? "" : "changed ",
			told ? " again" : "", path_of(tls, 0));
}

uint64_t gb__tls_refresh(struct gb__tls *tls, uint64_t now_ms)
{
	uint64_t due_ms = atomic_load_explicit(&tls->due_ms, memory_order_relaxed), wanted = asked(tls);
	bool told = wanted != atomic_load_explicit(&tls->heard, memory_order_relaxed);

	if (gb__likely(now_ms < due_ms && !told))
		return due_ms;
	if (told)
		pthread_mutex_lock(&tls->looking);
	else if (pthread_mutex_trylock(&tls->looking) != 0)
		return due_ms; /* another thread is at it */
	told = wanted != atomic_load_explicit(&tls->heard, memory_order_relaxed);
	if (told || now_ms >= tls->look_ms) {
		look_later(tls, now_ms);
		if (stamps_take(tls) | told)
			read_again(tls, false);
		atomic_store_explicit(&tls->heard, wanted, memory_order_relaxed);
	}
	wait_for_next(tls, now_ms);
	due_ms = atomic_load_explicit(&tls->due_ms, memory_order_relaxed);
	pthread_mutex_unlock(&tls->looking);
	return due_ms;
}

void gb__tls_reload(struct gb__tls *tls, uint64_t now_ms)
{
	pthread_mutex_lock(&tls->looking);
	look_later(tls, now_ms);
	stamps_take(tls);
	read_again(tls, true);
	if (tls->shared) /* others do so with their next session */
		atomic_store(&tls->heard, atomic_fetch_add(&tls->shared->asked, 1) + 1);
	wait_for_next(tls, now_ms);
	pthread_mutex_unlock(&tls->looking);
}

SSL_CTX *gb__tls_current(struct gb__tls *tls)
{
	SSL_CTX *ctx;

	gb__tls_refresh(tls, gb__os_now_ms(&gb__os_linux));
	pthread_mutex_lock(&tls->lock);
	ctx = tls->current;
	gb__assert(SSL_CTX_up_ref(ctx));
	pthread_mutex_unlock(&tls->lock);
	return ctx;
}

/* Of a host; the dot of the root, which certificates do not have, nor SNI (RFC 6066, 3), says nothing more. */
static int ask_for(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	size_t size = strlen(name);
	char *host;
	int result = -ENOMEM;

	if (size > 0 && name[size - 1] == '.')
		size--;
	host = OPENSSL_strndup(name, size);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* To OpenSSL an empty name is none, and then any certificate does. */
	if (host && size > 0 && X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
		SSL_set_tlsext_host_name(ssl, host) == 1)
		result = 0;
	OPENSSL_free(host);
	return result;
}

int gb__tls_client_prepare(struct gb__tls *tls, SSL *ssl, const char *name)
{
	SSL_SESSION *session;
	char *remembered;
	int result = 0;

	if (name && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) != 1) {
		ERR_clear_error();
		result = ask_for(ssl, name);
	}
	if (result < 0)
		return result;
	remembered = tls->ticket_ms ? name_of_session(ssl) : NULL;
	session = tls->ticket_ms ? gb__tls_memory_get(&tls->memory, remembered ? remembered : "") : NULL;
	OPENSSL_free(remembered);
	if (session)
		SSL_set_session(ssl, session); /* takes a reference; one that does not fit is no harm */
	SSL_SESSION_free(session);
	ERR_clear_error();
	return 0;
}
