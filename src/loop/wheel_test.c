#include "loop/wheel.h"

#include "base/macros.h"
#include "harness.h"

#define NODES 2000

struct item {
	struct gb__wheel_node node;
	uint64_t due_ms;
	bool removed, expired;
};

static struct gb__wheel wheel;
static struct item items[NODES];
static uint64_t now_ms;

static void expire(struct gb__wheel_node *node, void *arg)
{
	struct item *item = gb__container_of(node, struct item, node);

	CHECK(!item->removed && !item->expired);
	CHECK(now_ms >= item->due_ms);
	item->expired = true;
}

static void run(uint64_t start_ms, uint64_t horizon_ms, uint64_t step_ms)
{
	uint64_t random = test_seed();

	memset(items, 0, sizeof(items));
	now_ms = start_ms;
	gb__wheel_init(&wheel, now_ms);
	for (unsigned i = 0; i < NODES; i++) {
		gb__wheel_node_init(&items[i].node);
		items[i].due_ms = start_ms + test_random(&random) % horizon_ms;
		gb__wheel_add(&wheel, &items[i].node, items[i].due_ms);
	}
	for (unsigned i = 0; i < NODES; i += 5) {
		items[i].removed = true;
		gb__wheel_remove(&wheel, &items[i].node);
	}
	while (now_ms < start_ms + horizon_ms + 2 * GB__WHEEL_TICK_MS) {
		uint64_t next_ms = gb__wheel_next_ms(&wheel);

		/* Either walk evenly or sleep exactly as long as the wheel says. */
		now_ms = step_ms ? now_ms + test_random(&random) % step_ms : next_ms;
		if (now_ms == UINT64_MAX)
			break;
		gb__wheel_run(&wheel, now_ms, expire, NULL);
		for (unsigned i = 0; i < NODES; i++)
			CHECK(items[i].removed || items[i].expired ||
				items[i].due_ms + 2 * GB__WHEEL_TICK_MS > now_ms);
	}
	CHECK_INT(wheel.count, 0);
	for (unsigned i = 0; i < NODES; i++)
		CHECK(items[i].removed != items[i].expired);
}

TEST(no_node_expires_early_or_more_than_a_tick_late)
{
	run(0, 500, 20);
	run(123456789, 60000, 500);
	run(1023, 2000000, 60000);
}

TEST(sleeping_until_the_next_step_misses_nothing)
{
	run(0, 700, 0);
	run(987654321, 90000, 0);
	run(5000000000, 2000000, 0);
}

TEST(a_slot_that_became_empty_wakes_nobody)
{
	struct gb__wheel_node soon, beside, late;

	gb__wheel_init(&wheel, 0);
	gb__wheel_node_init(&soon);
	gb__wheel_node_init(&beside);
	gb__wheel_node_init(&late);
	gb__wheel_add(&wheel, &late, 60000);
	gb__wheel_add(&wheel, &soon, 500);
	gb__wheel_add(&wheel, &beside, 500);
	gb__wheel_remove(&wheel, &soon);
	CHECK(gb__wheel_next_ms(&wheel) < 1000);
	gb__wheel_remove(&wheel, &beside);
	CHECK(gb__wheel_next_ms(&wheel) > 50000);
	gb__wheel_remove(&wheel, &late);
	CHECK_INT(gb__wheel_next_ms(&wheel), UINT64_MAX);
}

static void add_again(struct gb__wheel_node *node, void *arg)
{
	unsigned *count = arg;

	if (++*count < 5)
		gb__wheel_add(&wheel, node, 0);
}

TEST(a_node_added_again_for_the_past_expires_with_the_next_tick)
{
	struct gb__wheel_node node;
	unsigned count = 0;

	gb__wheel_init(&wheel, 0);
	gb__wheel_node_init(&node);
	gb__wheel_add(&wheel, &node, 10);
	gb__wheel_run(&wheel, 2 * GB__WHEEL_TICK_MS, add_again, &count);
	CHECK_INT(count, 2);
	gb__wheel_run(&wheel, 10 * GB__WHEEL_TICK_MS, add_again, &count);
	CHECK_INT(count, 5);
	CHECK_INT(gb__wheel_next_ms(&wheel), UINT64_MAX);
}
