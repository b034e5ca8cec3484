#include "advise/rules.h"

#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define US 1e3
#define MS 1e6

/* Echo on four CPUs, loaded from elsewhere. */
static const struct advise_situation plain = {
	.cpus = 4,
	.quota = NAN,
	.cpu_ns = 1 * US,
	.io_ns = 5 * US,
	.median_ns = 1 * US,
	.p99_ns = 2 * US,
	.longest_ns = 20 * US,
	.measured = 1000,
	.connections = 100,
	.depth = 1,
	.rate = NAN,
	.request_bytes = 64,
	.reply_bytes = 64,
};

static struct advise_verdict verdict;

static const struct advise_candidate *first(const struct advise_situation *situation)
{
	gb__advise_judge(situation, NULL, NULL, &verdict);
	return &verdict.candidates[0];
}

static const struct advise_candidate *find(const char *preset)
{
	for (size_t i = 0; i < verdict.count; i++)
		if (strcmp(verdict.candidates[i].preset, preset) == 0)
			return &verdict.candidates[i];
	return NULL;
}

static struct advise_situation blocking(double blocked_ns)
{
	struct advise_situation situation = plain;

	situation.blocked_ns = situation.median_ns = situation.p99_ns = situation.longest_ns = blocked_ns;
	return situation;
}

TEST(short_handlers_run_on_a_loop)
{
	CHECK(first(&plain)->features & ADVISE_EVENT);
	CHECK(first(&plain)->features & ADVISE_INLINE);
}

TEST(few_connections_that_block_have_a_thread_each)
{
	struct advise_situation situation = blocking(2 * MS);

	situation.connections = 20;
	CHECK(first(&situation)->features & ADVISE_BLOCKING);
	CHECK(!(first(&situation)->features & ADVISE_TOO_FEW));
}

TEST(many_connections_that_block_have_a_loop_and_a_pool)
{
	struct advise_situation situation = blocking(2 * MS);

	situation.connections = 5000;
	CHECK(first(&situation)->features & ADVISE_POOL);
}

TEST(a_handler_that_blocks_never_runs_on_a_loop)
{
	for (double connections = 2; connections < 1e5; connections *= 7) {
		struct advise_situation situation = blocking(5 * MS);

		situation.connections = connections;
		CHECK(!(first(&situation)->features & ADVISE_INLINE));
	}
}

TEST(a_rare_slow_message_decides_more_than_the_mean)
{
	struct advise_situation situation = plain;

	situation.longest_ns = 50 * MS;
	CHECK(!(first(&situation)->features & ADVISE_INLINE));
	situation.connections = 2000;
	CHECK(first(&situation)->features & ADVISE_POOL);
}

TEST(handlers_that_compute_use_all_cpus)
{
	struct advise_situation situation = plain;

	situation.cpu_ns = situation.median_ns = situation.p99_ns = situation.longest_ns = 500 * US;
	CHECK(first(&situation)->features & (ADVISE_LOOPS | ADVISE_POOL));
	situation.rate = 10; /* half a percent of a CPU */
	CHECK(first(&situation)->features & ADVISE_ONE_LOOP);
}

TEST(of_two_cpus_the_load_has_one_unless_a_message_takes_more_of_the_server)
{
	struct advise_situation situation = plain;

	situation.cpus = 2;
	situation.shares_cpus = true;
	situation.load_ns = 5 * US;
	CHECK(first(&situation)->features & ADVISE_ONE_LOOP);
	situation.cpu_ns = situation.median_ns = situation.p99_ns = situation.longest_ns = 20 * US;
	CHECK(first(&situation)->features & ADVISE_LOOPS && first(&situation)->features & ADVISE_INLINE);
	situation.rate = 20000; /* half a CPU */
	CHECK(first(&situation)->features & ADVISE_ONE_LOOP);
}

TEST(bursts_want_more_than_one_loop)
{
	struct advise_situation situation = plain;

	situation.cpu_ns = situation.median_ns = situation.p99_ns = situation.longest_ns = 50 * US;
	situation.rate = 10000; /* 0.55 CPUs */
	CHECK(first(&situation)->features & ADVISE_ONE_LOOP);
	situation.bursts = true;
	CHECK(first(&situation)->features & (ADVISE_LOOPS | ADVISE_POOL));
}

TEST(a_crash_that_must_not_spread_wants_processes)
{
	struct advise_situation situation = plain;

	situation.isolate = true;
	CHECK(first(&situation)->features & ADVISE_PROCESSES);
	CHECK(first(&situation)->features & ADVISE_EVENT);
	situation = blocking(2 * MS);
	situation.connections = 20;
	situation.isolate = true;
	CHECK(first(&situation)->features & ADVISE_PROCESSES);
}

TEST(cpu_time_wants_one_loop)
{
	struct advise_situation situation = plain; /* a closed loop, which would keep four busy */

	CHECK(first(&situation)->features & ADVISE_LOOPS);
	situation.goal = ADVISE_CPU;
	CHECK(first(&situation)->features & ADVISE_ONE_LOOP && first(&situation)->features & ADVISE_INLINE);
}

TEST(memory_wants_connections_without_stacks)
{
	struct advise_situation situation = blocking(2 * MS);

	situation.goal = ADVISE_MEMORY;
	situation.connections = 200;
	CHECK(first(&situation)->features & ADVISE_EVENT);
}

TEST(blocking_workers_are_as_many_as_clients)
{
	struct advise_situation situation = blocking(2 * MS);

	situation.connections = 20;
	situation.idle = 10;
	first(&situation);
	CHECK(find("thread-pool")->workers == 30);
	CHECK(strcmp(find("thread-pool")->spec, "thread-pool,workers=30") == 0);
	situation.idle = 1e6;
	first(&situation);
	CHECK(find("thread-pool")->workers == ADVISE_WORKERS_MAX);
	CHECK(find("thread-pool")->features & ADVISE_TOO_FEW);
}

TEST(a_pool_is_sized_by_the_share_of_computing)
{
	struct advise_situation situation = blocking(0);

	situation.cpu_ns = 50 * US;
	situation.io_ns = 0;
	situation.blocked_ns = 50 * US; /* P = 0.5: C / P = 8 */
	CHECK(fabs(gb__advise_share(&situation) - 0.5) < 0.01);
	first(&situation);
	CHECK(find("reactor-pool")->compute_workers == 8);
}

TEST(a_pool_has_a_second_size_when_more_wait_than_the_rule_counts)
{
	struct advise_situation situation = blocking(20 * MS);
	bool rule = false, more = false;

	situation.connections = 80;
	first(&situation);
	for (size_t i = 0; i < verdict.count; i++)
		if (strcmp(verdict.candidates[i].preset, "reactor-pool") == 0) {
			rule = rule || verdict.candidates[i].compute_workers == 20; /* 5 for each CPU */
			more = more || verdict.candidates[i].compute_workers == 80;
		}
	CHECK(rule && more);
}

static bool has_pool_of(const char *preset, double threads)
{
	for (size_t i = 0; i < verdict.count; i++)
		if (strcmp(verdict.candidates[i].preset, preset) == 0 &&
			verdict.candidates[i].compute_workers == threads)
			return true;
	return false;
}

TEST(a_pool_of_handlers_that_compute_has_a_size_for_those_that_wait_for_a_cpu)
{
	struct advise_situation situation = blocking(50 * US);

	situation.cpu_ns = 50 * US;
	situation.io_ns = 0; /* P = 0.5: C / P = 8 */
	first(&situation);
	CHECK(has_pool_of("reactor-pool", 8) && has_pool_of("reactor-pool", 32));
	situation.connections = 13;
	first(&situation);
	CHECK(has_pool_of("reactor-pool", 8) && has_pool_of("reactor-pool", 13));
	situation.connections = 12;
	first(&situation);
	CHECK(has_pool_of("reactor-pool", 8) && !has_pool_of("reactor-pool", 12));
}

TEST(a_pool_has_as_many_threads_as_keep_the_cpus_busy_under_the_load)
{
	struct advise_situation situation = blocking(200 * US);

	situation.cpu_ns = 20 * US;
	situation.io_ns = 20 * US; /* alone: P = 1/6, C / P = 24 */
	first(&situation);
	CHECK(has_pool_of("reactor-pool", 20) && has_pool_of("reactor-pool", 30));
	situation.under_load = 0.5; /* 20 us of 220 */
	first(&situation);
	CHECK(has_pool_of("reactor-pool", 20) && has_pool_of("reactor-pool", 44));
	situation.connections = 36;
	first(&situation);
	CHECK(has_pool_of("reactor-pool", 36));
}

TEST(a_pool_that_never_sleeps_is_advised_where_far_more_wait)
{
	struct advise_situation situation = blocking(200 * US);

	situation.cpu_ns = 20 * US;
	situation.under_load = 0.5; /* 12.5 of 212.5 us: 68 at a time */
	situation.connections = 136;
	CHECK(first(&situation)->features & ADVISE_POOL && first(&situation)->compute_workers == 68);
	situation.connections = 135;
	CHECK(first(&situation)->features & ADVISE_BLOCKING);
}

TEST(threads_for_blocking_connections_are_advised_as_long_as_they_can_be_had)
{
	struct advise_situation situation = blocking(2 * MS);

	situation.connections = ADVISE_WORKERS_MAX;
	CHECK(first(&situation)->features & ADVISE_BLOCKING);
	situation.connections = ADVISE_WORKERS_MAX + 1;
	CHECK(first(&situation)->features & ADVISE_POOL);
}

TEST(threads_of_connections_use_all_cpus_as_a_pool_does)
{
	struct advise_situation situation = blocking(500 * US);

	situation.cpu_ns = 500 * US;
	situation.connections = 50;
	CHECK(first(&situation)->features & ADVISE_BLOCKING);
}

TEST(the_advice_turns_with_the_connections)
{
	struct advise_situation situation = blocking(2 * MS);
	struct advise_flip flips[ADVISE_FLIPS_MAX];
	bool found = false;
	size_t count;

	situation.connections = 20;
	count = gb__advise_flips(&situation, NULL, NULL, flips);
	for (size_t i = 0; i < count; i++) {
		CHECK(strcmp(flips[i].preset, first(&situation)->preset) != 0);
		found = found || (strcmp(flips[i].axis, "connections") == 0 && flips[i].at > 20);
	}
	CHECK(found);
}

static bool no_rings(void *arg, const char *spec)
{
	++*(int *)arg;
	return !strstr(spec, "proactor");
}

TEST(models_that_are_not_admitted_are_no_candidates)
{
	int asked = 0;

	gb__advise_judge(&plain, no_rings, &asked, &verdict);
	CHECK(asked > 0 && verdict.count > 0 && !find("proactor"));
}

TEST(every_rule_has_a_source_and_can_apply)
{
	size_t count = 0;

	for (const struct advise_rule *rule = gb__advise_rules; rule->name; rule++, count++) {
		CHECK(rule->says && rule->source && rule->applies && rule->weight != 0);
		CHECK(rule->with || rule->any);
	}
	CHECK(count > 0);
}

TEST(an_open_loop_keeps_as_many_under_way_as_its_rate_needs)
{
	struct advise_situation situation = blocking(10 * MS);

	situation.rate = 1000; /* 10 ms each: ten at a time */
	CHECK(fabs(gb__advise_under_way(&situation) - 10) < 0.1);
	CHECK(gb__advise_rate(&situation) == 1000);
	situation.rate = NAN;
	CHECK(gb__advise_under_way(&situation) == 100);
}
