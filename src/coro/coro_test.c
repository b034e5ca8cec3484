#include "coro/coro.h"
#include "harness.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_SIZE 65536

/* The thread sanitizer has a thread of its own for each: room for some thousands, and slowly. */
#ifdef __SANITIZE_THREAD__
#define MANY 1000
#define MILLION 5000
#elif defined(__SANITIZE_ADDRESS__)
#define MANY 20000
#define MILLION 50000
#else
#define MANY 100000
#define MILLION 1000000
#endif

static struct gb__coros coros;
static char log_text[64];
static size_t log_size;

static void note(char c)
{
	log_text[log_size++] = c;
	log_text[log_size] = 0;
}

static struct gb__coro *create(void (*run)(struct gb__coro *, void *), void *argument)
{
	struct gb__coro *coro;

	CHECK_INT(gb__coro_create(&coros, 0, run, argument, &coro), 0);
	return coro;
}

static void notes_twice(struct gb__coro *coro, void *argument)
{
	CHECK(coros.running == coro && gb__coro_running(&coros));
	note(*(char *)argument);
	gb__coro_suspend(&coros);
	CHECK(coros.running == coro);
	note(*(char *)argument);
}

TEST(each_goes_on_where_it_was_left)
{
	static char names[] = "abc";
	struct gb__coro *all[3];

	CHECK_INT(gb__coros_init(&coros, STACK_SIZE), 0);
	for (int i = 0; i < 3; i++)
		all[i] = create(notes_twice, &names[i]);
	CHECK_INT(gb__coros_alive(&coros), 3);
	CHECK(!gb__coro_running(&coros));
	for (int i = 0; i < 3; i++)
		gb__coro_resume(all[i]);
	CHECK_STR(log_text, "abc");
	for (int i = 2; i >= 0; i--)
		gb__coro_resume(all[i]);
	CHECK_STR(log_text, "abccba");
	CHECK_INT(gb__coros_alive(&coros), 0);
	gb__coros_destroy(&coros);
}

static void resumes_next(struct gb__coro *coro, void *argument)
{
	int level = *(int *)argument, next = level - 1;
	struct gb__coro *inner;

	note((char)('0' + level));
	if (level > 0) {
		inner = create(resumes_next, &next);
		gb__coro_resume(inner); /* until it suspends */
		CHECK(coros.running == coro);
		gb__coro_suspend(&coros);
		gb__coro_resume(inner); /* until it ends */
		CHECK(coros.running == coro);
	} else {
		gb__coro_suspend(&coros);
	}
	note((char)('0' + level));
}

TEST(resumes_nest)
{
	int level = 5;
	struct gb__coro *coro;

	gb__coros_init(&coros, STACK_SIZE);
	coro = create(resumes_next, &level);
	gb__coro_resume(coro);
	CHECK_STR(log_text, "543210");
	CHECK_INT(gb__coros_alive(&coros), 6);
	gb__coro_resume(coro);
	CHECK_STR(log_text, "543210012345");
	CHECK_INT(gb__coros_alive(&coros), 0);
	gb__coros_destroy(&coros);
}

static struct gb__coro *other;

static void suspends(struct gb__coro *coro, void *argument)
{
	for (int i = 0; i < *(int *)argument; i++)
		gb__coro_suspend(&coros);
}

static void resumes_other(struct gb__coro *coro, void *argument)
{
	gb__coro_resume(other);
}

TEST(one_that_was_begun_by_one_may_be_ended_by_another)
{
	int once = 1;

	gb__coros_init(&coros, STACK_SIZE);
	other = create(suspends, &once);
	gb__coro_resume(create(resumes_other, NULL));
	CHECK_INT(gb__coros_alive(&coros), 1);
	gb__coro_resume(other);
	CHECK_INT(gb__coros_alive(&coros), 0);
	gb__coros_destroy(&coros);
}

TEST(what_lies_beside_it_is_zeroed_and_aligned)
{
	struct gb__coro *coro;
	int never = 0;

	gb__coros_init(&coros, STACK_SIZE);
	for (size_t extra = 0; extra < 3000; extra += 37) {
		char *beside;

		CHECK_INT(gb__coro_create(&coros, extra, suspends, &never, &coro), 0);
		beside = gb__coro_extra(coro);
		CHECK((uintptr_t)beside % 16 == 0);
		for (size_t i = 0; i < extra; i++)
			CHECK(beside[i] == 0);
		memset(beside, 0xff, extra);
		gb__coro_resume(coro); /* its stack goes to the next one */
	}
	CHECK_INT(gb__coro_create(&coros, STACK_SIZE, suspends, &never, &coro), -E2BIG);
	gb__coros_destroy(&coros);
}

TEST(one_that_never_ran_can_be_discarded)
{
	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_discard(create(notes_twice, NULL));
	CHECK_INT(gb__coros_alive(&coros), 0);
	gb__coros_destroy(&coros);
}

TEST(an_idle_one_takes_one_page)
{
	unsigned char there[STACK_SIZE / 4096];
	struct gb__coro *coro;
	int once = 1;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;

	gb__coros_init(&coros, STACK_SIZE);
	CHECK_INT(gb__coro_create(&coros, 256, suspends, &once, &coro), 0);
	gb__coro_resume(coro);
	CHECK(mincore(coro->stack->low, STACK_SIZE, there) == 0);
	for (size_t i = 0; i < STACK_SIZE / page; i++)
		count += there[i] & 1;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (!gb__context_portable)
		CHECK_INT(count, 1);
#endif
	CHECK_INT(gb__coro_stack_used(coro), count * page);
	gb__coro_resume(coro);
	gb__coros_destroy(&coros);
}

static __attribute__((noinline)) void use(size_t bytes)
{
	char room[1000];

	__asm__ volatile("" : : "r"(room) : "memory"); /* all of it */
	room[0] = 1;
	if (bytes > sizeof(room))
		use(bytes - sizeof(room));
	room[1] = room[0];
}

static void dives(struct gb__coro *coro, void *argument)
{
	use(*(size_t *)argument);
	gb__coro_suspend(&coros);
}

TEST(what_a_suspended_one_has_used_deeper_is_given_back)
{
	size_t bytes = 30000, page = (size_t)sysconf(_SC_PAGESIZE);
	struct gb__coros_stats stats;
	struct gb__coro *coro;

	gb__coros_init(&coros, STACK_SIZE * 4);
	coro = create(dives, &bytes);
	gb__coro_resume(coro);
	CHECK(gb__coro_stack_used(coro) >= bytes);
	CHECK(gb__coros_trim(&coros));
	CHECK(gb__coro_stack_used(coro) <= 4 * page);
	gb__coros_stats(&coros, &stats);
	CHECK(stats.stack_used_max >= bytes);
	CHECK_INT(stats.alive, 1);
	gb__coro_resume(coro);
	gb__coros_destroy(&coros);
}

TEST(a_trim_looks_at_some_and_goes_on_at_the_next)
{
	static struct gb__coro *all[5000];
	int count = gb__min(5000, MANY), once = 1, rounds = 1;
	size_t bytes = 10000, page = (size_t)sysconf(_SC_PAGESIZE);

	gb__coros_init(&coros, STACK_SIZE);
	for (int i = 0; i < count; i++) {
		all[i] = create(i == count - 1 ? dives : suspends, i == count - 1 ? (void *)&bytes : &once);
		gb__coro_resume(all[i]);
	}
	CHECK(gb__coro_stack_used(all[count - 1]) >= bytes);
	while (!gb__coros_trim(&coros))
		rounds++;
	CHECK(rounds == (count == 5000 ? 2 : 1));
	CHECK(gb__coro_stack_used(all[count - 1]) <= 2 * page + GB__CONTEXT_BYTES_MAX);
	for (int i = 0; i < count; i++)
		gb__coro_resume(all[i]);
	gb__coros_destroy(&coros);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* In KiB, of /proc/self/status. */
static long status_of(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long value = -1;

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtol(line + strlen(name), NULL, 10);
	fclose(file);
	return value;
}

TEST(an_idle_one_costs_four_and_a_half_kib_with_all_that_belongs_to_it)
{
	const int count = 10000;
	long before, after;
	int once = 1;

	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_discard(create(suspends, &once));
	/* ucontext is large; an emulator, which has no light guards, adds memory of its own */
	if (gb__context_portable || !gb__stacks_light_guards())
		return;
	before = status_of("VmRSS:") + status_of("VmPTE:");
	for (int i = 0; i < count; i++) {
		struct gb__coro *coro;

		CHECK_INT(gb__coro_create(&coros, 256, suspends, &once, &coro), 0);
		gb__coro_resume(coro);
	}
	after = status_of("VmRSS:") + status_of("VmPTE:");
	CHECK((after - before) * 1024 / count <= 4608);
}
#endif

TEST(many_live_at_once)
{
	static struct gb__coro *all[MANY];
	struct gb__coros_stats stats;
	int twice = 2, count;

	gb__coros_init(&coros, STACK_SIZE);
	gb__coro_discard(create(suspends, &twice));
	/* Without light guards each takes two mappings, of which a process may have 65,530. */
	count = gb__stacks_light_guards() ? MANY : gb__min(MANY, 20000);
	for (int i = 0; i < count; i++) {
		all[i] = create(suspends, &twice);
		gb__coro_resume(all[i]);
	}
	CHECK_INT(gb__coros_alive(&coros), count);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < count; i++)
			gb__coro_resume(all[i]);
	gb__coros_stats(&coros, &stats);
	CHECK_INT(stats.alive, 0);
	CHECK_INT(stats.alive_max, count);
	CHECK_INT(stats.stacks, count);
	CHECK_INT(stats.idle, count);
	for (int looks = 0; !gb__coros_trim(&coros); looks++) /* each is bounded */
		CHECK(looks < MANY);
	gb__coros_stats(&coros, &stats);
	CHECK(stats.idle < 1000);
	gb__coros_destroy(&coros);
}

TEST(a_million_are_created_switched_and_ended_on_few_stacks)
{
	struct gb__coros_stats stats;
	struct gb__coro *coro;
	int once = 1, count = gb__context_portable ? MILLION / 10 : MILLION; /* two system calls a switch */

	gb__coros_init(&coros, STACK_SIZE);
	for (int i = 0; i < count; i++) {
		CHECK(gb__coro_create(&coros, 64, suspends, &once, &coro) == 0);
		gb__coro_resume(coro);
		gb__coro_resume(coro);
	}
	gb__coros_stats(&coros, &stats);
	CHECK_INT(stats.ended, count);
	CHECK_INT(stats.stacks, 1);
	gb__coros_destroy(&coros);
}
