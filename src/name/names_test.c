/* What is known of names, and for how long: with a clock and answers that the test makes up. */
#include "name/lookup.h"

#include "base/alloc.h"
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>

#define S 1000000000ull
#define ASKED_MAX 16u

/* --- in place of c-ares --- */

static struct {
	enum gb__question question;
	char name[64];
	gb__dns_told *told;
	void *arg;
} asked[ASKED_MAX]; /* and not answered yet, in order */
static unsigned asked_count, created, destroyed;
static struct gb__dns_options dns_options;

int gb__dns_create(const struct gb__dns_options *options, struct gb__dns **ret, struct gb_error *error)
{
	created++;
	dns_options = *options;
	*ret = (struct gb__dns *)&dns_options;
	return 0;
}

static void answer(const char *name, struct gb__answer with)
{
	for (unsigned i = 0; i < asked_count; i++) {
		gb__dns_told *told = asked[i].told;
		void *arg = asked[i].arg;

		if (strcmp(asked[i].name, name) != 0)
			continue;
		memmove(&asked[i], &asked[i + 1], (--asked_count - i) * sizeof(asked[0]));
		told(arg, &with);
		if (!destroyed)
			dns_options.on_progress(dns_options.arg);
		return;
	}
	test_fail(__FILE__, __LINE__, "%s was not asked for", name);
}

void gb__dns_destroy(struct gb__dns *dns)
{
	if (!dns)
		return;
	destroyed++;
	while (asked_count > 0)
		answer(asked[0].name, (struct gb__answer){ .code = -ECANCELED });
}

void gb__dns_abandon(struct gb__dns *dns)
{
	(void)dns;
}

void gb__dns_ask(
	struct gb__dns *dns, enum gb__question question, const char *name, gb__dns_told *told, void *arg)
{
	CHECK(asked_count + 1 < ASKED_MAX);
	asked[asked_count].question = question;
	snprintf(asked[asked_count].name, sizeof(asked[0].name), "%s", name);
	asked[asked_count].told = told;
	asked[asked_count++].arg = arg;
}

/* --- the loop --- */

static uint64_t now = 1000 * S;

static uint64_t fake_now(struct gb__os *os)
{
	return now;
}

static struct gb__os_ops ops;
static struct gb__os os = { .ops = &ops };
static struct gb__loop loop;
static struct gb__watches watches;
static struct gb__names names;
static struct gb__names_counters counters;

static void begin(struct gb__names_options options)
{
	struct gb__engine *engine;

	ops = *gb__os_linux.ops;
	ops.now_ns = fake_now;
	CHECK_INT(gb__engine_create("poll", (struct gb__engine_options){ .os = &os }, &engine, NULL), 0);
	gb__loop_init(&loop, engine);
	gb__watches_init(&watches, &loop);
	options.servers = "127.0.0.1";
	gb__names_init(&names, &watches, NULL, &options, &counters);
}

static const struct gb__names_options usual = {
	.timeout_ms = 3000, .ttl_min_s = 5, .ttl_max_s = 86400, .known_max = 100
};

static void turn(void)
{
	CHECK(gb__loop_turn(&loop, 0) >= 0);
}

static void end(void)
{
	gb__names_end(&names);
	gb__watches_end(&watches);
	turn();
	gb__watches_finish(&watches);
	gb__loop_finish(&loop);
}

/* --- who asks --- */

struct waiter {
	struct gb__names_waiter waiter;
	unsigned told;
	int code;
	size_t count;
};

static void on_known(struct gb__names_waiter *waiter, const struct gb__known *known)
{
	struct waiter *one = (struct waiter *)waiter;

	one->told++;
	one->code = known->answer.code;
	one->count = known->answer.count;
}

static void ask(struct waiter *waiter, const char *name)
{
	*waiter = (struct waiter){ .waiter = { .on_known = on_known } };
	CHECK_INT(gb__names_ask(&names, GB__QUESTION_ADDRESS, name, &waiter->waiter), 0);
}

static bool knows(const char *name)
{
	return gb__names_find(&names, GB__QUESTION_ADDRESS, name);
}

/* One address. */
static struct gb__answer found(uint32_t ttl_s)
{
	struct gb__answer with = {
		.ttl_s = ttl_s, .count = 1, .addresses = gb__alloc(sizeof(struct gb__address))
	};

	CHECK_INT(gb__address_parse("192.0.2.1:0", false, &with.addresses[0], NULL), 0);
	return with;
}

static void learn(const char *name, struct gb__answer with)
{
	struct waiter waiter;

	ask(&waiter, name);
	answer(name, with);
	turn();
	CHECK_INT(waiter.told, 1);
	CHECK_INT(waiter.code, with.code);
}

TEST(an_answer_is_told_to_all_who_wait_and_holds_for_its_time)
{
	struct waiter first, second;

	begin(usual);
	CHECK(!knows("a.test"));
	ask(&first, "a.test");
	ask(&second, "a.test");
	CHECK_INT(asked_count, 1);
	CHECK_INT(counters.queries, 1);
	CHECK(!knows("a.test"));
	answer("a.test", found(60));
	turn();
	CHECK(first.told == 1 && first.code == 0 && first.count == 1 && second.told == 1 && second.code == 0);
	CHECK(knows("a.test"));
	CHECK(!knows("b.test"));
	CHECK(!gb__names_find(&names, GB__QUESTION_SERVICE, "a.test"));
	now += 60 * S - 1;
	CHECK(knows("a.test"));
	CHECK_INT(counters.hits, 2);
	now += 1;
	CHECK(!knows("a.test"));
	/* And again. */
	learn("a.test", found(60));
	CHECK(knows("a.test"));
	CHECK_INT(counters.queries, 2);
	CHECK_INT(counters.failures, 0);
	end();
	CHECK(created == 1 && destroyed == 1);
}

static void check_held(struct gb__answer with, unsigned seconds)
{
	learn("held.test", with);
	now += seconds * S - 1;
	CHECK(knows("held.test"));
	now += 1;
	CHECK(!knows("held.test"));
}

TEST(times_to_live_are_brought_within_bounds)
{
	struct gb__names_options options = usual;

	options.ttl_min_s = 5;
	options.ttl_max_s = 100;
	begin(options);
	check_held(found(0), 5);
	check_held(found(6), 6);
	check_held(found(99), 99);
	check_held(found(101), 100);
	end();
}

TEST(what_is_not_there_is_so_for_a_while_and_a_failure_for_a_moment)
{
	struct gb__names_options options = usual;

	options.ttl_min_s = 2;
	begin(options);
	check_held((struct gb__answer){ .code = -GB_ENONAME }, 5); /* nobody said */
	check_held((struct gb__answer){ .code = -GB_ENONAME, .ttl_s = 1 }, 2);
	check_held((struct gb__answer){ .code = -GB_ENOADDRESS, .ttl_s = 30 }, 30);
	check_held((struct gb__answer){ .code = -GB_ENOADDRESS, .ttl_s = 3600 }, 300);
	check_held((struct gb__answer){ .code = -GB_ENAMESERVER }, 1);
	CHECK_INT(counters.failures, 5);
	end();
}

TEST(who_was_not_looked_for_the_longest_time_is_forgotten_first)
{
	struct gb__names_options options = usual;
	struct waiter waiting;

	options.known_max = 3;
	begin(options);
	learn("a.test", found(60));
	learn("b.test", found(60));
	learn("c.test", found(60));
	CHECK(knows("a.test"));
	learn("d.test", found(60));
	CHECK(!knows("b.test"));
	CHECK(knows("c.test") && knows("a.test") && knows("d.test"));
	/* Asked for anew is looked for as well. */
	ask(&waiting, "c.test");
	answer("c.test", found(60));
	turn();
	learn("e.test", found(60));
	CHECK(!knows("a.test"));
	CHECK(knows("c.test") && knows("d.test") && knows("e.test"));
	end();
}

TEST(who_is_waited_for_is_not_forgotten)
{
	struct gb__names_options options = usual;
	struct waiter first, second;

	options.known_max = 1;
	begin(options);
	ask(&first, "a.test");
	ask(&second, "b.test");
	answer("b.test", found(60));
	answer("a.test", found(60));
	turn();
	CHECK(first.told == 1 && second.told == 1);
	end();
}

TEST(an_answer_that_is_late_is_kept_all_the_same)
{
	struct waiter first, second;

	begin(usual);
	ask(&first, "a.test");
	now += 1 * S;
	ask(&second, "b.test");
	now += 2 * S - 1;
	turn();
	CHECK_INT(first.told, 0);
	now += 1;
	turn();
	CHECK(first.told == 1 && first.code == -GB_ENAMETIMEOUT && second.told == 0);
	/* It is under way still, and not asked for twice. */
	ask(&first, "a.test");
	CHECK_INT(asked_count, 2);
	now += 1 * S;
	turn();
	CHECK(second.told == 1 && second.code == -GB_ENAMETIMEOUT && first.told == 0);
	answer("a.test", found(60));
	answer("b.test", found(60));
	turn();
	CHECK(first.told == 1 && first.code == 0 && second.told == 1);
	CHECK(knows("a.test") && knows("b.test"));
	end();
}

TEST(who_forgets_is_told_nothing)
{
	struct waiter first, second;

	begin(usual);
	ask(&first, "a.test");
	ask(&second, "a.test");
	gb__names_forget(&first.waiter);
	answer("a.test", found(60));
	turn();
	CHECK(first.told == 0 && second.told == 1);
	gb__names_forget(&second.waiter);
	end();
}

TEST(at_the_end_all_who_wait_are_told)
{
	struct waiter waiting, late = { .waiter = { .on_known = on_known } };

	begin(usual);
	ask(&waiting, "a.test");
	learn("b.test", found(60));
	end();
	CHECK(waiting.told == 1 && waiting.code == -ECANCELED);
	CHECK_INT(gb__names_ask(&names, GB__QUESTION_ADDRESS, "b.test", &late.waiter), -ESHUTDOWN);
	CHECK(!knows("b.test"));
}

/* --- services --- */

static int looked_up;
static unsigned lookups_done;

static void on_done(struct gb__lookup *lookup, int code)
{
	looked_up = code;
	lookups_done++;
}

static struct gb__answer services(const char *first, const char *second, uint32_t ttl_s)
{
	struct gb__answer with = { .ttl_s = ttl_s,
		.count = second ? 2 : 1,
		.services = gb__alloc_zero(2 * sizeof(struct gb__srv)) };

	with.services[0] = (struct gb__srv){ .priority = 1, .port = 7001 };
	snprintf(with.services[0].target, sizeof(with.services[0].target), "%s", first);
	with.services[1] = (struct gb__srv){ .priority = 2, .port = 7002 };
	snprintf(with.services[1].target, sizeof(with.services[1].target), "%s", second ? second : "");
	return with;
}

static void look_up(struct gb__lookup *lookup, int expected)
{
	struct gb__target target;

	*lookup = (struct gb__lookup){ 0 };
	CHECK_INT(gb__target_parse("_echo._tcp.test", &target, NULL), 0);
	CHECK_INT(gb__lookup_begin(lookup, &names, &target, on_done), expected);
}

TEST(addresses_of_a_service_are_those_of_its_names)
{
	struct gb__lookup lookup;

	begin(usual);
	look_up(&lookup, 1);
	CHECK_INT(asked[0].question, GB__QUESTION_SERVICE);
	answer("_echo._tcp.test", services("a.test", "b.test", 60));
	CHECK_INT(asked_count, 2);
	answer("b.test", found(30));
	CHECK_INT(lookups_done, 0);
	answer("a.test", found(90));
	turn();
	CHECK(lookups_done == 1 && looked_up == 0);
	CHECK_INT(lookup.count, 2);
	CHECK_INT(gb__address_port(&lookup.found[0].address), 7001);
	CHECK_INT(gb__address_port(&lookup.found[1].address), 7002);
	CHECK(lookup.until_ns == now + 30 * S);
	gb__lookup_drop(&lookup);
	/* All of it is known by now. */
	look_up(&lookup, 0);
	CHECK_INT(lookup.count, 2);
	CHECK_INT(asked_count, 0);
	gb__lookup_drop(&lookup);
	end();
}

TEST(a_name_that_is_not_there_leaves_the_others_of_its_service)
{
	struct gb__lookup lookup;

	begin(usual);
	look_up(&lookup, 1);
	answer("_echo._tcp.test", services("a.test", "b.test", 60));
	answer("a.test", (struct gb__answer){ .code = -GB_ENONAME, .ttl_s = 20 });
	answer("b.test", found(60));
	turn();
	CHECK(lookups_done == 1 && looked_up == 0);
	CHECK_INT(lookup.count, 1);
	CHECK_INT(gb__address_port(&lookup.found[0].address), 7002);
	CHECK(lookup.until_ns == now + 20 * S); /* it may be there by then */
	gb__lookup_drop(&lookup);
	end();
}

TEST(a_service_without_any_address_says_why)
{
	struct gb__lookup lookup;

	begin(usual);
	look_up(&lookup, 1);
	answer("_echo._tcp.test", services("a.test", "b.test", 1));
	answer("a.test", (struct gb__answer){ .code = -GB_ENONAME });
	answer("b.test", (struct gb__answer){ .code = -GB_ENOADDRESS });
	turn();
	CHECK(lookups_done == 1 && looked_up == -GB_ENONAME);
	gb__lookup_drop(&lookup);
	now += 5 * S;
	look_up(&lookup, 1);
	answer("_echo._tcp.test", services(".", NULL, 60));
	turn();
	CHECK(lookups_done == 2 && looked_up == -GB_ENOSERVICE);
	gb__lookup_drop(&lookup);
	look_up(&lookup, -GB_ENOSERVICE); /* that is known as well */
	gb__lookup_drop(&lookup);
	end();
}
