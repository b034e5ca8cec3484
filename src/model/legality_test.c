#include "model/legality.h"

#include "base/macros.h"

#include "harness.h"

#include <errno.h>

#define COMBINATIONS 194

static struct gb__model parsed(const char *spec)
{
	struct gb__model model;
	struct gb_error error = { 0 };

	if (gb__model_parse(spec, &model, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", spec, error.text);
	return model;
}

static void check_text(const char *spec, const struct gb_error *error, const char *rule, const char *nearest)
{
	char wanted[GB__MODEL_SPEC_MAX + 16];

	snprintf(wanted, sizeof(wanted), "; nearest is %s", nearest);
	if (!strstr(error->text, rule) || !strstr(error->text, wanted))
		test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\" or \"%s\"", spec, error->text, rule,
			wanted);
	CHECK(strlen(error->text) + 1 < sizeof(error->text)); /* not cut */
}

static void check_refused(const char *spec, int code, const char *rule, const char *nearest)
{
	struct gb__model model = parsed(spec);
	struct gb_error error = { 0 };

	CHECK_INT(gb__model_check(&model, &error), code);
	check_text(spec, &error, rule, nearest);
}

static void check_service_refused(const char *spec, const struct gb_service *service, bool ip_address,
	const char *rule, const char *nearest)
{
	struct gb__model model = parsed(spec);
	struct gb_error error = { 0 };

	CHECK_INT(gb__model_check_service(&model, service, ip_address, &error), -GB_EILLEGAL);
	check_text(spec, &error, rule, nearest);
}

TEST(combinations_are_legal_distinct_and_complete)
{
	struct gb__model all[COMBINATIONS];
	size_t per_connection = 0;

	CHECK_INT(gb__model_combinations(NULL, 0), COMBINATIONS);
	CHECK_INT(gb__model_combinations(all, COMBINATIONS), COMBINATIONS);
	for (size_t i = 0; i < COMBINATIONS; i++) {
		CHECK(gb__model_legal(&all[i]));
		CHECK(all[i].engine != GB__ENGINE_AUTO);
		per_connection += all[i].workers == GB__WORKERS_PER_CONNECTION;
		for (size_t j = 0; j < i; j++)
			CHECK(!gb__model_equal(&all[i], &all[j]));
	}
	CHECK_INT(per_connection, 2);
}

TEST(combinations_stop_at_the_maximum)
{
	struct gb__model some[3] = { 0 };

	some[2].workers = 99;
	CHECK_INT(gb__model_combinations(some, 2), COMBINATIONS);
	CHECK_INT(some[2].workers, 99);
}

TEST(per_connection_needs_acceptor_blocking_inline)
{
	check_refused("iterative,workers=per-connection", -GB_EILLEGAL, "needs accept=acceptor", "thread (");
	check_refused(
		"multi-reactor,workers=per-connection", -GB_EILLEGAL, "needs engine=blocking", "thread (");
	check_refused("fork,engine=epoll", -GB_EILLEGAL, "needs engine=blocking", "process-pool-reactor (");
	check_refused("thread,compute=threads", -GB_EILLEGAL, "needs compute=inline", "thread (");
}

TEST(blocking_computes_inline)
{
	check_refused("reactor-pool,engine=blocking", -GB_EILLEGAL, "engine=blocking needs compute=inline",
		"iterative (");
	check_refused("thread-pool,compute=threads", -GB_EILLEGAL, "engine=blocking needs compute=inline",
		"multi-reactor-pool (");
	check_refused("reactor,compute-workers=2", -GB_EILLEGAL, "compute-workers needs compute=threads",
		"reactor (");
}

TEST(wake_needs_several_that_share)
{
	check_refused("reactor,wake=all", -GB_EILLEGAL, "wake needs accept=shared", "reactor (");
	check_refused("multi-reactor,wake=lock", -GB_EILLEGAL, "wake needs accept=shared", "multi-reactor (");
	check_refused("prefork-reactor,engine=poll,wake=exclusive", -GB_EILLEGAL, "wake=exclusive needs",
		"accept=shared,unit=process,workers=N,engine=poll,compute=inline");
	check_refused(
		"multi-proactor,accept=shared,wake=exclusive", -GB_EILLEGAL, "wake=exclusive needs", "");
	check_refused("prefork,workers=1,wake=all", -GB_EILLEGAL, "more than one worker",
		"accept=shared,unit=process,workers=1,engine=blocking,compute=inline");
}

TEST(place_needs_an_acceptor_with_an_event_engine)
{
	check_refused(
		"thread-pool,place=round-robin", -GB_EILLEGAL, "blocking workers pull", "thread-pool (");
	check_refused("prefork-reactor,place=hash", -GB_EILLEGAL, "place needs accept=acceptor",
		"prefork-reactor (");
}

TEST(batches_need_somebody_to_take_them)
{
	struct gb__model pool = parsed("thread-pool,accept-batch=16");

	CHECK(gb__model_legal(&pool));
	check_refused("proactor,accept-batch=16", -GB_EILLEGAL, "accept-batch needs", "proactor (");
	check_refused("prethread,accept-batch=16", -GB_EILLEGAL, "accept-batch above 1", "prethread (");
}

TEST(a_stack_is_legal_everywhere_since_coroutines_have_one)
{
	static const char *const specs[] = { "thread,stack=64KiB", "thread-pool,stack=64KiB",
		"multi-reactor,workers=1,stack=64KiB", "prethread,stack=64KiB", "reactor-pool,stack=64KiB",
		"prefork-reactor,compute=threads,stack=64KiB", "reactor,stack=64KiB", "prefork,stack=64KiB",
		"fork,stack=64KiB", "iterative,stack=64KiB", "proactor,stack=64KiB" };

	for (size_t i = 0; i < gb__countof(specs); i++) {
		struct gb__model model = parsed(specs[i]);

		if (!gb__model_legal(&model))
			test_fail(__FILE__, __LINE__, "%s is illegal", specs[i]);
	}
}

TEST(wakes_that_can_work_are_legal)
{
	static const char *const specs[] = { "prefork,wake=exclusive", "prefork-reactor,wake=exclusive",
		"prefork-reactor,engine=auto,wake=exclusive", "prefork-reactor,engine=busy,wake=lock",
		"prethread,wake=all", "multi-proactor,accept=shared,wake=all", "multi-reactor,place=hash",
		"multi-proactor,workers=1,place=random" };

	for (size_t i = 0; i < gb__countof(specs); i++) {
		struct gb__model model = parsed(specs[i]);

		if (!gb__model_legal(&model))
			test_fail(__FILE__, __LINE__, "%s is illegal", specs[i]);
	}
}

TEST(every_refusal_names_a_model_that_passes)
{
	for (unsigned i = 0; i < 3 * 2 * 3 * 7 * 2; i++) {
		static const unsigned workers[] = { 1, 2, GB__WORKERS_PER_CONNECTION };
		struct gb__model model = { .accept = i % 3,
			.unit = i / 3 % 2,
			.workers = workers[i / 6 % 3],
			.engine = i / 18 % 7,
			.compute = i / 126 };
		struct gb_error error = { 0 };
		struct gb__model better;
		const char *spec;
		char copy[GB__MODEL_SPEC_MAX];

		if (gb__model_check(&model, &error) == 0)
			continue;
		spec = strstr(error.text, "accept=acceptor,unit");
		spec = spec ? spec : strstr(error.text, "accept=shared,unit");
		spec = spec ? spec : strstr(error.text, "accept=reuseport,unit");
		CHECK(spec != NULL);
		snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(spec, ")"), spec);
		better = parsed(copy);
		CHECK_INT(gb__model_check(&better, NULL), 0);
	}
}

TEST(state_in_one_address_space_needs_threads_or_one_worker)
{
	static const struct gb_service chat = { GB_SERVICE_INIT, .name = "chat",
		.state = GB_STATE_ADDRESS_SPACE, .traits = GB_TRAIT_THREAD_SAFE };
	struct gb__model model;

	check_service_refused("prefork", &chat, true,
		"illegal model for chat: its state lives in one address space", "prethread (");
	check_service_refused("fork", &chat, true, "one address space", "thread (");
	check_service_refused("prefork-reactor,workers=4,unit=process", &chat, true, "one address space",
		"accept=shared,unit=thread,workers=4,engine=epoll,compute=inline");
	model = parsed("prefork,workers=1");
	CHECK_INT(gb__model_check_service(&model, &chat, true, NULL), 0);
	model = parsed("multi-reactor");
	CHECK_INT(gb__model_check_service(&model, &chat, true, NULL), 0);
}

TEST(state_in_one_address_space_needs_one_thread_or_thread_safety)
{
	static const struct gb_service room = { GB_SERVICE_INIT, .name = "room",
		.state = GB_STATE_ADDRESS_SPACE };
	static const struct gb_service locked = { GB_SERVICE_INIT, .name = "locked",
		.state = GB_STATE_ADDRESS_SPACE, .traits = GB_TRAIT_THREAD_SAFE };
	static const char *const beside[] = { "thread", "thread-pool", "prethread", "multi-reactor",
		"multi-proactor", "multi-reactor-reuseport", "reactor-pool", "proactor-pool",
		"multi-reactor-pool", "reactor-pool,compute-workers=1" };
	static const char *const alone[] = { "iterative", "reactor", "proactor", "prefork,workers=1",
		"accept=acceptor,unit=thread,workers=1,engine=epoll" };

	check_service_refused(
		"thread", &room, true, "illegal model for room: several threads run its handlers", "");
	check_service_refused("multi-reactor", &room, true, "GB_TRAIT_THREAD_SAFE",
		"accept=acceptor,unit=thread,workers=1,engine=epoll");
	check_service_refused("reactor-pool", &room, true, "a pool runs its handlers", "reactor (");
	for (size_t i = 0; i < gb__countof(beside); i++) {
		struct gb__model model = parsed(beside[i]);

		CHECK_INT(gb__model_check_service(&model, &room, true, NULL), -GB_EILLEGAL);
		CHECK_INT(gb__model_check_service(&model, &locked, true, NULL), 0);
	}
	for (size_t i = 0; i < gb__countof(alone); i++) {
		struct gb__model model = parsed(alone[i]);

		CHECK_INT(gb__model_check_service(&model, &room, true, NULL), 0);
	}
}

TEST(state_of_a_worker_needs_inline_or_thread_safety)
{
	static const struct gb_service cache = { GB_SERVICE_INIT, .name = "cache", .state = GB_STATE_WORKER };
	static const struct gb_service locked = { GB_SERVICE_INIT, .name = "locked", .state = GB_STATE_WORKER,
		.traits = GB_TRAIT_THREAD_SAFE };
	struct gb__model model = parsed("reactor-pool");

	check_service_refused("reactor-pool", &cache, true, "thread-safe", "reactor (");
	CHECK_INT(gb__model_check_service(&model, &locked, true, NULL), 0);
	model = parsed("reactor");
	CHECK_INT(gb__model_check_service(&model, &cache, true, NULL), 0);
}

static void no_part(struct gb_conn *conn, const struct gb_part *part)
{
	(void)conn;
	(void)part;
}

TEST(messages_in_parts_need_one_address_space)
{
	static const struct gb_service parted = { GB_SERVICE_INIT, .name = "parted", .state = GB_STATE_NONE,
		.codec = &gb_codec_line, .on_part = no_part };
	static const struct gb_route table[] = {
		{ "put", .text = "put", .on_part = no_part, .traits = GB_TRAIT_MAY_BLOCK }, { NULL }
	};
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_WORD, .table = table };
	static const struct gb_service routed = { GB_SERVICE_INIT, .name = "routed", .state = GB_STATE_NONE,
		.codec = &gb_codec_line, .routes = &routes };
	struct gb__model model = parsed("reactor-pool");

	check_service_refused("reactor,compute=processes", &parted, true, "in parts", "reactor-pool (");
	check_service_refused("reactor,compute=processes", &routed, true, "in parts", "reactor-pool (");
	CHECK_INT(gb__model_check_service(&model, &parted, true, NULL), 0);
	CHECK_INT(gb__model_check_service(&model, &routed, true, NULL), 0);
}

static void no_serve(struct gb_stream *stream)
{
	(void)stream;
}

TEST(straight_line_handlers_share_state_beside_a_pool_since_they_stay_on_their_worker)
{
	static const struct gb_service services[] = {
		{ GB_SERVICE_INIT, .name = "worker", .state = GB_STATE_WORKER, .serve = no_serve },
		{ GB_SERVICE_INIT, .name = "silent", .serve = no_serve },
		{ GB_SERVICE_INIT, .name = "space", .state = GB_STATE_ADDRESS_SPACE, .serve = no_serve },
	};
	struct gb__model model = parsed("reactor-pool");

	for (size_t i = 0; i < gb__countof(services); i++)
		CHECK_INT(gb__model_check_service(&model, &services[i], true, NULL), 0);
	/* One worker shares with nobody; who accepts for it may stay. */
	check_service_refused("multi-reactor-pool", &services[2], true, "workers=1",
		"accept=acceptor,unit=thread,workers=1,engine=epoll,compute=threads");
}

TEST(who_does_not_say_what_handlers_share_needs_inline_handlers)
{
	static const struct gb_service silent = { GB_SERVICE_INIT, .name = "silent" };
	static const struct gb_service none = { GB_SERVICE_INIT, .name = "none", .state = GB_STATE_NONE };
	static const struct gb_service safe = { GB_SERVICE_INIT, .name = "safe",
		.traits = GB_TRAIT_THREAD_SAFE };
	struct gb__model model = parsed("reactor-pool");

	check_service_refused("reactor-pool", &silent, true, "set .state", "reactor (");
	check_service_refused("multi-proactor-pool", &silent, true, "set .state", "multi-proactor (");
	CHECK_INT(gb__model_check_service(&model, &none, true, NULL), 0);
	CHECK_INT(gb__model_check_service(&model, &safe, true, NULL), 0);
	model = parsed("multi-reactor");
	CHECK_INT(gb__model_check_service(&model, &silent, true, NULL), 0);
}

TEST(state_of_a_worker_that_serves_one_connection_at_a_time_brings_a_warning)
{
	static const struct gb_service room = { GB_SERVICE_INIT, .name = "room", .state = GB_STATE_WORKER };
	static const struct gb_service alone = { GB_SERVICE_INIT, .name = "alone" };
	static const struct gb_service cache = { GB_SERVICE_INIT, .name = "cache", .state = GB_STATE_WORKER,
		.traits = GB_TRAIT_STATE_APART };
	static const char *const blocking[] = { "thread-pool", "prefork", "fork", "iterative" };
	struct gb__model model;
	struct gb_error error = { 0 };

	for (size_t i = 0; i < gb__countof(blocking); i++) {
		model = parsed(blocking[i]);
		CHECK_INT(gb__model_check_service(&model, &room, true, &error), 1);
		CHECK(strstr(error.text, "room shares state"));
		CHECK_INT(gb__model_check_service(&model, &alone, true, &error), 0);
		CHECK_INT(gb__model_check_service(&model, &cache, true, &error), 0);
	}
	model = parsed("multi-reactor");
	CHECK_INT(gb__model_check_service(&model, &room, true, &error), 0);
}

TEST(unix_sockets_refuse_reuseport)
{
	static const struct gb_service echo = { GB_SERVICE_INIT, .name = "echo" };
	struct gb__model model = parsed("multi-reactor-reuseport");

	CHECK_INT(gb__model_check_service(&model, &echo, true, NULL), 0);
	check_service_refused("multi-reactor-reuseport", &echo, false, "Unix sockets", "multi-reactor (");
	check_service_refused("prefork-reuseport", &echo, false, "Unix sockets", "process-pool-reactor (");
}

TEST(handlers_that_may_block_bring_a_warning_on_event_engines)
{
	static const struct gb_service slow = { GB_SERVICE_INIT, .name = "slow", .state = GB_STATE_NONE,
		.traits = GB_TRAIT_MAY_BLOCK };
	struct gb__model model = parsed("reactor");
	struct gb_error error = { 0 };

	CHECK_INT(gb__model_check_service(&model, &slow, true, &error), 1);
	CHECK(strstr(error.text, "slow may block: under engine=epoll"));
	CHECK_INT(gb__model_check_service(&model, &slow, true, NULL), 1);
	model = parsed("thread-pool");
	CHECK_INT(gb__model_check_service(&model, &slow, true, &error), 0);
	model = parsed("reactor-pool");
	CHECK_INT(gb__model_check_service(&model, &slow, true, &error), 0);
}
