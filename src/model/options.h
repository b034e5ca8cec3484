/** The options of a server behind their string keys. */
#ifndef MODEL_OPTIONS_H
#define MODEL_OPTIONS_H

#include "announce/announce.h"
#include "announce/local.h"
#include "model/spec.h"
#include "net/net.h"
#include "os/cpu.h"
#include "os/socket.h"

#include <gearbox/server.h>

/** What the options `tls…` say; texts are "none" where they say nothing. */
struct gb__tls_settings {
	unsigned use; /* enum gb__tls_use */
	char *cert, *key, *password_file, *client_ca, *alpn, *ciphers, *ocsp;
	unsigned client_cert; /* enum gb__tls_client_cert */
	unsigned version;     /* the lowest: 0: 1.2, 1: 1.3 */
	uint64_t tickets_ms, reload_ms;
};
enum gb__tls_use { GB__TLS_AUTO, GB__TLS_YES, GB__TLS_NO };
enum gb__tls_client_cert {
	GB__TLS_CLIENT_AUTO,
	GB__TLS_CLIENT_NONE,
	GB__TLS_CLIENT_OPTIONAL,
	GB__TLS_CLIENT_REQUIRED,
};

#define GB__RESOLVER_SYSTEM "system"

struct gb_options {
	char *model_text;
	struct gb__model model; /* model_text, parsed and legal */
	char *affinity_text;
	struct gb__cpus affinity; /* affinity_text, parsed */
	struct gb__limits limits;
	uint64_t busy_poll_us;
	uint64_t drain_timeout_ms;
	uint64_t backlog;
	uint64_t sndbuf, rcvbuf;
	uint64_t user_timeout_ms;
	uint64_t stall_limit_ms;
	bool stall_limit_set; /* by somebody: it is for blocking engines as well */
	bool nodelay;
	char *proxies_text; /* networks; those of an address are parsed in its binding */
	char *unix_mode_text, *unix_owner_text, *unix_group_text;
	unsigned unix_mode;                      /* unix_mode_text, parsed; 0: none */
	struct gb__owner unix_owner, unix_group; /* parsed; not given: ours */
	char *keepalive_text;
	struct gb__keepalive keepalive; /* keepalive_text, parsed */
	uint64_t defer_accept_ms;
	uint64_t fastopen;
	bool freebind;
	unsigned v6only; /* enum gb__v6only */
	uint64_t mark;
	char *device, *connect_device; /* names that fit, or "none" */
	char *source_text;
	struct gb__source source; /* source_text, parsed */
	struct gb__tls_settings tls;
	char *announce_name;  /* "none": it is not announced */
	char *announce_local; /* likewise, on the local network */
	struct gb__announce_options announce;
	char *resolver_text; /* name servers; "system": as it has them */
	uint64_t resolve_timeout_ms, resolve_ttl_min_ms, resolve_ttl_max_ms;
	uint64_t resolve_names;         /* that each worker keeps */
	unsigned log_level, log_format; /* enum gb__log_level, enum gb__log_format */
	char *log_socket;               /* NULL: where it is as a rule */
};

/** A copy that shares nothing. Returns 0 or -ENOMEM. */
int gb__options_copy(const struct gb_options *from, struct gb_options **ret);

/** Parses what a text option says into the options, or leaves them as they are. Returns 0, or -GB_EUSAGE with the reason. */
typedef int gb__option_parse(const char *text, struct gb_options *options, struct gb_error *error);
/** Of an option of sockets that is a text; NULL: it needs none. */
gb__option_parse *gb__option_of_sockets(const char *key);

struct gb__socket_options gb__options_socket(const struct gb_options *options);
/** How names are resolved; borrows its texts. */
struct gb__names_options gb__options_names(const struct gb_options *options);

#endif
