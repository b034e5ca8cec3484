#include "model/options.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "model/config.h"
#include "model/legality.h"
#include "name/target.h"
#include "net/proxy_networks.h"

#include <gearbox/setting.h>

#include <errno.h>
#include <string.h>

#define WEEK_MS (7ull * 24 * 3600 * 1000) /* stamps of connections have 32 bits of milliseconds */
#define AT(field) offsetof(struct gb_options, field)

const struct gb_setting gb_option_settings[] = {
	{ "model", GB_SETTING_TEXT, AT(model_text), GB__MODEL_DEFAULT, 0, 0, NULL, "SPEC",
		"the concurrency model: a preset with ,key=value overrides, or overrides of the default alone" },
	{ "max-connections", GB_SETTING_COUNT, AT(limits.connections_max), "0", 0, UINT32_MAX, NULL, "N",
		"refuse connections beyond this many; 0: what descriptors allow" },
	{ "max-message", GB_SETTING_SIZE, AT(limits.message_bytes_max), "1MiB", 1, 1u << 30, NULL, "SIZE",
		"close on a larger message of the codec, or take it in parts of so much, where a service does" },
	{ "max-body", GB_SETTING_SIZE, AT(limits.body_bytes_max), "0", 0, INT64_MAX, NULL, "SIZE",
		"close on a message in parts that is larger in all; 0: none is" },
	{ "idle-timeout", GB_SETTING_DURATION, AT(limits.idle_timeout_ms), "5m", 0, WEEK_MS, NULL, "TIME",
		"close when nothing moved for so long; 0: never" },
	{ "read-timeout", GB_SETTING_DURATION, AT(limits.read_timeout_ms), "30s", 0, WEEK_MS, NULL, "TIME",
		"close when a message, once begun, is not complete after so long; 0: never" },
	{ "write-timeout", GB_SETTING_DURATION, AT(limits.write_timeout_ms), "30s", 0, WEEK_MS, NULL, "TIME",
		"close when the peer takes no output for so long; 0: never" },
	{ "linger-timeout", GB_SETTING_DURATION, AT(limits.linger_timeout_ms), "2s", 0, WEEK_MS, NULL, "TIME",
		"after closing, wait for the peer's end until nothing has moved for so long" },
	{ "linger-max", GB_SETTING_DURATION, AT(limits.linger_max_ms), "30s", 0, WEEK_MS, NULL, "TIME",
		"after closing, wait at most so long for the peer's end, whatever still comes" },
	{ "connect-timeout", GB_SETTING_DURATION, AT(limits.connect_timeout_ms), "10s", 0, WEEK_MS, NULL,
		"TIME", "give up outgoing connections after so long; 0: when the kernel does" },
	{ "tls-handshake-timeout", GB_SETTING_DURATION, AT(limits.handshake_timeout_ms), "10s", 0, WEEK_MS,
		NULL, "TIME",
		"close when a TLS handshake, or the PROXY header before it, is not complete after so long; 0: never" },
	{ "resolver", GB_SETTING_TEXT, AT(resolver_text), GB__RESOLVER_SYSTEM, 0, 0, NULL, "ADDRESSES",
		"name servers, as ADDRESS[:PORT] with commas between; system: those of /etc/resolv.conf" },
	{ "resolve-timeout", GB_SETTING_DURATION, AT(resolve_timeout_ms), "5s", 100, WEEK_MS, NULL, "TIME",
		"give up on a name that no name server answers for after so long" },
	{ "resolve-ttl-min", GB_SETTING_DURATION, AT(resolve_ttl_min_ms), "1s", 1000, WEEK_MS, NULL, "TIME",
		"keep what a name resolves to for so long at least, whatever its time to live; whole seconds" },
	{ "resolve-ttl-max", GB_SETTING_DURATION, AT(resolve_ttl_max_ms), "1h", 1000, WEEK_MS, NULL, "TIME",
		"and so long at most" },
	{ "resolve-cache", GB_SETTING_COUNT, AT(resolve_names), "1024", 1, 1u << 20, NULL, "N",
		"names that a worker keeps; beyond, those go first that were not asked for the longest time" },
	{ "drain-timeout", GB_SETTING_DURATION, AT(drain_timeout_ms), "10s", 0, WEEK_MS, NULL, "TIME",
		"on SIGTERM, finish what is in flight for at most so long" },
	{ "user-timeout", GB_SETTING_DURATION, AT(user_timeout_ms), "0", 0, WEEK_MS, NULL, "TIME",
		"TCP_USER_TIMEOUT: sent data unacknowledged for so long ends a connection; 0: the kernel's",
		.per_address = true },
	{ "stall-limit", GB_SETTING_DURATION, AT(stall_limit_ms), "1s", 0, WEEK_MS, NULL, "TIME",
		"report a handler that holds its loop for so long; 0: never; blocking engines: only when set" },
	{ "output-high", GB_SETTING_SIZE, AT(limits.output_high), "256KiB", 1, 1u << 30, NULL, "SIZE",
		"stop reading from a connection above so much unsent output" },
	{ "output-low", GB_SETTING_SIZE, AT(limits.output_low), "64KiB", 0, 1u << 30, NULL, "SIZE",
		"read again when it falls to so much" },
	{ "output-max", GB_SETTING_SIZE, AT(limits.output_bytes_max), "16MiB", 1, 1u << 31, NULL, "SIZE",
		"close a connection above so much unsent output" },
	{ "max-replies", GB_SETTING_COUNT, AT(limits.replies_max), "256", 1, 1u << 20, NULL, "N",
		"replies of one connection that are open at once; no more messages are delivered meanwhile" },
	{ "turn-messages", GB_SETTING_COUNT, AT(limits.turn_messages), "1024", 1, UINT32_MAX, NULL, "N",
		"messages of one connection in a row before the others have their turn" },
	{ "trim-after", GB_SETTING_DURATION, AT(limits.trim_after_ms), "10s", 0, WEEK_MS, NULL, "TIME",
		"give the memory of a burst back once little has happened for so long; 0: never" },
	{ "proxy-protocol", GB_SETTING_TEXT, AT(proxies_text), "none", 0, 0, NULL, "NETWORK[,NETWORK...]",
		"want a PROXY header from clients of these networks, as 10.0.0.0/8, unix or any, and refuse others",
		.per_address = true },
	{ "affinity", GB_SETTING_TEXT, AT(affinity_text), "none", 0, 0, NULL, "CPUS",
		"bind each worker to a CPU of a list as 0-3,6, in turn; auto: of all; none: where the kernel likes" },
	{ "busy-poll", GB_SETTING_COUNT, AT(busy_poll_us), "0", 0, 1000000, NULL, "N",
		"before a worker sleeps, have it look for events for N microseconds more: latency for CPU time" },
	{ "backlog", GB_SETTING_COUNT, AT(backlog), "4096", 1, INT32_MAX, NULL, "N",
		"listen(2)'s backlog; the kernel caps it at net.core.somaxconn", .per_address = true },
	{ "sndbuf", GB_SETTING_SIZE, AT(sndbuf), "0", 0, 1u << 30, NULL, "SIZE",
		"SO_SNDBUF; 0: the kernel's choice", .per_address = true },
	{ "rcvbuf", GB_SETTING_SIZE, AT(rcvbuf), "0", 0, 1u << 30, NULL, "SIZE",
		"SO_RCVBUF; 0: the kernel's choice", .per_address = true },
	{ "unix-mode", GB_SETTING_TEXT, AT(unix_mode_text), "none", 0, 0, NULL, "MODE",
		"permissions of the files of unix:PATH, octal as 660; none: as the umask has it",
		.per_address = true },
	{ "unix-owner", GB_SETTING_TEXT, AT(unix_owner_text), "none", 0, 0, NULL, "USER",
		"owner of the files of unix:PATH, a name or a number; none: who runs the program",
		.per_address = true },
	{ "unix-group", GB_SETTING_TEXT, AT(unix_group_text), "none", 0, 0, NULL, "GROUP", "their group",
		.per_address = true },
	{ "keepalive", GB_SETTING_TEXT, AT(keepalive_text), "none", 0, 0, NULL, "IDLE[,INTERVAL[,COUNT]]",
		"SO_KEEPALIVE: ask peers that were silent for IDLE whether they are there, each INTERVAL, and give them "
		"up after COUNT, as 60s,10s,3",
		.per_address = true },
	{ "defer-accept", GB_SETTING_DURATION, AT(defer_accept_ms), "0", 0, WEEK_MS, NULL, "TIME",
		"TCP_DEFER_ACCEPT: accept a client once it has sent something, or after so long; 0: at once",
		.per_address = true },
	{ "fastopen", GB_SETTING_COUNT, AT(fastopen), "0", 0, INT32_MAX, NULL, "N",
		"TCP_FASTOPEN: so many clients at once may send with their first segment; 0: none",
		.per_address = true },
	{ "freebind", GB_SETTING_SWITCH, AT(freebind), "no", 0, 0, NULL, "yes|no",
		"IP_FREEBIND: listen on an address that the machine does not have yet", .per_address = true },
	{ "v6only", GB_SETTING_CHOICE, AT(v6only), "auto", 0, 0, "auto|yes|no", NULL,
		"IPV6_V6ONLY; auto: [::]:PORT is IPv6 alone, *:PORT is both", .per_address = true },
	{ "mark", GB_SETTING_COUNT, AT(mark), "0", 0, UINT32_MAX, NULL, "N",
		"SO_MARK, for routing and filters: of an address, or of outgoing connections too; 0: none",
		.per_address = true },
	{ "device", GB_SETTING_TEXT, AT(device), "none", 0, 0, NULL, "INTERFACE",
		"SO_BINDTODEVICE: accept what comes by this interface alone", .per_address = true },
	{ "connect-source", GB_SETTING_TEXT, AT(source_text), "none", 0, 0, NULL, "ADDRESS[,ADDRESS]",
		"the address that outgoing connections come from, one of each family at most" },
	{ "connect-device", GB_SETTING_TEXT, AT(connect_device), "none", 0, 0, NULL, "INTERFACE",
		"SO_BINDTODEVICE of outgoing connections" },
	{ "tls", GB_SETTING_CHOICE, AT(tls.use), "auto", 0, 0, "auto|yes|no", NULL,
		"speak TLS; auto: where tls-cert names a certificate", .per_address = true },
	{ "tls-cert", GB_SETTING_TEXT, AT(tls.cert), "none", 0, 0, NULL, "FILE[,FILE]",
		"certificates in PEM, each with its chain, chosen by the name that is asked for (SNI) and the kinds of keys that are known, the first for the rest",
		.per_address = true },
	{ "tls-key", GB_SETTING_TEXT, AT(tls.key), "none", 0, 0, NULL, "FILE[,FILE]",
		"their private keys in PEM, in the same order; none: they are in the same files",
		.per_address = true },
	{ "tls-password-file", GB_SETTING_TEXT, AT(tls.password_file), "none", 0, 0, NULL, "FILE",
		"passwords of these keys, one a line, tried in turn", .per_address = true },
	{ "tls-client-ca", GB_SETTING_TEXT, AT(tls.client_ca), "none", 0, 0, NULL, "FILE",
		"who issues the certificates of clients, in PEM", .per_address = true },
	{ "tls-client-cert", GB_SETTING_CHOICE, AT(tls.client_cert), "auto", 0, 0,
		"auto|none|optional|required", NULL,
		"ask clients for a certificate; auto: required where tls-client-ca is given",
		.per_address = true },
	{ "tls-alpn", GB_SETTING_TEXT, AT(tls.alpn), "none", 0, 0, NULL, "NAME[,NAME]",
		"protocols that are spoken (ALPN), the preferred one first, as h2,http/1.1",
		.per_address = true },
	{ "tls-version", GB_SETTING_CHOICE, AT(tls.version), "1.2", 0, 0, "1.2|1.3", NULL,
		"the lowest version of TLS", .per_address = true },
	{ "tls-ciphers", GB_SETTING_TEXT, AT(tls.ciphers), "none", 0, 0, NULL, "LIST",
		"ciphers of TLS 1.2 as OpenSSL writes them; none: modern ones", .per_address = true },
	{ "tls-tickets", GB_SETTING_DURATION, AT(tls.tickets_ms), "1h", 0, WEEK_MS, NULL, "TIME",
		"let sessions be resumed for so long, by tickets; 0: never", .per_address = true },
	{ "tls-reload", GB_SETTING_DURATION, AT(tls.reload_ms), "10s", 0, WEEK_MS, NULL, "TIME",
		"look whether these files have changed once in so long, besides at SIGHUP; 0: never",
		.per_address = true },
	{ "tls-ocsp", GB_SETTING_TEXT, AT(tls.ocsp), "none", 0, 0, NULL, "FILE[,FILE]",
		"responses of OCSP in DER to staple, in the order of tls-cert", .per_address = true },
	{ "announce", GB_SETTING_TEXT, AT(announce_name), "none", 0, 0, NULL, "NAME[,NAME...]",
		"be found as _SERVICE._tcp.DOMAIN: SRV and address records by DNS UPDATE while it serves",
		.per_address = true },
	{ "announce-local", GB_SETTING_TEXT, AT(announce_local), "none", 0, 0, NULL, "[NAME.]TYPE",
		"be found on the local network (DNS-SD) as _SERVICE._tcp, by Avahi where it runs",
		.per_address = true },
	{ "announce-server", GB_SETTING_TEXT, AT(announce.server), NULL, 0, 0, NULL, "HOST[:PORT]",
		"the name server that takes the updates, over TCP; this and the next three are lists where there are several names, or one for all",
		.per_address = true },
	{ "announce-key", GB_SETTING_TEXT, AT(announce.key), NULL, 0, 0, NULL, "FILE",
		"sign them with this key (TSIG), in a file as BIND's tsig-keygen makes it",
		.per_address = true },
	{ "announce-zone", GB_SETTING_TEXT, AT(announce.zone), NULL, 0, 0, NULL, "DOMAIN",
		"the zone to update; default: that server is asked for it", .per_address = true },
	{ "announce-host", GB_SETTING_TEXT, AT(announce.host), NULL, 0, 0, NULL, "NAME",
		"whose address records; default: this machine's name in the zone", .per_address = true },
	{ "announce-address", GB_SETTING_TEXT, AT(announce.address), NULL, 0, 0, NULL, "ADDRESS,…",
		"that name's addresses; default: those listened on, else of the interface towards the name server" },
	{ "announce-ttl", GB_SETTING_DURATION, AT(announce.ttl_ms), "1m", 1000, 24ull * 3600 * 1000, NULL,
		"TIME", "how long records live unless renewed, which they are at half of it" },
	{ "announce-guard", GB_SETTING_SWITCH, AT(announce.guard), "yes", 0, 0, NULL, "yes|no",
		"have a process of its own remove the records when the server is killed" },
	{ "announce-priority", GB_SETTING_COUNT, AT(announce.priority), "0", 0, UINT16_MAX, NULL, "N",
		"of the SRV record: clients take the lowest that answers", .per_address = true },
	{ "announce-weight", GB_SETTING_COUNT, AT(announce.weight), "0", 0, UINT16_MAX, NULL, "N",
		"of the SRV record: clients share among those of one priority by it", .per_address = true },
	{ "log-level", GB_SETTING_CHOICE, AT(log_level), "notice", 0, 0, GB__LOG_LEVELS, "LEVEL",
		"say what is so grave or graver; a connection that was refused or dropped is a notice" },
	{ "log-format", GB_SETTING_CHOICE, AT(log_format), "text", 0, 0, GB__LOG_FORMATS, "FORMAT",
		"how lines look on standard error, or that they go to the daemon of syslog or of the journal" },
	{ "log-socket", GB_SETTING_TEXT, AT(log_socket), NULL, 0, 0, NULL, "PATH",
		"the daemon's socket, where it is not /dev/log, or /run/systemd/journal/socket" },
	{ "nodelay", GB_SETTING_SWITCH, AT(nodelay), "yes", 0, 0, NULL, "yes|no",
		"TCP_NODELAY: send small segments at once", .per_address = true },
	{ NULL },
};

static const struct gb_args_table option_tables[] = { { NULL, gb_option_settings }, { NULL, NULL } };

int gb_options_create(struct gb_options **ret)
{
	struct gb_options *options = gb__alloc(sizeof(*options));
	int result;

	if (!options)
		return -ENOMEM;
	result = gb_settings_init(gb_option_settings, options, sizeof(*options));
	if (result < 0) {
		gb__free(options);
		return result;
	}
	result = gb__model_parse(options->model_text, &options->model, NULL);
	gb__assert(result == 0);
	result = gb__cpus_parse(options->affinity_text, &options->affinity, NULL);
	gb__assert(result == 0);
	*ret = options;
	return 0;
}

void gb_options_destroy(struct gb_options *options)
{
	if (!options)
		return;
	gb_settings_finish(gb_option_settings, options);
	gb__free(options);
}

static int parse_model(const char *text, struct gb_options *options, struct gb_error *error)
{
	struct gb__model model = options->model;
	int result = gb__model_parse(text, &model, error);

	if (result == 0)
		result = gb__model_check(&model, error);
	if (result == 0)
		options->model = model;
	return result;
}

static int parse_affinity(const char *text, struct gb_options *options, struct gb_error *error)
{
	struct gb__cpus affinity = options->affinity;
	int result = gb__cpus_parse(text, &affinity, error);

	if (result == 0)
		options->affinity = affinity;
	return result;
}

/* Each address makes its own of it. */
static int check_proxies(const char *text, struct gb_options *options, struct gb_error *error)
{
	struct gb__proxy_networks *proxies = NULL;
	int result = gb__proxy_networks_parse(text, &proxies, error);

	(void)options;
	gb__proxy_networks_destroy(proxies);
	return result;
}

static int parse_resolver(const char *text, struct gb_options *options, struct gb_error *error)
{
	(void)options;
	if (!*text)
		return gb_error_set(
			error, -GB_EUSAGE, "resolver: \"\" is no name server: write its address, or system");
	return strcmp(text, GB__RESOLVER_SYSTEM) == 0 ? 0 : gb__servers_check(text, error);
}

static gb__option_parse *parser_of(const char *key)
{
	if (strcmp(key, "model") == 0)
		return parse_model;
	if (strcmp(key, "affinity") == 0)
		return parse_affinity;
	if (strcmp(key, "proxy-protocol") == 0)
		return check_proxies;
	if (strcmp(key, "resolver") == 0)
		return parse_resolver;
	return gb__option_of_sockets(key);
}

int gb_options_set(struct gb_options *options, const char *key, const char *value, struct gb_error *error)
{
	struct gb_options before;
	gb__option_parse *parse;
	int result = 0;

	if (!options || !key || !value)
		return gb_error_set(error, -EINVAL, "gb_options_set: options, key or value are NULL");
	if (!gb_settings_find(gb_option_settings, key))
		return gb__config_refuse(option_tables, key, error);
	before = *options;
	parse = parser_of(key);
	if (parse)
		result = parse(value, options, error);
	if (result < 0)
		return result;
	result = gb_settings_set(gb_option_settings, options, key, value, error);
	if (result < 0)
		*options = before; /* it has left texts as they were */
	else
		options->stall_limit_set |= strcmp(key, "stall-limit") == 0;
	return result;
}

static int take_pair(void *arg, const struct gb_setting *row, const char *value, struct gb_error *error)
{
	return gb_options_set(arg, row->key, value, error);
}

int gb_options_load(struct gb_options *options, const char *path, struct gb_error *error)
{
	if (!options || !path)
		return gb_error_set(error, -EINVAL, "gb_options_load: options or path are NULL");
	return gb__config_read(path, option_tables, take_pair, options, error);
}

int gb__options_copy(const struct gb_options *from, struct gb_options **ret)
{
	struct gb_options *options = gb__alloc(sizeof(*options));
	int result = 0;

	if (!options)
		return -ENOMEM;
	*options = *from;
	for (const struct gb_setting *row = gb_option_settings; row->key; row++)
		if (row->type == GB_SETTING_TEXT) {
			char **text = (char **)((char *)options + row->offset), *own = *text;

			*text = own && result == 0 ? gb__strdup(own) : NULL;
			if (own && !*text)
				result = -ENOMEM;
		}
	if (result < 0) {
		gb_options_destroy(options);
		return result;
	}
	*ret = options;
	return 0;
}
