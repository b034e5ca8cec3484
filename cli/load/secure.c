#include "load/secure.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 256
#define AT(field) offsetof(struct load_options, tls.field)

const struct gb_setting gb__load_secure_flags[] = {
	{ "tls", GB_SETTING_SWITCH, AT(use), .summary = "speak TLS" },
	{ "tls-ca", GB_SETTING_TEXT, AT(ca), .argument = "FILE",
		.summary =
			"who is trusted for the server's certificate, in PEM (default: whom the system trusts)" },
	{ "tls-insecure", GB_SETTING_SWITCH, AT(insecure), .summary = "take whatever certificate it shows" },
	{ "tls-name", GB_SETTING_TEXT, AT(name), .argument = "NAME",
		.summary =
			"the server's name, asked for and looked for in the certificate (default: the host of the address)" },
	{ "tls-cert", GB_SETTING_TEXT, AT(certificate), .argument = "FILE",
		.summary = "our own certificate in PEM, for a server that asks for one" },
	{ "tls-key", GB_SETTING_TEXT, AT(key), .argument = "FILE", .summary = "its key" },
	{ "tls-resume", GB_SETTING_SWITCH, AT(resume), .argument = "yes|no",
		.summary =
			"resume what an earlier connection agreed on (default); no: each handshake is a full one" },
	{ "tls-alpn", GB_SETTING_TEXT, AT(alpn), .argument = "NAME,...",
		.summary = "protocols to offer (ALPN)" },
	{ NULL },
};

int gb__load_secure_check(const struct load_options *options, struct gb_error *error)
{
	const struct load_tls *tls = &options->tls;
	const char *lone = tls->ca ? "ca"
		: tls->insecure    ? "insecure"
		: tls->name        ? "name"
		: tls->certificate ? "cert"
		: tls->key         ? "key"
		: tls->alpn        ? "alpn"
				   : NULL;

	if (!tls->use)
		return lone ? gb_error_set(error, -GB_EUSAGE, "--tls-%s goes with --tls", lone) : 0;
	if (tls->ca && tls->insecure)
		return gb_error_set(
			error, -GB_EUSAGE, "--tls-insecure takes any certificate: leave it or --tls-ca out");
	if (tls->key && !tls->certificate)
		return gb_error_set(error, -GB_EUSAGE, "--tls-key goes with --tls-cert");
	if (options->idle)
		return gb_error_set(error, -GB_EUSAGE,
			"--idle connections say nothing, no TLS either: leave one of --idle and --tls out");
	if (options->protocol == &gb__protocol_syslog && options->framing_index == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"--tls: records of syslog begin with their length then (RFC 5425, 4.3): write --framing octets");
	return 0;
}

/* Whom the user has asked for (RFC 6125, 6.4): what stands before the port; of a service's name, the domain that it is of. */
static const char *host_of(const char *address, char *room)
{
	const char *service = strncmp(address, "srv:", 4) == 0 ? address + 4 : address;
	const char *colon = strrchr(service, ':');
	const bool braced = address[0] == '[';

	if (strncmp(address, "unix:", 5) == 0)
		return NULL;
	if (!colon) {
		while (*service == '_' && strchr(service, '.'))
			service = strchr(service, '.') + 1;
		return service;
	}
	snprintf(room, HOST_MAX, "%.*s", (int)(colon - address) - 2 * braced, address + braced);
	return room;
}

void gb__load_secure_note(struct handshakes *handshakes, struct gb_conn *conn, uint64_t ns)
{
	struct gb_tls_info info;

	if (gb_conn_tls(conn, &info) < 0)
		return;
	if (!handshakes->version[0]) {
		snprintf(handshakes->version, sizeof(handshakes->version), "%s", info.version);
		snprintf(handshakes->cipher, sizeof(handshakes->cipher), "%s", info.cipher);
		snprintf(handshakes->alpn, sizeof(handshakes->alpn), "%s", info.alpn);
	}
	gb__histogram_add(info.resumed ? &handshakes->resumed_ns : &handshakes->full_ns, ns);
}

int gb__load_secure(const struct load_options *options, struct gb_tls_client **ret, struct gb_error *error)
{
	const struct load_tls *tls = &options->tls;
	char host[HOST_MAX];
	const struct gb_tls_client_options what = {
		.name = tls->name ? tls->name : host_of(options->address, host),
		.ca = tls->ca,
		.certificate = tls->certificate,
		.key = tls->key,
		.alpn = tls->alpn,
		.resume_never = !tls->resume,
		.insecure_accept_any_server = tls->insecure,
	};

	*ret = NULL;
	return tls->use ? gb_tls_client_create(&what, ret, error) : 0;
}
