/** Options of sockets: what tunes a connection, what a listening socket needs before it is bound, where an outgoing one
 *  comes from. */
#ifndef OS_SOCKET_OPTION_H
#define OS_SOCKET_OPTION_H

#include "os/address.h"

#include <net/if.h>
#include <stdint.h>

enum gb__v6only { GB__V6ONLY_AUTO, GB__V6ONLY_YES, GB__V6ONLY_NO };

/** TCP's, where it is switched on. */
struct gb__keepalive {
	uint64_t idle_ms, interval_ms; /* 0: no keepalive; the kernel's interval */
	unsigned count;                /* 0: the kernel's */
};

/** Addresses that outgoing connections of each family begin at. */
struct gb__source {
	struct gb__address v4, v6; /* size 0: as the kernel chooses */
};

/** A user or a group. */
struct gb__owner {
	bool given;
	uint32_t id;
};

struct gb__socket_options {
	/* Of listening and of outgoing sockets; those that were accepted inherit them on Linux. */
	bool nodelay;             /* TCP_NODELAY */
	uint64_t sndbuf, rcvbuf;  /* bytes; 0: the kernel's choice; before listen for the window scale */
	uint64_t user_timeout_ms; /* TCP_USER_TIMEOUT; 0: the kernel's choice */
	struct gb__keepalive keepalive; /* SO_KEEPALIVE, TCP_KEEPIDLE, … */
	uint32_t mark;                  /* SO_MARK; 0: none */
	/* Of listening sockets. */
	unsigned backlog;         /* listen(2); the kernel caps it at net.core.somaxconn */
	bool reuseport;           /* SO_REUSEPORT before the bind */
	uint64_t defer_accept_ms; /* TCP_DEFER_ACCEPT; 0: off */
	unsigned fastopen;        /* TCP_FASTOPEN: length of its queue; 0: off */
	bool freebind;            /* IP_FREEBIND */
	enum gb__v6only v6only;   /* IPV6_V6ONLY */
	char device[IFNAMSIZ];    /* SO_BINDTODEVICE; "": none */
	unsigned unix_mode;       /* permissions of a Unix socket's file; 0: as the umask has it */
	struct gb__owner unix_owner, unix_group; /* of the file; not given: ours */
	/* Of outgoing sockets. */
	struct gb__source source;
	char connect_device[IFNAMSIZ];
};

/** What may be left out: an option that this socket does not have is. */
void gb__socket_tune(int fd, const struct gb__socket_options *options);
/** What a listening IP socket was asked to have, before it is bound. Returns 0, or a negative errno with a text that says
 *  what the kernel lacks, or which right we do. */
int gb__socket_prepare_listen(int fd, const struct gb__address *address,
	const struct gb__socket_options *options, struct gb_error *error);
/** Where an outgoing one of this family comes from, and its mark. Returns 0, or a negative errno with a text as above;
 *  `error` may be NULL. */
int gb__socket_prepare_connect(
	int fd, sa_family_t family, const struct gb__socket_options *options, struct gb_error *error);
/** Whether it could be done, by sockets that are closed again. Likewise. */
int gb__socket_try_connect(const struct gb__socket_options *options, struct gb_error *error);

#endif
