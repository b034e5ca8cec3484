#include "harness.h"
#include "os/forker.h"

#include <sys/socket.h>

enum { COUNT = 300 }; /* whose ends are more than a socket holds */

static void nothing(void *arg)
{
	(void)arg;
}

static void end_at_once(void *arg, unsigned index, int control)
{
	(void)arg;
	(void)index;
	(void)control;
}

static const struct gb__forker_ops ops = { .begin = nothing, .serve = end_at_once, .end = nothing };

TEST(orders_are_taken_while_nobody_reads_the_news)
{
	struct gb__forker forker = { 0 };
	struct gb_error error;
	const int little = 1; /* as little as the kernel allows */
	unsigned ends[COUNT] = { 0 };

	CHECK_INT(gb__forker_start(&forker, COUNT, &ops, NULL, &error), 0);
	CHECK_INT(setsockopt(forker.control, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
	for (unsigned i = 0; i < COUNT; i++)
		gb__forker_launch(&forker, i, 0);
	for (unsigned i = 0; i < COUNT; i++) {
		struct gb__forker_news news;

		CHECK(gb__forker_receive(&forker, true, &news));
		CHECK_INT(news.kind, GB__FORKER_ENDED);
		CHECK_INT(news.status, 0);
		CHECK(news.index < COUNT && ends[news.index]++ == 0);
	}
	gb__forker_finish(&forker);
}
