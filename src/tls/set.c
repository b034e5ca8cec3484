/*
 * Everything is read before anything is used: what is wrong with one file leaves no context behind. Then each name has the
 * certificates that are for it, one of each kind of key, and those names with the same ones share an SSL_CTX.
 */
#include "tls/set.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/macros.h"
#include "tls/context.h"
#include "tls/names.h"
#include "tls/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define KINDS_MAX 8 /* of keys; OpenSSL 3.0 has seven in a context */

/* Certificates of one name, by their number. */
struct group {
	SSL_CTX *ctx;   /* the first one's is not referred to: it owns the set */
	SSL_CTX *keeps; /* the same, for sessions that are to be handed over (handover.c) */
	size_t members[KINDS_MAX];
	unsigned count;
};

struct set {
	size_t count; /* of certificates */
	struct choice {
		struct gb__tls_chain chain; /* once contexts have it: the leaf alone */
		struct gb__tls_staple staple;
	} * choices;
	struct gb__tls_names names; /* of groups */
	struct group *groups;
	size_t groups_count;
};

static int set_index = -1;
static pthread_once_t set_once = PTHREAD_ONCE_INIT;

static void set_free(struct set *set)
{
	for (size_t i = 0; i < set->groups_count; i++) {
		SSL_CTX_free(i > 0 ? set->groups[i].ctx : NULL);
		SSL_CTX_free(set->groups[i].keeps);
	}
	for (size_t i = 0; i < set->count; i++) {
		gb__tls_chain_free(&set->choices[i].chain);
		gb__free(set->choices[i].staple.bytes);
	}
	gb__free(set->groups);
	gb__free(set->choices);
	gb__tls_names_free(&set->names);
	gb__free(set);
}

static void on_context_free(void *parent, void *set, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	if (set)
		set_free(set);
}

static void make_set_index(void)
{
	set_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_free);
}

static int no_memory(struct gb_error *error)
{
	return gb_error_set(error, -ENOMEM, "tls: no memory for a context");
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
	const struct set *set = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct group *group = &set->groups[name ? gb__tls_names_find(&set->names, name) : 0];
	SSL_CTX *ctx = gb__tls_handover_wanted(ssl) ? group->keeps : group->ctx;

	if (ctx != SSL_get_SSL_CTX(ssl) && !SSL_set_SSL_CTX(ssl, ctx))
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* About the certificate that the client gets. */
static int on_status(SSL *ssl, void *arg)
{
	const struct set *set = arg;
	const X509 *used = SSL_get_certificate(ssl);
	const struct gb__tls_staple *staple = NULL;
	unsigned char *copy;

	for (size_t i = 0; i < set->count && !staple; i++)
		if (set->choices[i].chain.leaf == used)
			staple = &set->choices[i].staple;
	if (!staple || !staple->bytes || (staple->until && staple->until < time(NULL)))
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(staple->bytes, staple->size);
	if (!copy)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->size); /* takes it */
	return SSL_TLSEXT_ERR_OK;
}

static int read_pair(const struct gb__tls_set_source *source, size_t n, struct gb__tls_chain *ret_chain,
	struct gb_error *error)
{
	const struct gb__tls_file certificate = { "tls-cert", source->certificates[n] };
	int result = gb__tls_chain_read(certificate, ret_chain, error);

	return result < 0 ? result
			  : gb__tls_key_read((struct gb__tls_file){ "tls-key", source->keys[n] },
				    certificate.path, source->password_file, ret_chain, error);
}

static int use(const struct gb__tls_set_source *source, size_t n, const struct gb__tls_chain *chain,
	SSL_CTX *ctx, struct gb_error *error)
{
	if (SSL_CTX_use_cert_and_key(ctx, chain->leaf, chain->key, chain->others, 1) == 1)
		return 0;
	return gb_error_set(error, -GB_EUSAGE, "tls-cert: %s: %s", source->certificates[n],
		gb__tls_reason("it cannot be used"));
}

int gb__tls_set_use(const struct gb__tls_set_source *source, size_t n, SSL_CTX *ctx, struct gb_error *error)
{
	struct gb__tls_chain chain = { 0 };
	int result = read_pair(source, n, &chain, error);

	if (result == 0)
		result = use(source, n, &chain, ctx, error);
	gb__tls_chain_free(&chain);
	return result;
}

static int read_one(
	const struct gb__tls_set_source *source, size_t n, struct set *set, struct gb_error *error)
{
	struct choice *choice = &set->choices[n];
	int result = read_pair(source, n, &choice->chain, error);

	if (result == 0 && gb__tls_names_add(&set->names, choice->chain.leaf, n) < 0)
		result = no_memory(error);
	if (result == 0 && n < source->ocsp_count && *source->ocsp[n])
		result = gb__tls_staple_read((struct gb__tls_file){ "tls-ocsp", source->ocsp[n] },
			choice->chain.leaf, &choice->staple, error);
	return result;
}

static int kind_of(const struct set *set, size_t certificate)
{
	return EVP_PKEY_get_base_id(set->choices[certificate].chain.key);
}

/* Unless one with the same kind of key is before it. */
static void join(const struct set *set, struct group *group, size_t certificate)
{
	for (unsigned i = 0; i < group->count; i++)
		if (kind_of(set, group->members[i]) == kind_of(set, certificate))
			return;
	if (group->count < KINDS_MAX)
		group->members[group->count++] = certificate;
}

static size_t group_of(struct set *set, const struct group *wanted)
{
	size_t at = 0;

	while (at < set->groups_count &&
		(set->groups[at].count != wanted->count ||
			memcmp(set->groups[at].members, wanted->members,
				wanted->count * sizeof(*wanted->members)) != 0))
		at++;
	if (at == set->groups_count)
		set->groups[set->groups_count++] = *wanted;
	return at;
}

/* From names of certificates to names of groups. The group of the first certificate's first name is the first. */
static int make_groups(struct set *set)
{
	struct gb__tls_names *names = &set->names;
	struct group first = { .members = { 0 }, .count = 1 };
	char *home = names->count > 0 && names->names[0].index == 0 ? names->names[0].text : NULL;
	size_t kept = 0;

	set->groups = gb__alloc_zero((names->count + 1) * sizeof(*set->groups));
	if (!set->groups)
		return -ENOMEM;
	gb__tls_names_seal(names);
	for (size_t i = 0; home && i < names->count; i++)
		if (strcmp(names->names[i].text, home) == 0)
			join(set, &first, names->names[i].index);
	group_of(set, &first);
	for (size_t i = 0, next; i < names->count; i = next) {
		struct group group = { 0 };

		for (next = i;
			next < names->count && strcmp(names->names[next].text, names->names[i].text) == 0;
			next++) {
			join(set, &group, names->names[next].index);
			if (next > i)
				gb__free(names->names[next].text);
		}
		names->names[kept++] =
			(struct gb__tls_name){ .text = names->names[i].text, .index = group_of(set, &group) };
	}
	names->count = kept;
	return 0;
}

static int fill(const struct gb__tls_set_source *source, struct set *set, const struct group *group,
	bool keeps, SSL_CTX **ret, struct gb_error *error)
{
	int result = source->make(source->arg, keeps, ret, error);
	bool stapled = false;

	for (unsigned i = 0; result == 0 && i < group->count; i++) {
		const struct choice *choice = &set->choices[group->members[i]];

		stapled |= choice->staple.bytes != NULL;
		result = use(source, group->members[i], &choice->chain, *ret, error);
	}
	if (result == 0 && stapled) {
		SSL_CTX_set_tlsext_status_cb(*ret, on_status);
		SSL_CTX_set_tlsext_status_arg(*ret, set);
	}
	return result;
}

/* Contexts have what they need of them. */
static void forget_keys(struct set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		struct gb__tls_chain *chain = &set->choices[i].chain;
		const struct gb__tls_chain leaf = { .leaf = chain->leaf };

		chain->leaf = NULL;
		gb__tls_chain_free(chain);
		*chain = leaf;
	}
}

int gb__tls_set_make(const struct gb__tls_set_source *source, SSL_CTX **ret, struct gb_error *error)
{
	struct set *set = gb__alloc_zero(sizeof(*set));
	int result = 0;

	gb__assert(pthread_once(&set_once, make_set_index) == 0);
	if (!set)
		return no_memory(error);
	set->choices = gb__alloc_zero(source->count * sizeof(*set->choices));
	if (!set->choices)
		result = no_memory(error);
	while (result == 0 && set->count < source->count)
		result = read_one(source, set->count++, set, error);
	if (result == 0 && make_groups(set) < 0)
		result = no_memory(error);
	for (size_t i = 0; result == 0 && i < set->groups_count; i++) {
		struct group *group = &set->groups[i];

		result = fill(source, set, group, false, &group->ctx, error);
		if (result == 0)
			result = fill(source, set, group, true, &group->keeps, error);
	}
	if (result == 0 && SSL_CTX_set_ex_data(set->groups[0].ctx, set_index, set) != 1)
		result = no_memory(error);
	if (result < 0) {
		if (set->groups_count > 0)
			SSL_CTX_free(set->groups[0].ctx);
		set_free(set);
		return result;
	}
	forget_keys(set);
	*ret = set->groups[0].ctx;
	SSL_CTX_set_tlsext_servername_callback(*ret, on_name);
	SSL_CTX_set_tlsext_servername_arg(*ret, set);
	return 0;
}
