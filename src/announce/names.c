/* What is announced: names, hosts and addresses, as records. */
#include "announce/labels.h"
#include "announce/register.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "os/interface.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME_MAX_BYTES 200u /* beside what records say of it, in 255 bytes */
#define ID_MAX (NAME_MAX_BYTES + 16u)

/* In lower case, without a dot at the end. Returns whether it is a name that can be written anywhere. */
static bool normalize(const char *text, char *ret)
{
	size_t size = strlen(text), label = 0;

	if (size > 0 && text[size - 1] == '.')
		size--;
	if (size == 0 || size > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < size; i++) {
		ret[i] = (char)tolower((unsigned char)text[i]);
		if (ret[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", ret[i]) || ++label > 63) {
			return false;
		}
	}
	ret[size] = '\0';
	return label > 0;
}

static bool within(const char *name, const char *zone)
{
	const size_t size = strlen(name), tail = strlen(zone);

	return size >= tail && strcmp(name + size - tail, zone) == 0 &&
		(size == tail || name[size - tail - 1] == '.');
}

/* An address, HOST[:PORT], or a service by its SRV records. */
static int parse_server(const char *text, struct gb__target *ret, struct gb_error *error)
{
	char with_port[GB__DNS_NAME + sizeof(":53")];
	const char *named = text;

	*ret = (struct gb__target){ .kind = GB__TARGET_ADDRESS };
	if (gb__address_parse_server(text, 53, &ret->address) == 0)
		return 0;
	if (!strchr(text, ':') && *text != '_') {
		snprintf(with_port, sizeof(with_port), "%s:53", text);
		named = with_port;
	}
	if (gb__target_parse(named, ret, NULL) < 0 || ret->kind == GB__TARGET_ADDRESS)
		return gb_error_set(error, -GB_EUSAGE,
			"announce-server: \"%.60s\" is no name server: write 192.0.2.53, [2001:db8::53]:5353 or ns.example.org",
			text);
	return 0;
}

static int take_key(struct gb__announce *announce, const char *path, struct gb_error *error)
{
	const struct gb__dns_key *key = &announce->key;
	int result = gb__dns_key_load(path, &announce->key, error);

	if (result < 0)
		return result;
	announce->signs = true;
	result = gb__dns_key_check(key);
	if (result == -EOPNOTSUPP || result == -ENOTSUP)
		return gb_error_set(error, -GB_EUSAGE,
			"%s: the libraries of this machine do not sign with %.*s: make a key by `tsig-keygen -a hmac-sha256 %s`",
			path, (int)strlen(key->algorithm) - 1, key->algorithm, key->name);
	return result < 0 ? gb_error_set(error, result, "no memory to announce anything") : 0;
}

static int parse_addresses(struct gb__announce *announce, const char *text, struct gb_error *error)
{
	for (const char *at = text; *at;) {
		const size_t size = strcspn(at, ",");
		struct gb__address *address = &announce->addresses[announce->addresses_count];
		char word[INET6_ADDRSTRLEN] = "";

		if (size < sizeof(word))
			snprintf(word, sizeof(word), "%.*s", (int)size, at);
		*address = (struct gb__address){ .v4 = { .sin_family = AF_INET } };
		if (inet_pton(AF_INET, word, &address->v4.sin_addr) != 1) {
			*address = (struct gb__address){ .v6 = { .sin6_family = AF_INET6 } };
			if (inet_pton(AF_INET6, word, &address->v6.sin6_addr) != 1)
				return gb_error_set(error, -GB_EUSAGE,
					"announce-address: \"%.*s\" is no IP address",
					(int)gb__min(size, 60u), at);
		}
		if (++announce->addresses_count == GB__ANNOUNCE_ADDRESSES)
			return gb_error_set(error, -GB_EUSAGE, "announce-address: more than %u addresses",
				GB__ANNOUNCE_ADDRESSES - 1);
		at += size + (at[size] == ',');
	}
	return 0;
}

static int take_options(
	struct gb__announce *announce, const struct gb__announce_options *options, struct gb_error *error)
{
	int result;

	if (!options->server || !*options->server)
		return gb_error_set(error, -GB_EUSAGE,
			"announce: say which name server takes the updates: announce-server HOST[:PORT]");
	result = parse_server(options->server, &announce->target, error);
	if (result == 0 && options->address)
		result = parse_addresses(announce, options->address, error);
	if (result == 0 && options->key)
		result = take_key(announce, options->key, error);
	if (result < 0)
		return result;
	if (options->zone && !normalize(options->zone, announce->zone))
		return gb_error_set(
			error, -GB_EUSAGE, "announce-zone: \"%.60s\" is no domain name", options->zone);
	gb__label_of_machine(announce->host_wanted, sizeof(announce->host_wanted));
	if (options->host && !normalize(options->host, announce->host_wanted))
		return gb_error_set(
			error, -GB_EUSAGE, "announce-host: \"%.60s\" is no domain name", options->host);
	announce->ttl_s = (uint32_t)gb__max(options->ttl_ms / 1000, 1u);
	return 0;
}

int gb__announce_create(
	const struct gb__announce_options *options, struct gb__announce **ret, struct gb_error *error)
{
	struct gb__announce *announce = gb__alloc_zero(sizeof(*announce));
	int result;

	if (!announce)
		return gb_error_set(error, -ENOMEM, "no memory to announce anything");
	announce->dialogue.fd = announce->guard = -1;
	if (getentropy(&announce->run, sizeof(announce->run)) < 0)
		announce->run = (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);
	announce->guards = options->guard;
	announce->status = (struct gb__announce_status){ .state = "waiting", .error = announce->error };
	announce->gone = true;
	announce->nodes = gb__alloc_zero(sizeof(*announce->nodes));
	announce->nodes_count = announce->nodes ? 1 : 0;
	if (announce->nodes)
		announce->nodes->run = announce->run;
	result = announce->nodes ? take_options(announce, options, error)
				 : gb_error_set(error, -ENOMEM, "no memory to announce anything");
	if (result < 0) {
		gb__announce_destroy(announce);
		return result;
	}
	gb__target_format(&announce->target, announce->server_text, sizeof(announce->server_text));
	*ret = announce;
	return 0;
}

static struct gb__node *node_named(struct gb__announce *announce, const char *name)
{
	struct gb__node *grown;

	for (size_t i = 1; i < announce->nodes_count; i++)
		if (strcmp(announce->nodes[i].name, name) == 0)
			return &announce->nodes[i];
	grown = gb__realloc(announce->nodes, (announce->nodes_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	announce->nodes = grown;
	grown += announce->nodes_count++;
	*grown = (struct gb__node){ .run = announce->run };
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	return grown;
}

/* RFC 2782: "_service._tcp.domain". */
static bool names_service(const char *name)
{
	const char *second = strchr(name, '.');

	return *name == '_' && second && strncmp(second, "._tcp.", 6) == 0 && second - name > 1;
}

int gb__announce_add(struct gb__announce *announce, const char *name, const struct gb__address *listening,
	unsigned priority, unsigned weight, struct gb_error *error)
{
	struct gb__announced *grown;
	char normal[GB__DNS_NAME];

	if (!normalize(name, normal) || !names_service(normal))
		return gb_error_set(error, -GB_EUSAGE,
			"announce: \"%.60s\" is no name of a service: write _SERVICE._tcp.DOMAIN, e.g. _echo._tcp.example.org",
			name);
	if (*announce->zone && !within(normal, announce->zone))
		return gb_error_set(
			error, -GB_EUSAGE, "announce: %s is not in the zone %s", normal, announce->zone);
	grown = gb__realloc(announce->services, (announce->services_count + 1) * sizeof(*grown));
	if (grown)
		announce->services = grown;
	if (!grown || !node_named(announce, normal))
		return gb_error_set(error, -ENOMEM, "no memory to announce %s", normal);
	grown += announce->services_count;
	*grown = (struct gb__announced){
		.name = gb__strdup(normal), .listening = *listening, .priority = priority, .weight = weight
	};
	if (!grown->name)
		return gb_error_set(error, -ENOMEM, "no memory to announce %s", normal);
	announce->services_count++;
	return 0;
}

int gb__announce_settle_names(struct gb__announce *announce, struct gb_error *error)
{
	const char *wanted = announce->host_wanted;
	int length;

	if (strchr(wanted, '.'))
		length = snprintf(announce->host, sizeof(announce->host), "%s", wanted);
	else
		length = snprintf(announce->host, sizeof(announce->host), "%s.%s", wanted, announce->zone);
	if (length < 0 || (size_t)length > NAME_MAX_BYTES)
		return gb_error_set(
			error, -GB_EUSAGE, "the name of the host in %s is too long", announce->zone);
	if (!within(announce->host, announce->zone))
		return gb_error_set(error, -GB_EUSAGE, "announce-host %s is not in the zone %s",
			announce->host, announce->zone);
	for (size_t i = 0; i < announce->services_count; i++)
		if (!within(announce->services[i].name, announce->zone))
			return gb_error_set(error, -GB_EUSAGE, "%s is not in the zone %s",
				announce->services[i].name, announce->zone);
	snprintf(announce->nodes[0].name, sizeof(announce->nodes[0].name), "%s", announce->host);
	return 0;
}

/* A host's address record, unless somebody else has put it there: then it is there, and not ours to remove. */
static int add_address(
	struct gb__announce *announce, struct gb__lease *lease, const struct gb__address *address)
{
	const bool v4 = address->any.sa_family == AF_INET;
	char text[INET6_ADDRSTRLEN] = "", record[GB__LEASE_TEXT];
	ldns_rr *wanted;
	bool there = false;

	inet_ntop(address->any.sa_family,
		v4 ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr, text,
		sizeof(text));
	snprintf(record, sizeof(record), "%s %s", v4 ? "A" : "AAAA", text);
	wanted = gb__dns_record(announce->host, 0, LDNS_RR_CLASS_IN, record);
	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; announce->there && i < ldns_rr_list_rr_count(announce->there); i++)
		there |= ldns_rr_compare(ldns_rr_list_rr(announce->there, i), wanted) == 0;
	ldns_rr_free(wanted);
	if (there && !gb__node_leased(&announce->nodes[0], record))
		return 0;
	return gb__lease_add(lease, record);
}

static bool covers(const struct gb__address *listening, int family)
{
	return listening->any.sa_family == family || listening->every;
}

static bool unspecified(const struct gb__address *address)
{
	if (address->every)
		return true;
	return address->any.sa_family == AF_INET ? address->v4.sin_addr.s_addr == htonl(INADDR_ANY)
						 : IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

/* Every address: those of the interface that the name server is reached by. */
static int add_interface(
	struct gb__announce *announce, struct gb__lease *lease, const struct gb__address *listening)
{
	struct gb__address found[GB__ANNOUNCE_ADDRESSES];
	const unsigned count = gb__interface_addresses(&announce->local, found, gb__countof(found));
	int result = 0;

	for (unsigned i = 0; i < count && result == 0; i++)
		if (covers(listening, found[i].any.sa_family))
			result = add_address(announce, lease, &found[i]);
	return result;
}

static int fill_host(
	struct gb__announce *announce, const struct gb__announced *service, struct gb__lease *lease)
{
	int result = 0;

	if (announce->addresses_count > 0) {
		for (unsigned i = 0; i < announce->addresses_count && result == 0; i++)
			result = add_address(announce, lease, &announce->addresses[i]);
		return result;
	}
	if (unspecified(&service->listening))
		return add_interface(announce, lease, &service->listening);
	return add_address(announce, lease, &service->listening);
}

static struct gb__lease *lease_of(struct gb__node *node, const char *id)
{
	for (size_t i = 0; i < node->own_count; i++)
		if (strcmp(node->own[i].id, id) == 0)
			return &node->own[i];
	return gb__node_own(node, id);
}

int gb__announce_fill(struct gb__announce *announce)
{
	int result = 0;

	for (size_t i = 0; i < announce->nodes_count; i++)
		gb__node_disown(&announce->nodes[i]);
	for (size_t i = 0; i < announce->services_count && result == 0; i++) {
		const struct gb__announced *service = &announce->services[i];
		const unsigned port = gb__address_port(&service->listening);
		char id[ID_MAX], record[GB__LEASE_TEXT];
		struct gb__lease *lease;

		snprintf(id, sizeof(id), "%.200s:%u", announce->host, port);
		snprintf(record, sizeof(record), "SRV %u %u %u %.200s.", service->priority, service->weight,
			port, announce->host);
		lease = lease_of(node_named(announce, service->name), id);
		result = lease ? gb__lease_add(lease, record) : -ENOMEM;
		if (result < 0)
			break;
		snprintf(id, sizeof(id), "%.200s:%u", service->name, port);
		lease = lease_of(&announce->nodes[0], id);
		result = lease ? fill_host(announce, service, lease) : -ENOMEM;
	}
	return result;
}

const char *gb__announce_name(const struct gb__announce *announce, size_t index)
{
	return index + 1 < announce->nodes_count ? announce->nodes[index + 1].name : NULL;
}

void gb__announce_destroy(struct gb__announce *announce)
{
	if (!announce)
		return;
	gb__announce_end(announce);
	for (size_t i = 0; i < announce->services_count; i++)
		gb__free(announce->services[i].name);
	gb__free(announce->services);
	for (size_t i = 0; i < announce->nodes_count; i++)
		gb__node_finish(&announce->nodes[i]);
	gb__free(announce->nodes);
	gb__dns_key_finish(&announce->key);
	gb__free(announce);
}
