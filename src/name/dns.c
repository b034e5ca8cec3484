/*
 * Happy path: a question goes to c-ares, which says what sockets it waits for (`on_socket`), is told when they are ready and
 * when its time is over, and calls back, once, whatever happens.
 *
 * Addresses are asked for by ares_getaddrinfo: hosts file, search domains, A and AAAA, sorted. It does not tell how long a
 * name will not be there, so that is asked once more, for the SOA record of the answer.
 */
#define CARES_NO_DEPRECATED
#include "name/dns.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>

#define CLASS_IN 1
#define TYPE_A 1
#define TYPE_SRV 33
#define TRIES 3

struct gb__dns {
	ares_channel channel;
	struct gb__dns_options options;
	struct gb__loop *loop;
	struct gb__list sockets;
	struct gb_timer timer;
};

struct socket {
	struct gb__list link;
	struct gb__dns *dns;
	struct gb_watch *watch;
	ares_socket_t fd;
};

struct asked {
	struct gb__dns *dns;
	gb__dns_told *told;
	void *arg;
	int code; /* of the first answer, while the second is asked for */
	char name[GB__NAME_SIZE];
};

static void on_time(struct gb_timer *timer, void *arg);

/* c-ares has been called: its next time may be another. */
static void set_timer(struct gb__dns *dns)
{
	struct timeval room, *left = ares_timeout(dns->channel, NULL, &room);
	struct gb__loop *loop = dns->loop;

	gb__timers_stop(&loop->timers, &dns->timer);
	if (!left)
		return;
	dns->timer.worker = dns->options.worker;
	dns->timer.on_expire = on_time;
	dns->timer.arg = dns;
	dns->timer.deadline_ns = loop->os->ops->now_ns(loop->os) + (uint64_t)left->tv_sec * 1000000000u +
		(uint64_t)left->tv_usec * 1000u + 1000000u;
	/* Without memory for it an answer still comes, or names' own deadline. */
	(void)gb__timers_start(&loop->timers, &dns->timer);
}

static void process(struct gb__dns *dns, ares_socket_t in, ares_socket_t out)
{
	ares_process_fd(dns->channel, in, out);
	set_timer(dns);
	dns->options.on_progress(dns->options.arg);
}

static void on_time(struct gb_timer *timer, void *arg)
{
	(void)timer;
	process(arg, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_ready(struct gb_watch *watch, unsigned ready, void *user)
{
	const struct socket *socket = user;
	const unsigned broken = GB_READY_ERROR | GB_READY_HANGUP;
	ares_socket_t fd = socket->fd;

	(void)watch;
	process(socket->dns, ready & (GB_READY_IN | broken) ? fd : ARES_SOCKET_BAD,
		ready & (GB_READY_OUT | broken) ? fd : ARES_SOCKET_BAD);
}

static struct socket *find(struct gb__dns *dns, ares_socket_t fd)
{
	for (struct gb__list *link = dns->sockets.next; link != &dns->sockets; link = link->next) {
		struct socket *socket = gb__container_of(link, struct socket, link);

		if (socket->fd == fd)
			return socket;
	}
	return NULL;
}

static void forget(struct socket *socket)
{
	gb__list_remove(&socket->link);
	if (socket->watch)
		gb__watch_remove(socket->watch);
	gb__free(socket);
}

/* What it wants of a socket of its; nothing: it is about to be closed. One that cannot be watched has its timeout, and is
 * known all the same: a child has it as well. */
static void on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
	const unsigned ready = (readable ? GB_READY_IN : 0u) | (writable ? GB_READY_OUT : 0u);
	struct gb__dns *dns = data;
	struct socket *socket = find(dns, fd);

	if (!ready) {
		if (socket)
			forget(socket);
		return;
	}
	if (!socket) {
		socket = gb__alloc_zero(sizeof(*socket));
		if (!socket)
			return;
		socket->dns = dns;
		socket->fd = fd;
		gb__list_append(&dns->sockets, &socket->link);
	}
	if (socket->watch)
		(void)gb__watch_change(socket->watch, ready);
	else if (gb__watch_add(dns->options.watches, fd, ready, on_ready, socket, &socket->watch) < 0)
		socket->watch = NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int library_result;

static void library_begin(void)
{
	library_result = ares_library_init(ARES_LIB_INIT_ALL);
}

static int code_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOTFOUND:
	case ARES_ENONAME:
	case ARES_EBADNAME:
		return -GB_ENONAME;
	case ARES_ENODATA:
		return -GB_ENOADDRESS;
	case ARES_ETIMEOUT:
		return -GB_ENAMETIMEOUT;
	case ARES_ENOMEM:
		return -ENOMEM;
	case ARES_EDESTRUCTION:
	case ARES_ECANCELLED:
		return -ECANCELED;
	default:
		return -GB_ENAMESERVER;
	}
}

static bool is_absent(int code)
{
	return code == -GB_ENONAME || code == -GB_ENOADDRESS;
}

static void tell(struct asked *asked, struct gb__answer answer)
{
	asked->told(asked->arg, &answer);
	gb__free(asked);
}

static uint32_t negative_ttl_s(const unsigned char *message, int size)
{
	uint32_t ttl_s;

	return message && size > 0 && gb__answer_negative(message, (size_t)size, &ttl_s) == 0 ? ttl_s : 0;
}

/* The SOA record beside the answer that there is none. Whatever it says now, the first one holds. */
static void on_absence(void *arg, int status, int timeouts, unsigned char *message, int size)
{
	struct asked *asked = arg;

	(void)timeouts;
	tell(asked,
		(struct gb__answer){ .code = status == ARES_EDESTRUCTION ? -ECANCELED : asked->code,
			.ttl_s = negative_ttl_s(message, size) });
}

/* They may be kept for long: with no room for more than are there. */
static void take_services(struct gb__answer *answer, const unsigned char *message, int size)
{
	struct gb__srv *services = gb__alloc(GB__NAME_SERVICES_MAX * sizeof(*services)), *fitting;
	int count = -ENOMEM;

	if (services)
		count = gb__answer_services(
			message, (size_t)size, services, GB__NAME_SERVICES_MAX, &answer->ttl_s);
	if (count <= 0) {
		gb__free(services);
		answer->code = count == 0 ? -GB_ENOADDRESS : count == -ENOMEM ? count : -GB_ENAMESERVER;
		return;
	}
	answer->count = (size_t)count;
	fitting = gb__realloc(services, answer->count * sizeof(*services));
	answer->services = fitting ? fitting : services;
}

static void on_services(void *arg, int status, int timeouts, unsigned char *message, int size)
{
	struct gb__answer answer = { .code = code_of(status) };

	(void)timeouts;
	if (answer.code == 0)
		take_services(&answer, message, size);
	if (is_absent(answer.code))
		answer.ttl_s = negative_ttl_s(message, size);
	tell(arg, answer);
}

static void take_address(struct gb__answer *answer, const struct ares_addrinfo_node *node)
{
	struct gb__address *address = &answer->addresses[answer->count];

	if ((node->ai_family != AF_INET && node->ai_family != AF_INET6) ||
		answer->count == GB__NAME_ADDRESSES_MAX || node->ai_addrlen > sizeof(address->local))
		return;
	*address = (struct gb__address){ .size = (socklen_t)node->ai_addrlen };
	memcpy(&address->any, node->ai_addr, (size_t)node->ai_addrlen);
	answer->count++;
}

static void take_ttl(uint32_t *ttl_s, int of)
{
	*ttl_s = gb__min(*ttl_s, (uint32_t)gb__max(of, 0));
}

static struct gb__answer answer_of(const struct ares_addrinfo *found)
{
	struct gb__answer answer = { .ttl_s = UINT32_MAX };
	size_t most = 0;

	for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
		most++;
	if (most == 0)
		return (struct gb__answer){ .code = -GB_ENOADDRESS };
	answer.addresses = gb__alloc(gb__min(most, GB__NAME_ADDRESSES_MAX) * sizeof(*answer.addresses));
	if (!answer.addresses)
		return (struct gb__answer){ .code = -ENOMEM };
	for (const struct ares_addrinfo_cname *cname = found->cnames; cname; cname = cname->next)
		take_ttl(&answer.ttl_s, cname->ttl);
	for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next) {
		take_ttl(&answer.ttl_s, node->ai_ttl);
		take_address(&answer, node);
	}
	if (answer.count == 0) {
		gb__free(answer.addresses);
		return (struct gb__answer){ .code = -GB_ENOADDRESS };
	}
	return answer;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	struct gb__answer answer = { .code = code_of(status) };
	struct asked *asked = arg;

	(void)timeouts;
	if (answer.code == 0 && found)
		answer = answer_of(found);
	else if (answer.code == 0)
		answer.code = -GB_ENOADDRESS;
	if (found)
		ares_freeaddrinfo(found);
	if (!is_absent(answer.code)) {
		tell(asked, answer);
		return;
	}
	asked->code = answer.code;
	ares_search(asked->dns->channel, asked->name, CLASS_IN, TYPE_A, on_absence, asked);
}

void gb__dns_ask(
	struct gb__dns *dns, enum gb__question question, const char *name, gb__dns_told *told, void *arg)
{
	static const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_ENVHOSTS
	};
	struct asked *asked = gb__alloc(sizeof(*asked));

	if (!asked) {
		told(arg, &(struct gb__answer){ .code = -ENOMEM });
		return;
	}
	*asked = (struct asked){ .dns = dns, .told = told, .arg = arg };
	memcpy(asked->name, name, strlen(name) + 1);
	if (question == GB__QUESTION_SERVICE)
		ares_search(dns->channel, name, CLASS_IN, TYPE_SRV, on_services, asked);
	else
		ares_getaddrinfo(dns->channel, name, NULL, &hints, on_addresses, asked);
	set_timer(dns);
}

int gb__dns_create(const struct gb__dns_options *options, struct gb__dns **ret, struct gb_error *error)
{
	struct ares_options wanted = { .timeout = (int)gb__min(options->try_ms, 60000u), .tries = TRIES };
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB, status;
	struct gb__dns *dns;
	char lookups[] = "fb"; /* the hosts file, then name servers */

	pthread_once(&once, library_begin);
	if (library_result != ARES_SUCCESS)
		return gb_error_set(
			error, -EINVAL, "c-ares does not begin: %s", ares_strerror(library_result));
	dns = gb__alloc_zero(sizeof(*dns));
	if (!dns)
		return gb_error_set(error, -ENOMEM, "no memory for names");
	dns->options = *options;
	dns->loop = options->watches->loop;
	gb__list_init(&dns->sockets);
	wanted.lookups = lookups;
	wanted.sock_state_cb = on_socket;
	wanted.sock_state_cb_data = dns;
#ifdef ARES_OPT_QUERY_CACHE
	wanted.qcache_max_ttl = 0; /* what is kept, and how long, is names' to say */
	mask |= ARES_OPT_QUERY_CACHE;
#endif
	status = ares_init_options(&dns->channel, &wanted, mask);
	if (status == ARES_SUCCESS && options->servers && *options->servers) {
		status = ares_set_servers_ports_csv(dns->channel, options->servers);
		if (status != ARES_SUCCESS)
			ares_destroy(dns->channel);
	}
	if (status != ARES_SUCCESS) {
		gb__free(dns);
		return gb_error_set(error, status == ARES_ENOMEM ? -ENOMEM : -EINVAL,
			"c-ares does not begin: %s", ares_strerror(status));
	}
	*ret = dns;
	return 0;
}

void gb__dns_destroy(struct gb__dns *dns)
{
	if (!dns)
		return;
	ares_destroy(dns->channel);
	gb__timers_stop(&dns->loop->timers, &dns->timer);
	while (!gb__list_empty(&dns->sockets))
		forget(gb__container_of(dns->sockets.next, struct socket, link));
	gb__free(dns);
}

/* As they are: c-ares would tell all who have asked. */
void gb__dns_abandon(struct gb__dns *dns)
{
	struct gb__os *os = dns ? dns->loop->os : NULL;

	if (!dns)
		return;
	for (struct gb__list *link = dns->sockets.next; link != &dns->sockets; link = link->next)
		os->ops->close(os, gb__container_of(link, struct socket, link)->fd);
}
