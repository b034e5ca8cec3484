/*
 * The named models. A row is all there is to one: the axes are read by gb__model_parse like any spec that a
 * user types, and the sentences are what `gearbox models` prints.
 */
#include "base/assert.h"
#include "model/legality.h"
#include "model/spec.h"

#include <string.h>

#define POOL_SIZE \
	"compute-workers=N: threads = how many wait at once, which is messages a second times the seconds that each " \
	"waits, and one more for each CPU. Default, auto: CPUs / the share of their time that handlers compute, measured."
#define BLOCKING_SIZE \
	"workers=N: how many clients are connected at once, idle ones included; the rest wait for their turn."

const struct gb_preset gb__presets[] = {
	{
		.name = "iterative",
		.axes = "accept=shared,unit=thread,workers=1,engine=blocking,compute=inline",
		.summary = "One thread accepts a connection, serves it to its end, then accepts the next.",
		.use = "Short exchanges that come one at a time, debugging, and as the yardstick for the others.",
		.avoid = "Connections that last, or slow clients: everybody else waits in the backlog.",
	},
	{
		.name = "fork",
		.alias = "process-per-connection",
		.axes = "accept=acceptor,unit=process,workers=per-connection,engine=blocking,compute=inline",
		.summary = "An acceptor forks one process for each connection.",
		.use = "Few, long or untrusted sessions: a crash or a leak ends with its connection, and handlers "
		       "may block.",
		.avoid =
			"Many or short connections: each costs a fork and a process; nothing is shared in memory.",
	},
	{
		.name = "prefork",
		.axes = "accept=shared,unit=process,workers=N,engine=blocking,compute=inline",
		.summary = "A fixed set of processes, each of which accepts from one socket and serves one "
			   "connection at a time.",
		.use = "Handlers that block or that are not thread-safe, with short connections and isolation "
		       "between workers.",
		.avoid = "More open connections than workers: the rest wait, idle ones included.",
		.size = BLOCKING_SIZE,
	},
	{
		.name = "process-pool",
		.axes = "accept=acceptor,unit=process,workers=N,engine=blocking,compute=inline",
		.summary =
			"An acceptor passes each connection to a free process of a pool over a Unix socket.",
		.use = "As prefork, where one process must see every connection first, to limit or to sort them.",
		.avoid = "Short connections: passing a descriptor costs more than accepting in the worker.",
		.size = BLOCKING_SIZE,
	},
	{
		.name = "thread",
		.alias = "thread-per-connection",
		.axes = "accept=acceptor,unit=thread,workers=per-connection,engine=blocking,compute=inline",
		.summary = "An acceptor starts one thread for each connection.",
		.use = "Up to some hundreds of long connections whose handlers block, with state in shared memory.",
		.avoid = "Thousands of connections: each costs a thread and a stack.",
	},
	{
		.name = "prethread",
		.axes = "accept=shared,unit=thread,workers=N,engine=blocking,compute=inline",
		.summary = "A fixed set of threads, each of which accepts from one socket and serves one "
			   "connection at a time.",
		.use = "Short connections with handlers that block, and state in shared memory.",
		.avoid = "More open connections than threads: the rest wait, idle ones included.",
		.size = BLOCKING_SIZE,
	},
	{
		.name = "thread-pool",
		.axes = "accept=acceptor,unit=thread,workers=N,engine=blocking,compute=inline",
		.summary =
			"An acceptor queues connections; a fixed set of threads takes them, one at a time each.",
		.use = "Short connections with handlers that block, where arrivals are to be counted and bounded "
		       "in one place.",
		.avoid =
			"More open connections than threads: the rest wait in the queue, idle ones included.",
		.size = BLOCKING_SIZE,
	},
	{
		.name = "reactor",
		.axes = "accept=shared,unit=thread,workers=1,engine=epoll,compute=inline",
		.summary = "One thread waits for readiness of all connections and serves whichever is ready.",
		.use = "Many connections with short handlers on one CPU; state needs no locks.",
		.avoid = "Handlers that block or compute for long: one of them stops all connections.",
	},
	{
		.name = "reactor-pool",
		.axes = "accept=shared,unit=thread,workers=1,engine=epoll,compute=threads",
		.summary = "One reactor moves the bytes; a pool of threads runs the handlers.",
		.use = "Many connections whose handlers compute or block, while one thread is enough for the traffic.",
		.avoid = "Short handlers: handing a message to another thread costs more than answering it.",
		.size = POOL_SIZE,
	},
	{
		.name = "multi-reactor",
		.alias = "main-sub-reactor",
		.axes = "accept=acceptor,unit=thread,workers=N,engine=epoll,compute=inline",
		.summary =
			"A main reactor accepts and hands connections out in turn to one sub-reactor per CPU.",
		.use = "Many connections with short handlers on several CPUs, spread evenly.",
		.avoid = "One CPU, where reactor does the same with less; handlers that block.",
	},
	{
		.name = "multi-reactor-pool",
		.axes = "accept=acceptor,unit=thread,workers=N,engine=epoll,compute=threads",
		.summary = "Main and sub-reactors move the bytes; a pool of threads runs the handlers.",
		.use = "Heavy traffic and heavy handlers at once, on many CPUs.",
		.avoid = "Few CPUs, where loops and pool only compete; short handlers.",
		.size = POOL_SIZE,
	},
	{
		.name = "prefork-reactor",
		.axes = "accept=shared,unit=process,workers=N,engine=epoll,compute=inline",
		.summary = "A fixed set of processes, each a reactor of its own, accept from one socket.",
		.use = "Many connections on several CPUs with isolation: a crash costs one worker's connections.",
		.avoid = "State that all connections share in memory; connections that must spread evenly.",
	},
	{
		.name = "process-pool-reactor",
		.axes = "accept=acceptor,unit=process,workers=N,engine=epoll,compute=inline",
		.summary = "An acceptor passes connections to processes, each a reactor of its own.",
		.use = "As prefork-reactor, with connections placed by rule rather than by whoever wakes first.",
		.avoid = "Short connections: passing a descriptor costs more than accepting in the worker.",
	},
	{
		.name = "prefork-reuseport",
		.axes = "accept=reuseport,unit=process,workers=N,engine=epoll,compute=inline",
		.summary =
			"Processes, each a reactor with a listening socket of its own; the kernel spreads clients.",
		.use = "Very many new connections a second on several CPUs, with isolation.",
		.avoid =
			"Few connections, which a hash spreads badly; Unix sockets; a varying number of workers.",
	},
	{
		.name = "multi-reactor-reuseport",
		.axes = "accept=reuseport,unit=thread,workers=N,engine=epoll,compute=inline",
		.summary =
			"Threads, each a reactor with a listening socket of its own; the kernel spreads clients.",
		.use = "Very many new connections a second on several CPUs, with state in shared memory.",
		.avoid = "Few connections, which a hash spreads badly; Unix sockets.",
	},
	{
		.name = "proactor",
		.axes = "accept=shared,unit=thread,workers=1,engine=io_uring,compute=inline",
		.summary =
			"One thread starts operations on a ring; the kernel performs them and reports completions.",
		.use = "Many busy connections with short handlers on one CPU: few system calls per message.",
		.avoid = "Where io_uring is refused (old kernels, containers, seccomp); handlers that block.",
	},
	{
		.name = "proactor-pool",
		.axes = "accept=shared,unit=thread,workers=1,engine=io_uring,compute=threads",
		.summary = "One proactor moves the bytes; a pool of threads runs the handlers.",
		.use = "As reactor-pool, where io_uring is to be had.",
		.avoid = "Short handlers: handing a message to another thread costs more than answering it.",
		.size = POOL_SIZE,
	},
	{
		.name = "multi-proactor",
		.axes = "accept=acceptor,unit=thread,workers=N,engine=io_uring,compute=inline",
		.summary = "An acceptor hands connections out in turn to one proactor per CPU.",
		.use = "Many busy connections with short handlers on several CPUs, where io_uring is to be had.",
		.avoid = "One CPU, where proactor does the same with less; handlers that block.",
	},
	{
		.name = "multi-proactor-pool",
		.axes = "accept=acceptor,unit=thread,workers=N,engine=io_uring,compute=threads",
		.summary = "Several proactors move the bytes; a pool of threads runs the handlers.",
		.use = "As multi-reactor-pool, where io_uring is to be had.",
		.avoid = "Few CPUs, where rings and pool only compete; short handlers.",
		.size = POOL_SIZE,
	},
	{
		.name = "multi-proactor-reuseport",
		.axes = "accept=reuseport,unit=thread,workers=N,engine=io_uring,compute=inline",
		.summary =
			"Threads, each a proactor with a listening socket of its own; the kernel spreads clients.",
		.use = "As multi-reactor-reuseport, where io_uring is to be had.",
		.avoid = "Few connections, which a hash spreads badly; Unix sockets.",
	},
	{ NULL },
};

const struct gb_preset *gb__preset_find(const char *name)
{
	for (const struct gb_preset *preset = gb__presets; preset->name; preset++)
		if (strcmp(preset->name, name) == 0 || (preset->alias && strcmp(preset->alias, name) == 0))
			return preset;
	return NULL;
}

const struct gb_preset *gb_preset_next(const struct gb_preset *preset)
{
	preset = preset ? preset + 1 : gb__presets;
	return preset->name ? preset : NULL;
}
