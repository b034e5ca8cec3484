/*
 * The rules. Each is a row: when it applies, and for which models it then argues, or against. Weights: 1 breaks ties, 3 is a
 * reason, 6 decides, 12 forbids. docs/advise.md shows the table to users.
 */
#include "advise/rules.h"

#include <math.h>
#include <stddef.h>

#define US 1e3
#define MS 1e6

#define SHORT_NS (20 * US)    /* a few times what a hand-over to another thread takes */
#define COMPUTES_NS (50 * US) /* then loops are for CPUs more than for sockets */
#define FEW 128
#define FEW_FOR_THREADS ADVISE_WORKERS_MAX /* one for each can be had */
#define MANY 1000
#define SPREAD 20 /* so many times the median is slow */
#define SLOW_NS (1 * MS)
#define BUSY 0.7        /* of a CPU */
#define BUSY_BURSTS 0.4 /* where arrivals are at random: queues grow earlier */
#define LARGE (50 * 1024)
#define NEARLY 1.25 /* so many times the load's time a loop's may be: two loops would answer a ninth more */

static double clients(const struct advise_situation *s)
{
	return s->connections + s->idle;
}

static bool slow_among_short(const struct advise_situation *s)
{
	return s->longest_ns > SLOW_NS && s->longest_ns > SPREAD * s->median_ns;
}

static bool crash_must_not_spread(const struct advise_situation *s)
{
	return s->isolate;
}

static bool may_spread(const struct advise_situation *s)
{
	return !s->isolate;
}

static bool few_that_block(const struct advise_situation *s)
{
	return gb__advise_blocks(s) && clients(s) <= FEW_FOR_THREADS;
}

static bool many_that_block(const struct advise_situation *s)
{
	return gb__advise_blocks(s) && clients(s) > FEW_FOR_THREADS;
}

static bool some_are_slow(const struct advise_situation *s)
{
	return slow_among_short(s) && s->connections * s->depth > 1;
}

static bool many_connections(const struct advise_situation *s)
{
	return clients(s) >= MANY;
}

static bool more_than_workers(const struct advise_situation *s)
{
	return clients(s) > 1;
}

static bool some_connections(const struct advise_situation *s)
{
	return clients(s) > 4 * s->cpus && !gb__advise_blocks(s);
}

static bool short_handlers(const struct advise_situation *s)
{
	return s->cpu_ns + s->blocked_ns < SHORT_NS && !slow_among_short(s) && !s->offloads;
}

static bool computes(const struct advise_situation *s)
{
	return s->cpu_ns > COMPUTES_NS && s->cpus > 1 && gb__advise_demand(s) > BUSY;
}

static bool piles_up(const struct advise_situation *s)
{
	return s->bursts && gb__advise_demand(s) >= BUSY_BURSTS && s->cpus > 1;
}

static bool one_cpu_does(const struct advise_situation *s)
{
	return gb__advise_demand(s) < (s->bursts ? BUSY_BURSTS : BUSY) || s->cpus < 2;
}

static bool more_than_a_gigabit(const struct advise_situation *s)
{
	double bits = 8 * gb__advise_rate(s) * (s->request_bytes + s->reply_bytes);

	return s->cpus > 1 && bits > 1e9 && (!s->shares_cpus || s->cpus > 2);
}

/* Of two CPUs one loop takes one, and the load nearly all of the other. */
static bool load_takes_the_rest(const struct advise_situation *s)
{
	return s->shares_cpus && s->cpus <= 2 && s->cpu_ns + s->io_ns < NEARLY * s->load_ns &&
		!gb__advise_blocks(s);
}

/* More of them are more messages, each of which costs no less. */
static bool more_than_a_cpu(const struct advise_situation *s)
{
	return s->goal != ADVISE_CPU && s->cpus > 1 && gb__advise_demand(s) > 1 && !gb__advise_blocks(s) &&
		!load_takes_the_rest(s);
}

static bool small_and_many(const struct advise_situation *s)
{
	return s->request_bytes < LARGE && s->connections * s->depth >= 8 && !gb__advise_blocks(s);
}

static bool large(const struct advise_situation *s)
{
	return s->request_bytes + s->reply_bytes >= LARGE && clients(s) <= FEW;
}

static bool offloads(const struct advise_situation *s)
{
	return s->offloads;
}

static bool few_for_each_worker(const struct advise_situation *s)
{
	return s->connections < 16 * s->cpus && s->cpus > 1;
}

static bool tail_matters(const struct advise_situation *s)
{
	return s->goal == ADVISE_P99 && s->p99_ns > 4 * s->median_ns;
}

static bool memory_matters(const struct advise_situation *s)
{
	return s->goal == ADVISE_MEMORY;
}

static bool cpu_matters(const struct advise_situation *s)
{
	return s->goal == ADVISE_CPU;
}

static bool deep(const struct advise_situation *s)
{
	return s->depth >= 4 && !gb__advise_blocks(s);
}

static bool shared_in_a_worker(const struct advise_situation *s)
{
	return s->worker_state;
}

static bool awaits(const struct advise_situation *s)
{
	return s->waits_ns > ADVISE_BLOCKS_NS && clients(s) > 16;
}

#define KERNEL_QUEUE "Brecht et al., accept()able strategies (USENIX ATC 2004)"
#define STEVENS "Stevens et al., UNIX network programming 1 (2003), 30"
#define CHEN "Chen Shuo, Linux multithreaded server programming (2013), 3.4 and 6.6"
#define KEGEL "Kegel, The C10K problem (1999)"
#define BEHREN "von Behren et al., Why events are a bad idea (HotOS 2003)"
#define POSA "Schmidt et al., Pattern-oriented software architecture 2 (2000), Reactor"
#define SHINJUKU "Kaffes et al., Shinjuku (NSDI 2019)"
#define GOETZ "Goetz et al., Java concurrency in practice (2006), 8.2"
#define HERE "docs/performance.md"

const struct advise_rule gb__advise_rules[] = {
	{ "crash", "a crash must not spread: processes share no memory", "Apache HTTP Server, prefork MPM",
		crash_must_not_spread, 12, ADVISE_PROCESSES, 0 },
	{ "turns", "a worker serves its client until that leaves: others wait for it", STEVENS,
		more_than_workers, -12, ADVISE_TOO_FEW, 0 },
	{ "threads", "nothing asks for processes: threads start and switch for less", STEVENS, may_spread, 1,
		ADVISE_THREADS, 0 },
	{ "stops-the-loop", "handlers block: on a loop each stops all connections of its worker", POSA,
		gb__advise_blocks, -12, ADVISE_INLINE, 0 },
	{ "few-block", "connections are few and handlers block: a thread for each waits for its own only",
		BEHREN, few_that_block, 3, ADVISE_BLOCKING, 0 },
	{ "many-block", "handlers block and connections are many: a loop keeps them, a pool of threads waits",
		CHEN, many_that_block, 6, ADVISE_POOL, 0 },
	{ "slow-among-short", "a few messages are slow: on a loop the short ones wait behind them", SHINJUKU,
		some_are_slow, -6, ADVISE_INLINE, 0 },
	{ "slow-in-a-pool", "a few messages are slow: a pool lets the short ones pass", SHINJUKU,
		some_are_slow, 3, ADVISE_POOL, 0 },
	{ "pool-awake",
		"more wait than keep the CPUs busy: the threads of a pool go on without falling asleep",
		"docs/advise-grid.md", gb__advise_blocks, 6, ADVISE_AWAKE_POOL, 0 },
	{ "pool-by-share",
		"handlers wait for most of their time: more threads than five for each CPU are needed", GOETZ,
		gb__advise_blocks, -3, ADVISE_SHORT_POOL, 0 },
	{ "many-connections",
		"connections are many: an event engine keeps an idle one for bytes, not for a stack", KEGEL,
		many_connections, 6, ADVISE_EVENT, 0 },
	{ "many-threads", "connections are many: a thread or process for each takes memory and switches",
		"Welsh et al., SEDA (SOSP 2001)", many_connections, -6, ADVISE_BLOCKING, 0 },
	{ "events",
		"connections outnumber the CPUs and handlers do not block: a loop needs no switch between them",
		"Pariag et al., Comparing the performance of web server architectures (EuroSys 2007)",
		some_connections, 3, ADVISE_EVENT, 0 },
	{ "hand-over", "handlers are short: handing them to a pool costs more than they do", HERE,
		short_handlers, -6, ADVISE_POOL, 0 },
	{ "offloads", "handlers give what blocks to a pool: let it have the threads for that", GOETZ,
		offloads, 6, ADVISE_POOL, 0 },
	{ "computes", "handlers compute: several loops or threads let all CPUs do so at once", CHEN, computes,
		6, 0, ADVISE_LOOPS | ADVISE_POOL | ADVISE_BLOCKING },
	{ "bursts", "arrivals come in bursts: several loops, or a pool, work off what piles up",
		"Harchol-Balter, Performance modeling and design of computer systems (2013), 14", piles_up, 2,
		0, ADVISE_LOOPS | ADVISE_POOL },
	{ "one-cpu", "one CPU suffices for this load: a second loop only adds hand-overs and cold caches",
		CHEN, one_cpu_does, 2, ADVISE_ONE_LOOP, 0 },
	{ "gigabit", "one loop for each Gbit/s: there is more", CHEN, more_than_a_gigabit, 3, ADVISE_LOOPS,
		0 },
	{ "more-than-a-cpu", "one loop uses one CPU: the load would keep more busy", CHEN, more_than_a_cpu, 3,
		ADVISE_LOOPS, 0 },
	{ "load-beside", "the load runs on these CPUs as well: what a second loop gets is taken from it",
		HERE, load_takes_the_rest, 3, ADVISE_ONE_LOOP, 0 },
	{ "ring", "many small messages: a ring starts and ends many operations with one system call",
		"Axboe, Efficient IO with io_uring (2019)", small_and_many, 1, ADVISE_RING, 0 },
	{ "large", "messages are large: copying them outweighs how they are waited for",
		"Hu et al., JAWS (1997)", large, 1, ADVISE_BLOCKING, 0 },
	{ "spread", "few connections for each worker: reuseport spreads them unevenly",
		"Majkowski, Why does one NGINX worker take all the load? (Cloudflare 2017)",
		few_for_each_worker, -2, ADVISE_REUSEPORT, 0 },
	{ "even", "few connections for each worker: an acceptor hands them over evenly", KERNEL_QUEUE,
		few_for_each_worker, 1, ADVISE_HANDED, 0 },
	{ "one-queue", "service times vary and the tail matters: one queue for all threads keeps none idle",
		"Prekas et al., ZygOS (SOSP 2017)", tail_matters, 2, ADVISE_POOL, 0 },
	{ "memory", "memory matters: a connection is smallest where it has no stack", KEGEL, memory_matters,
		6, ADVISE_EVENT, 0 },
	{ "memory-processes", "memory matters: each process has its own heap",
		"Gammo et al., Comparing and evaluating epoll, select and poll (OLS 2004)", memory_matters,
		-3, ADVISE_PROCESSES, 0 },
	{ "switches", "CPU time matters: each hand-over between threads is a switch", HERE, cpu_matters, -3,
		0, ADVISE_POOL | ADVISE_BLOCKING },
	{ "fewest-loops", "CPU time matters: one loop finds the most to do each time that it wakes", HERE,
		cpu_matters, 2, ADVISE_ONE_LOOP, 0 },
	{ "batches", "clients send ahead: a loop takes what is there in one go", "Valkey, I/O threads (2024)",
		deep, 2, ADVISE_EVENT, 0 },
	{ "state", "handlers share state in their worker: the fewer workers, the more they share",
		"ARCHITECTURE.md", shared_in_a_worker, 1, ADVISE_ONE_LOOP, 0 },
	{ "awaits", "handlers await without a thread: a loop serves others meanwhile", BEHREN, awaits, 3,
		ADVISE_EVENT, 0 },
	{ NULL, NULL, NULL, NULL, 0, 0, 0 },
};

bool gb__advise_rule_says(const struct advise_rule *rule, const struct advise_situation *situation,
	const struct advise_candidate *candidate)
{
	if ((candidate->features & rule->with) != rule->with ||
		(rule->any && !(candidate->features & rule->any)))
		return false;
	return rule->applies(situation);
}

static int score(const struct advise_situation *situation, const struct advise_candidate *candidate)
{
	int sum = 0;

	for (const struct advise_rule *rule = gb__advise_rules; rule->name; rule++)
		if (gb__advise_rule_says(rule, situation, candidate))
			sum += rule->weight;
	return sum;
}

void gb__advise_rank(const struct advise_situation *situation, struct advise_verdict *verdict)
{
	for (size_t i = 0; i < verdict->count; i++) {
		struct advise_candidate candidate = verdict->candidates[i];
		int points = score(situation, &candidate);
		size_t at = i;

		for (; at > 0 && verdict->scores[at - 1] < points; at--) {
			verdict->candidates[at] = verdict->candidates[at - 1];
			verdict->scores[at] = verdict->scores[at - 1];
		}
		verdict->candidates[at] = candidate;
		verdict->scores[at] = points;
	}
}

void gb__advise_judge(const struct advise_situation *situation, advise_admits_cb *admits, void *arg,
	struct advise_verdict *ret)
{
	ret->count = gb__advise_candidates(situation, admits, arg, ret->candidates);
	gb__advise_rank(situation, ret);
}
