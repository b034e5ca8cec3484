/* The acceptor's side of pulling, without workers: what waits, and when it must not grow. */
#include "harness.h"
#include "model/crew.h"

#include <fcntl.h>
#include <unistd.h>

static unsigned started;

static int fake_attach(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	return 0;
}

static int fake_start(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	started++;
	return 0;
}

static void fake_stop(struct gb__engine *engine, struct gb__endpoint *endpoint)
{
	started--;
}

static void on_accepted(void *arg, int fd, size_t index)
{
}

static const struct gb__engine_ops fake_ops = {
	.attach = fake_attach, .detach = fake_attach, .input_start = fake_start, .input_stop = fake_stop
};
static struct gb__engine engine = { .ops = &fake_ops };
static struct gb__record record;
static const struct gb_service service = { GB_SERVICE_INIT, .name = "queued" };
static struct gb__binding binding = { .service = &service };
static struct gb_server server = { .bindings = &binding, .bindings_count = 1 };
static struct gb_worker chief = { .server = &server };
static struct gb__crew crew = { .chief = &chief, .seats_count = 2 };

static void give_one(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	gb__handover_pull.give(&crew, (struct gb__handed){ .fd = fd });
}

TEST(a_full_queue_bars_the_acceptor_and_room_lets_it_accept)
{
	chief.loop.engine = &engine;
	chief.loop.os = &gb__os_linux;
	gb__timers_init(&chief.loop.timers);
	chief.record = &record;
	CHECK_INT(gb__acceptance_init(&chief.acceptance, &chief.loop, 1, on_accepted, NULL), 0);
	CHECK_INT(gb__acceptance_add(&chief.acceptance, 0, 0), 0);
	CHECK_INT(gb__acceptance_begin(&chief.acceptance), 0);
	CHECK_INT(gb__handover_pull.init(&crew), 0);
	for (unsigned i = 1; i < GB__PULL_QUEUE_MAX; i++)
		give_one();
	CHECK_INT(started, 1);
	give_one();
	CHECK_INT(started, 0);
	CHECK_INT(chief.acceptance.bars, GB__BAR_QUEUE);
	/* As a worker tells once half of them are gone; another reason stays one. */
	gb__acceptance_bar(&chief.acceptance, GB__BAR_EXHAUSTED);
	crew.pull.room.run(&crew.pull.room, true);
	CHECK_INT(chief.acceptance.bars, GB__BAR_EXHAUSTED);
	CHECK_INT(started, 0);
	gb__acceptance_clear(&chief.acceptance, GB__BAR_EXHAUSTED);
	CHECK_INT(started, 1);
	/* Who is left is closed, and counted. */
	gb__handover_pull.finish(&crew);
	gb__timers_finish(&chief.loop.timers);
	CHECK_INT(record.counters.stats.accepted, GB__PULL_QUEUE_MAX);
	CHECK_INT(record.counters.stats.closed[GB_CLOSE_DRAIN], GB__PULL_QUEUE_MAX);
	gb__acceptance_finish(&chief.acceptance);
	gb__acceptance_destroy(&chief.acceptance);
}
