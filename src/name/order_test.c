#include "name/order.h"

#include "harness.h"

static struct gb__srv record(unsigned priority, unsigned weight, unsigned port)
{
	return (struct gb__srv){ (uint16_t)priority, (uint16_t)weight, (uint16_t)port, "a" };
}

TEST(a_lower_priority_comes_first)
{
	for (uint64_t random = 0; random < 100; random++) {
		struct gb__srv services[] = { record(20, 100, 3), record(0, 0, 1), record(10, 5, 2),
			record(20, 0, 4) };

		gb__services_order(services, 4, random * 0x9e3779b97f4a7c15u);
		CHECK_INT(services[0].port, 1);
		CHECK_INT(services[1].port, 2);
		CHECK_INT(services[2].port + services[3].port, 7);
	}
}

#define DRAWS 8000

static unsigned first_of(unsigned weight_1, unsigned weight_2)
{
	unsigned count = 0;

	for (uint64_t i = 1; i <= DRAWS; i++) {
		struct gb__srv services[] = { record(5, weight_1, 1), record(5, weight_2, 2) };

		gb__services_order(services, 2, i * 0x9e3779b97f4a7c15u);
		count += services[0].port == 1;
	}
	return count;
}

TEST(within_a_priority_weight_is_chance)
{
	unsigned three = first_of(30, 10), same = first_of(7, 7), none = first_of(0, 0),
		 rare = first_of(0, 100);

	CHECK(three > DRAWS * 70 / 100 && three < DRAWS * 80 / 100);
	CHECK(same > DRAWS * 40 / 100 && same < DRAWS * 60 / 100);
	CHECK(none > DRAWS * 40 / 100 && none < DRAWS * 60 / 100);
	CHECK(rare < DRAWS * 3 / 100); /* of weight 0 beside others: hardly ever, but it is possible */
}

TEST(all_records_stay)
{
	for (uint64_t random = 1; random < 200; random++) {
		struct gb__srv services[] = { record(1, 3, 1), record(1, 0, 2), record(1, 65535, 4),
			record(0, 9, 8), record(2, 1, 16) };
		unsigned ports = 0;

		gb__services_order(services, 5, random * 0x9e3779b97f4a7c15u);
		for (int i = 0; i < 5; i++)
			ports |= services[i].port;
		CHECK_INT(ports, 31);
	}
	gb__services_order(NULL, 0, 1);
}
