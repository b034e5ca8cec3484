#include "name/answer.h"
#include "name/message_test.h"

#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* With one question, for a.example at 12. */
static struct message begin(unsigned answers, unsigned authorities)
{
	struct message message = { .size = 0 };

	put(&message, 7, 2);
	put(&message, 0x8180, 2);
	put(&message, 1, 2);
	put(&message, answers, 2);
	put(&message, authorities, 2);
	put(&message, 0, 2);
	put_name(&message, "a.example");
	put(&message, 33, 2);
	put(&message, 1, 2);
	return message;
}

static void put_srv(struct message *message, unsigned ttl_s, unsigned port, const char *target)
{
	size_t at = begin_record(message, 33, ttl_s);

	put(message, 10, 2);
	put(message, 20, 2);
	put(message, port, 2);
	if (target)
		put_name(message, target);
	else
		put(message, 0xc00c, 2);
	end_record(message, at);
}

static void put_soa(struct message *message, unsigned ttl_s, unsigned minimum_s)
{
	size_t at = begin_record(message, 6, ttl_s);

	put_name(message, "ns.example");
	put(message, 0xc00c, 2);
	for (unsigned i = 1; i <= 4; i++)
		put(message, i, 4);
	put(message, minimum_s, 4);
	end_record(message, at);
}

TEST(services_have_the_shortest_time_to_live)
{
	struct message message = begin(3, 0);
	struct gb__srv services[4];
	uint32_t ttl_s = 0;

	put_srv(&message, 300, 7000, "B.Example");
	put_srv(&message, 60, 7001, NULL);
	put_srv(&message, 600, 7002, "");
	CHECK_INT(gb__answer_services(message.bytes, message.size, services, 4, &ttl_s), 3);
	CHECK_INT(ttl_s, 60);
	CHECK_INT(services[0].priority, 10);
	CHECK_INT(services[0].weight, 20);
	CHECK_INT(services[0].port, 7000);
	CHECK(strcmp(services[0].target, "b.example") == 0);
	CHECK(strcmp(services[1].target, "a.example") == 0);
	CHECK(strcmp(services[2].target, ".") == 0);
	CHECK_INT(gb__answer_services(message.bytes, message.size, services, 2, &ttl_s), 2);
}

TEST(records_of_another_class_are_passed_over)
{
	struct message message = begin(2, 0);
	struct gb__srv services[2];
	uint32_t ttl_s = 0;
	size_t class = message.size + 5;

	put_srv(&message, 1, 7000, NULL);
	message.bytes[class] = 3; /* CHAOS */
	put_srv(&message, 60, 7001, NULL);
	CHECK_INT(gb__answer_services(message.bytes, message.size, services, 2, &ttl_s), 1);
	CHECK_INT(services[0].port, 7001);
	CHECK_INT(ttl_s, 60);
}

TEST(what_is_not_there_is_so_for_as_long_as_the_zone_says)
{
	struct message message = begin(0, 1);
	uint32_t ttl_s = 0;

	put_soa(&message, 900, 30);
	CHECK_INT(gb__answer_negative(message.bytes, message.size, &ttl_s), 0);
	CHECK_INT(ttl_s, 30);
	message = begin(0, 1);
	put_soa(&message, 20, 3600);
	CHECK_INT(gb__answer_negative(message.bytes, message.size, &ttl_s), 0);
	CHECK_INT(ttl_s, 20);
	message = begin(0, 0);
	CHECK_INT(gb__answer_negative(message.bytes, message.size, &ttl_s), -ENODATA);
}

TEST(a_time_beyond_all_times_is_none)
{
	struct message message = begin(1, 0);
	struct gb__srv services[1];
	uint32_t ttl_s = 1;

	put_srv(&message, 0x80000000u, 1, "b");
	CHECK_INT(gb__answer_services(message.bytes, message.size, services, 1, &ttl_s), 1);
	CHECK_INT(ttl_s, 0);
}

TEST(a_name_that_goes_on_where_it_is_ends)
{
	struct message message = begin(1, 0);
	struct gb__srv services[1];
	uint32_t ttl_s;
	size_t at = begin_record(&message, 33, 5);

	put(&message, 0, 6);
	put(&message, 0xc000 | (unsigned)message.size, 2);
	end_record(&message, at);
	CHECK_INT(gb__answer_services(message.bytes, message.size, services, 1, &ttl_s), 0);
}

/* Whatever the bytes, it reads within them: nothing may be looked at behind the last. */
TEST(garbage_is_read_within_its_bounds)
{
	struct message whole = begin(2, 1);
	struct gb__srv services[2];
	uint64_t random = test_seed();
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t ttl_s;

	CHECK(pages != MAP_FAILED);
	CHECK_INT(mprotect(pages + page, page, PROT_NONE), 0);
	put_srv(&whole, 1, 1, NULL);
	put_srv(&whole, 1, 1, "x.example");
	put_soa(&whole, 1, 1);
	for (unsigned i = 0; i < 20000; i++) {
		size_t size = test_random(&random) % (whole.size + 1);
		unsigned char *bytes = pages + page - size;

		memcpy(bytes, whole.bytes, size);
		for (unsigned changes = (unsigned)(test_random(&random) % 4); size && changes; changes--)
			bytes[test_random(&random) % size] = (unsigned char)test_random(&random);
		gb__answer_services(bytes, size, services, 2, &ttl_s);
		gb__answer_negative(bytes, size, &ttl_s);
	}
}
