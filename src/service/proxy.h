/**
 * What the services `proxy`, `proxy-line` and `proxy-length` have in common: their settings, the group that these make, and its counters.
 */
#ifndef SERVICE_PROXY_H
#define SERVICE_PROXY_H

#include "proxy_upstream.h"

#define PROXY_DAY_MS 86400000u

/** The settings of each of them begin so. */
struct proxy_settings {
	char *upstream;
	unsigned balance; /* enum proxy_balance */
	uint64_t back_off_ms;
	unsigned send_proxy; /* enum gb_proxy_version */
	bool tls, tls_verify;
	char *tls_ca, *tls_name, *tls_cert, *tls_key;
	struct gb_tls_client *client; /* of `tls` */
	struct proxy_group group;
	unsigned prepared; /* addresses that it serves */
};

/** Their rows. */
#define PROXY_SETTINGS \
	{ "upstream", GB_SETTING_TEXT, offsetof(struct proxy_settings, upstream), \
		.argument = "HOST:PORT[,HOST:PORT...]", .summary = "where connections are forwarded to" }, \
		{ "balance", GB_SETTING_CHOICE, offsetof(struct proxy_settings, balance), \
			.fallback = "round-robin", .choices = "round-robin|least-connections|source", \
			.summary = \
				"which of them: in turn, the one with the fewest, or always the same for a client's " \
				"host" }, \
		{ "send-proxy", GB_SETTING_CHOICE, offsetof(struct proxy_settings, send_proxy), \
			.fallback = "none", .choices = "none|v1|v2", \
			.summary = "begin each connection with a PROXY header, of the client's addresses; " \
				   "v2: and of its TLS" }, \
		{ "upstream-tls", GB_SETTING_SWITCH, offsetof(struct proxy_settings, tls), .fallback = "no", \
			.argument = "yes|no", .summary = "speak TLS to upstreams" }, \
		{ "upstream-tls-ca", GB_SETTING_TEXT, offsetof(struct proxy_settings, tls_ca), \
			.argument = "FILE", \
			.summary = "who is trusted to speak for them; without it the system's" }, \
		{ "upstream-tls-name", GB_SETTING_TEXT, offsetof(struct proxy_settings, tls_name), \
			.argument = "NAME", \
			.summary = "whose certificate each must show; without it its host of `upstream`" }, \
		{ "upstream-tls-cert", GB_SETTING_TEXT, offsetof(struct proxy_settings, tls_cert), \
			.argument = "FILE", .summary = "the proxy's own certificate, for those that ask" }, \
		{ "upstream-tls-key", GB_SETTING_TEXT, offsetof(struct proxy_settings, tls_key), \
			.argument = "FILE", .summary = "its key; without it in the same file" }, \
		{ "upstream-tls-verify", GB_SETTING_SWITCH, offsetof(struct proxy_settings, tls_verify), \
			.fallback = "yes", .argument = "yes|no", \
			.summary = "no: whoever answers is taken for the upstream" }, \
	{ \
		"back-off", GB_SETTING_DURATION, offsetof(struct proxy_settings, back_off_ms), \
			.fallback = "1s", .min = 1, .max = PROXY_DAY_MS, .argument = "TIME", \
			.summary = \
				"leave an upstream out for so long that cannot be connected to; twice as long with " \
				"each further failure, up to 32 times" \
	}

/** The first address that it serves makes the group, whose connections `far_service` has. Returns 1 then, 0 for those behind
 *  it, or an error. */
int proxy_prepare_first(struct gb_server *server, struct proxy_settings *settings,
	const struct gb_service *far_service, struct gb_error *error);
/** Whether it was the last one, so that what the first one has made has gone. */
bool proxy_release_last(struct proxy_settings *settings);
/** What their `on_summary` returns: the counters of the group and, unless it is NULL, of another one beside it. */
int proxy_summarize(struct proxy_settings *settings, struct proxy_group *aside, char *text, size_t size);

#endif
