#include "net/tell.h"

#include "base/log.h"
#include "base/macros.h"
#include "os/socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is nobody's fault, and comes with every connection. */
bool gb__reason_ordinary(int reason)
{
	switch (reason) {
	case GB_CLOSE_EOF:
	case GB_CLOSE_LOCAL:
	case GB_CLOSE_IDLE:
	case GB_CLOSE_DRAIN:
	case GB_CLOSE_RESET:
	case GB_CLOSE_TLS_TRUNCATED: /* many peers never say it */
	case GB_CLOSE_RELAY:         /* the other one's end is told */
		return true;
	default:
		return false;
	}
}

static const char *meaning(int reason)
{
	static const char *const texts[] = {
#define TEXT(name, word, text) text,
		GB_CLOSE_REASONS(TEXT)
#undef TEXT
	};

	return texts[reason];
}

/* The address; of a peer without one the process, where the kernel knows it. */
static void describe_peer(struct gb__os *os, int fd, char *text, size_t size)
{
	struct gb__address address;
	pid_t pid;
	uid_t uid;

	if (fd < 0 || os->ops->address(os, fd, true, &address) < 0) {
		snprintf(text, size, "a peer that has gone");
		return;
	}
	gb__address_format(&address, text, size);
	if (gb__address_is_ip(&address) || strchr(text, ':')[1] || os->simulated ||
		gb__socket_peer_process(fd, &pid, &uid) < 0)
		return;
	snprintf(text, size, "%s: (pid %ld, uid %lu)", address.packets ? "unix-seqpacket" : "unix", (long)pid,
		(unsigned long)uid);
}

static void tell(struct gb__os *os, int fd, const struct gb__address *client,
	const struct gb_service *service, const char *between, const char *what, int reason, int error,
	const char *problem, const char *name)
{
	static struct gb__log_limit limits[GB_CLOSE_REASON_COUNT];
	const enum gb__log_level level = gb__reason_ordinary(reason) ? GB__LOG_INFO : GB__LOG_NOTICE;
	char peer[GB__ADDRESS_TEXT], more[64] = "";
	uint64_t held = 0;

	if (!gb__log_wanted(level))
		return;
	if (level < GB__LOG_INFO && !gb__log_allowed(&limits[reason], gb__os_now_ms(os), &held))
		return;
	if (name)
		snprintf(peer, sizeof(peer), "%s", name);
	else if (client)
		gb__address_format(client, peer, sizeof(peer));
	else
		describe_peer(os, fd, peer, sizeof(peer));
	if (held)
		snprintf(more, sizeof(more), " (%" PRIu64 " more since the last report)", held);
	gb__log_with(level,
		(struct gb__log_field[]){ { "peer", peer }, { "service", service->name },
			{ "reason", gb_close_reason_name(reason) }, { "problem", problem } },
		problem ? 4 : 3, "connection %s %s, %s: %s: %s, %s%s%s%s", between, peer, service->name, what,
		gb_close_reason_name(reason), meaning(reason), error || problem ? ": " : "",
		problem         ? problem
			: error ? gb_strerror(error)
				: "",
		more);
}

void gb__tell_refused(
	struct gb__os *os, int fd, const struct gb_service *service, int reason, const char *problem)
{
	tell(os, fd, NULL, service, "from", "refused", reason, 0, problem, NULL);
}

void gb__tell_closed(struct gb__os *os, int fd, const struct gb__address *client,
	const struct gb_service *service, bool outgoing, int reason, int error, const char *problem,
	const char *name)
{
	tell(os, fd, client, service, outgoing ? "to" : "from", "closed", reason, error, problem, name);
}
