/** A server: what to serve where, and the composition that its model asks for. */
#ifndef MODEL_SERVER_H
#define MODEL_SERVER_H

#include "base/alloc.h"
#include "model/hub.h"
#include "model/options.h"
#include "model/record.h"
#include "net/front.h"

#include <gearbox/server.h>

struct gb_worker;
struct gb__naming_zone;
struct gb__local;
struct gb__server_tls;
struct gb__bus;
struct gb__compute;
struct gb__processes;
struct gb__crew;
struct gb__file_threads;
struct gb__router;

/** A service on an address, or one without (attached). */
struct gb__binding {
	const struct gb_service *service;
	void *user;
	int *fds;           /* listening sockets: one, or one per worker (accept=reuseport) */
	unsigned fds_count; /* 0: an attached service */
	struct gb_options
		*options; /* the server's, but for what the address has of its own; NULL: attached */
	bool follows;     /* another address of the same text is before it, which it is prepared with */
	bool shared;      /* by all workers, whatever the model: it was passed in */
	bool fronted;     /* there is something in `front` */
	bool connected;   /* no listening socket, but one connection that was passed in */
	int connection;   /* that, until it is given to its worker: then -1 */
	char text[GB__ADDRESS_TEXT];                            /* the real address */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of a Unix socket, to be removed; or "" */
	struct gb__socket_file file;                            /* at `path` */
	struct gb__proxy_networks *proxies;                     /* of `front` */
	struct gb__front front;                                 /* what comes first on its connections */
};

/** What is allocated next is written by worker processes, too; until gb__alloc_region(GB__REGION_NONE). */
static inline void gb__model_region(const struct gb__model *model)
{
	if (model->unit == GB__UNIT_PROCESS)
		gb__alloc_region(GB__REGION_SERVER);
}

/** What comes first on connections of this address, or NULL. */
static inline const struct gb__front *gb__binding_front(const struct gb__binding *binding)
{
	return binding->fronted ? &binding->front : NULL;
}

struct gb__run;

struct gb_server {
	struct gb_options *options;
	struct gb__model model;              /* engine resolved */
	char model_text[GB__MODEL_SPEC_MAX]; /* with the number of workers */
	struct gb__limits limits;            /* connections_max resolved */
	/** Of one worker process: beyond it others accept, as long as `limits` allow. No bound for threads. */
	uint64_t worker_connections_max;
	unsigned
		seats_count; /* for workers beside the chief, or instead of it: the model's number resolved */
	struct gb__binding *bindings;
	size_t bindings_count;
	struct gb__server_tls *tls; /* contexts of its addresses */
	struct gb__shared *shared;  /* counters and commands, in memory that worker processes share */
	struct gb__places places;   /* of replies, for all workers of a process */
	pid_t pid;                  /* of the process that created it */
	bool notifies;              /* the service manager is told of it (notify.h) */
	bool unlistened;            /* the listening sockets have been closed */
	_Atomic bool running; /* gb_server_run has been called and not returned; so in worker processes */
	_Atomic unsigned watchers; /* workers of this process that have not let go of the listening sockets */
	int wake_fd;               /* readable: look at shared->stop and for children; any process writes */
	int report_fd;             /* in a worker process, until it has told of its start; else -1 */
	_Atomic bool asked;        /* for its counters, gb__server_ask */
	struct gb__router *routers;    /* of its services that have routes */
	size_t route_counts_count;     /* of all of them, for each worker */
	unsigned char *tally;          /* their counters and the pool's, shared (tally.h); or NULL */
	struct gb__local *local;       /* those on the local network, likewise */
	struct gb__naming_zone *zones; /* its names, once it has run; NULL: it has none */
	size_t zones_count;
	void (*on_ready)(struct gb_server *server, void *arg);
	void *on_ready_arg;
	struct gb__run *embedded; /* between gb_server_begin and gb_server_end */
	int embedded_fd;
	bool stepping;
	struct gb_worker *chief;         /* while running, in each process: the worker of the main thread */
	struct gb__crew *crew;           /* while running, in the first process: the other workers */
	struct gb__compute *compute;     /* while running with compute=threads: this process's pool */
	struct gb__processes *processes; /* likewise, compute=processes */
	struct gb_error failure;         /* why it stops by itself; code 0: it does not */
	struct gb__hubs hubs;            /* of the workers in this process */
	struct gb__bus *bus;             /* while running with processes that publish */
	_Atomic(struct gb__file_threads *) file_threads; /* of this process, once somebody has needed them */
};

/** Whether a service is filled in as it must be, whatever the model; `handles`: also its handlers, which only who reads by
 *  a stream needs not. Returns 0 or -EINVAL with what is missing. */
int gb__service_check(const struct gb_service *service, bool handles, struct gb_error *error);
/** Whether it can be served, or used, on sockets of packets, respectively on streams. `where` is for the text. Returns 0 or
 *  -EPROTOTYPE with the reason. */
int gb__service_check_type(
	const struct gb_service *service, bool packets, const char *where, struct gb_error *error);

/** Have it write its counters to standard error as one line of JSON. Thread: any; async-signal-safe. */
void gb__server_ask(struct gb_server *server);
/** A signal that services watch was counted. Thread: any; async-signal-safe. */
void gb__server_signalled(struct gb_server *server);
/** Close what this process has of its sockets. Repeatable. */
void gb__binding_close(struct gb__binding *binding);
/** Release what the bindings hold, once the sockets are closed. */
void gb__bindings_destroy(struct gb_server *server);
/** Close this process's listening sockets; whoever made them removes the names of Unix ones. Repeatable. */
void gb__server_unlisten(struct gb_server *server);

#endif
