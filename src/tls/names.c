#include "tls/names.h"

#include "base/alloc.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 255

/* ASCII alone: the C library's would ask the locale. */
static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static int add_name(struct gb__tls_names *names, const ASN1_STRING *string, size_t index)
{
	int size = ASN1_STRING_length(string);
	struct gb__tls_name *grown;
	char *text;

	if (size <= 0 || size > HOST_MAX || memchr(ASN1_STRING_get0_data(string), '\0', (size_t)size))
		return 0; /* no name of a host */
	grown = gb__realloc(names->names, (names->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	names->names = grown;
	text = gb__alloc((size_t)size + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, ASN1_STRING_get0_data(string), (size_t)size);
	text[size] = '\0';
	lower(text);
	names->names[names->count++] = (struct gb__tls_name){ .text = text, .index = index };
	return 0;
}

int gb__tls_names_add(struct gb__tls_names *names, X509 *certificate, size_t index)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	X509_NAME *subject = X509_get_subject_name(certificate);
	size_t before = names->count;
	int result = 0, at = -1;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && result == 0; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type == GEN_DNS)
			result = add_name(names, name->d.dNSName, index);
	}
	GENERAL_NAMES_free(all);
	if (result == 0 && names->count == before)
		at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at >= 0)
		result = add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), index);
	return result;
}

static int compare(const void *a, const void *b)
{
	const struct gb__tls_name *left = a, *right = b;
	int order = strcmp(left->text, right->text);

	return order ? order : (left->index > right->index) - (left->index < right->index);
}

void gb__tls_names_seal(struct gb__tls_names *names)
{
	if (names->count > 1)
		qsort(names->names, names->count, sizeof(*names->names), compare);
}

/* The first of those with this text. */
static const struct gb__tls_name *look_up(const struct gb__tls_names *names, const char *text)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(names->names[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < names->count && strcmp(names->names[low].text, text) == 0 ? &names->names[low] : NULL;
}

size_t gb__tls_names_find(const struct gb__tls_names *names, const char *name)
{
	const struct gb__tls_name *found;
	char text[HOST_MAX + 1];
	size_t size = strlen(name);
	char *dot;

	if (size > 0 && name[size - 1] == '.')
		size--;
	if (size == 0 || size > HOST_MAX)
		return 0;
	memcpy(text, name, size);
	text[size] = '\0';
	lower(text);
	found = look_up(names, text);
	dot = strchr(text, '.');
	if (!found && dot && dot > text) {
		dot[-1] = '*';
		found = look_up(names, dot - 1);
	}
	return found ? found->index : 0;
}

void gb__tls_names_free(struct gb__tls_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		gb__free(names->names[i].text);
	gb__free(names->names);
	*names = (struct gb__tls_names){ 0 };
}
