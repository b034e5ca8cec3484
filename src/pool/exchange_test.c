/* The memory between the server and a process of its pool, with a thread in the place of the process. */
#include "pool/exchange.h"

#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define MESSAGES 300u
#define LONGEST (4u * GB__EXCHANGE_PART)

static struct gb__exchange *exchange;
static _Atomic uint32_t rung; /* by the process */

static void ring(void *arg, uint32_t source)
{
	(void)arg;
	(void)source;
	atomic_fetch_add(&rung, 1);
}

/* Sends back what comes, in parts of the same size. */
static void *process_main(void *arg)
{
	static unsigned char bytes[LONGEST];
	int n;

	(void)arg;
	while ((n = gb__exchange_next(exchange)) >= 0) {
		struct gb__exchange_slot *slot = &exchange->slots[n];
		uint64_t held = 0, sent = 0;

		for (;;) {
			memcpy(bytes + held, slot->request, slot->part);
			held += slot->part;
			if (held == slot->size)
				break;
			gb__exchange_ask(exchange, (unsigned)n, GB__EXCHANGE_WANTS, ring, NULL);
		}
		for (;;) {
			slot->reply_part = slot->size - sent < GB__EXCHANGE_PART
				? (uint32_t)(slot->size - sent)
				: GB__EXCHANGE_PART;
			memcpy(slot->reply, bytes + sent, slot->reply_part);
			sent += slot->reply_part;
			if (sent == slot->size)
				break;
			gb__exchange_ask(exchange, (unsigned)n, GB__EXCHANGE_PARTIAL, ring, NULL);
		}
		atomic_store(&exchange->phases[n], GB__EXCHANGE_DONE);
		ring(NULL, 0);
	}
	return NULL;
}

/* A message in each slot: what was fed, and what came back. */
static struct under_way {
	unsigned char *message, *reply;
	uint64_t size, fed, back;
} slots[GB__EXCHANGE_SLOTS];

static struct gb_bytes message_of(const struct under_way *one)
{
	return (struct gb_bytes){ one->message, one->size };
}

static void begin(unsigned n, uint64_t *random)
{
	static const uint64_t sizes[] = { 0, 1, GB__EXCHANGE_PART - 1, GB__EXCHANGE_PART,
		GB__EXCHANGE_PART + 1, 2 * GB__EXCHANGE_PART, LONGEST };
	struct under_way *one = &slots[n];
	uint64_t size =
		test_random(random) % 2 ? sizes[test_random(random) % 7] : test_random(random) % LONGEST;

	one->message = malloc(size + 1);
	one->reply = malloc(size + 1);
	one->size = size;
	one->back = 0;
	for (uint64_t i = 0; i < size; i++)
		one->message[i] = (unsigned char)(i * 31 + size);
	gb__exchange_queue(exchange, n, message_of(one));
	one->fed = exchange->slots[n].part;
	gb__exchange_wake(exchange);
}

/* Returns whether it is done. */
static bool go_on(unsigned n)
{
	struct gb__exchange_slot *slot = &exchange->slots[n];
	struct under_way *one = &slots[n];
	uint32_t phase = gb__exchange_phase(exchange, n);

	if (phase == GB__EXCHANGE_WANTS) {
		one->fed += gb__exchange_feed(exchange, n, message_of(one), one->fed);
	} else if (phase == GB__EXCHANGE_PARTIAL || phase == GB__EXCHANGE_DONE) {
		CHECK(one->back + slot->reply_part <= one->size);
		memcpy(one->reply + one->back, slot->reply, slot->reply_part);
		one->back += slot->reply_part;
	} else {
		return false;
	}
	if (phase == GB__EXCHANGE_DONE) {
		CHECK_INT(one->back, one->size);
		CHECK(memcmp(one->reply, one->message, one->size) == 0);
		free(one->message);
		free(one->reply);
		one->message = NULL;
		atomic_store(&exchange->phases[n], GB__EXCHANGE_FREE);
		return true;
	}
	gb__exchange_resume(exchange, n);
	gb__exchange_wake(exchange);
	return false;
}

static void make(void)
{
	exchange = aligned_alloc(64, (sizeof(*exchange) + 63) / 64 * 64);
	memset(exchange, 0, sizeof(*exchange));
}

TEST(messages_of_any_size_go_in_and_come_back_whole)
{
	uint64_t random = test_seed();
	unsigned begun = 0, done = 0;
	pthread_t process;

	make();
	CHECK_INT(pthread_create(&process, NULL, process_main, NULL), 0);
	while (done < MESSAGES) {
		for (unsigned n = 0; n < GB__EXCHANGE_SLOTS && begun < MESSAGES; n++)
			if (!slots[n].message && test_random(&random) % 2) {
				begin(n, &random);
				begun++;
			}
		for (unsigned n = 0; n < GB__EXCHANGE_SLOTS; n++)
			done += slots[n].message && go_on(n);
		sched_yield();
	}
	gb__exchange_end(exchange);
	CHECK_INT(pthread_join(process, NULL), 0);
	CHECK(atomic_load(&rung) >= MESSAGES);
	free(exchange);
}

TEST(messages_begin_in_the_order_in_which_they_were_queued)
{
	static const unsigned places[] = { 5, 0, 7, 2 };

	make();
	exchange->order = UINT32_MAX - 1; /* it goes on from there to 0 */
	for (unsigned i = 0; i < 4; i++)
		gb__exchange_queue(exchange, places[i], (struct gb_bytes){ (const unsigned char *)"x", 1 });
	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(gb__exchange_next(exchange), places[i]);
	free(exchange);
}

TEST(what_has_not_begun_can_be_taken_back_and_nothing_else)
{
	make();
	gb__exchange_queue(exchange, 0, (struct gb_bytes){ (const unsigned char *)"a", 1 });
	gb__exchange_queue(exchange, 1, (struct gb_bytes){ (const unsigned char *)"b", 1 });
	CHECK_INT(gb__exchange_next(exchange), 0);
	CHECK(!gb__exchange_take_back(exchange, 0));
	CHECK(gb__exchange_take_back(exchange, 1));
	CHECK(!gb__exchange_take_back(exchange, 1));
	gb__exchange_end(exchange);
	CHECK_INT(gb__exchange_next(exchange), -1);
	free(exchange);
}

TEST(what_waits_is_run_before_the_end)
{
	make();
	gb__exchange_queue(exchange, 3, (struct gb_bytes){ NULL, 0 });
	gb__exchange_end(exchange);
	CHECK_INT(gb__exchange_next(exchange), 3);
	CHECK_INT(gb__exchange_next(exchange), -1);
	free(exchange);
}
