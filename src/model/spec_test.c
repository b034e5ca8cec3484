#include "model/spec.h"

#include "base/macros.h"
#include "model/legality.h"

#include "harness.h"

static struct gb__model parsed(const char *spec)
{
	struct gb__model model;
	struct gb_error error = { 0 };

	if (gb__model_parse(spec, &model, &error) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", spec, error.text);
	return model;
}

static void check_format(const char *spec, const char *expected)
{
	struct gb__model model = parsed(spec), again;
	char text[GB__MODEL_SPEC_MAX];

	CHECK_INT(gb__model_format(&model, text, sizeof(text)), strlen(expected));
	CHECK_STR(text, expected);
	again = parsed(text);
	CHECK(gb__model_equal(&model, &again));
}

static void check_refused(const char *spec, const char *part)
{
	struct gb__model model = { .workers = 77 };
	struct gb_error error = { 0 };

	CHECK_INT(gb__model_parse(spec, &model, &error), -GB_EUSAGE);
	CHECK_INT(error.code, -GB_EUSAGE);
	CHECK_INT(model.workers, 77); /* untouched */
	if (!strstr(error.text, part))
		test_fail(__FILE__, __LINE__, "%s: \"%s\" lacks \"%s\"", spec, error.text, part);
	CHECK(!strchr(error.text, '\n'));
}

TEST(presets_have_unique_names_and_say_everything)
{
	size_t count = 0;

	for (const struct gb_preset *a = gb__presets; a->name; a++, count++) {
		CHECK(a->axes && a->summary && a->use && a->avoid);
		CHECK(!strstr(a->name, "pool") || strstr(a->name, "process-pool-reactor") || a->size);
		for (const struct gb_preset *b = gb__presets; b < a; b++) {
			CHECK(strcmp(a->name, b->name) != 0);
			CHECK(strcmp(a->axes, b->axes) != 0);
			CHECK(!a->alias || strcmp(a->alias, b->name) != 0);
			CHECK(!b->alias || strcmp(b->alias, a->name) != 0);
		}
	}
	CHECK_INT(count, 20);
}

TEST(presets_are_legal_and_written_in_canonical_form)
{
	for (const struct gb_preset *preset = gb__presets; preset->name; preset++) {
		struct gb__model model = parsed(preset->name);
		char text[GB__MODEL_SPEC_MAX];

		CHECK(gb__model_legal(&model));
		CHECK_INT(model.given, 0);
		gb__model_format(&model, text, sizeof(text));
		CHECK_STR(text, preset->axes);
		gb__model_name(&model, text, sizeof(text));
		CHECK_STR(text, preset->name);
		if (preset->alias) {
			struct gb__model other = parsed(preset->alias);

			CHECK(gb__model_equal(&model, &other));
		}
	}
}

TEST(presets_that_run_are_listed_in_order)
{
	const struct gb_preset *preset = NULL, *before = NULL;
	static const char *const wanted[] = { "iterative", "fork", "thread-pool", "reactor", "multi-reactor",
		"proactor" };
	size_t found = 0;

	while ((preset = gb_preset_next(preset))) {
		struct gb__model model = parsed(preset->name);

		CHECK(!before || before < preset);
		before = preset;
		CHECK_INT(gb__model_check(&model, NULL), 0);
		if (found < gb__countof(wanted) && strcmp(preset->name, wanted[found]) == 0)
			found++;
	}
	CHECK_INT(found, gb__countof(wanted));
}

TEST(preset_takes_overrides)
{
	struct gb__model model = parsed("reactor,engine=poll,workers=3,accept-batch=8,stack=1MiB");

	CHECK_INT(model.accept, GB__ACCEPT_SHARED);
	CHECK_INT(model.engine, GB__ENGINE_POLL);
	CHECK_INT(model.workers, 3);
	CHECK_INT(model.accept_batch, 8);
	CHECK_INT(model.stack, 1 << 20);
	CHECK_INT(model.given,
		1u << GB__KEY_ENGINE | 1u << GB__KEY_WORKERS | 1u << GB__KEY_ACCEPT_BATCH |
			1u << GB__KEY_STACK);
}

TEST(axes_alone_make_a_model)
{
	struct gb__model model = parsed("accept=shared,unit=process,workers=4,engine=select");

	CHECK_INT(model.accept, GB__ACCEPT_SHARED);
	CHECK_INT(model.unit, GB__UNIT_PROCESS);
	CHECK_INT(model.workers, 4);
	CHECK_INT(model.engine, GB__ENGINE_SELECT);
	CHECK_INT(model.compute, GB__COMPUTE_INLINE);
}

TEST(axes_not_said_are_those_of_the_default_model)
{
	check_format("workers=3", "accept=shared,unit=thread,workers=3,engine=epoll,compute=inline");
	check_format("engine=poll", "accept=shared,unit=thread,workers=1,engine=poll,compute=inline");
	check_format("unit=process", "accept=shared,unit=process,workers=1,engine=epoll,compute=inline");
	check_format("accept=acceptor,workers=N",
		"accept=acceptor,unit=thread,workers=N,engine=epoll,compute=inline");
	check_format("workers=per-connection",
		"accept=acceptor,unit=thread,workers=per-connection,engine=blocking,compute=inline");
	check_format("workers=per-connection,engine=auto",
		"accept=acceptor,unit=thread,workers=per-connection,engine=blocking,compute=inline");
	check_format(
		"place=hash", "accept=acceptor,unit=thread,workers=1,engine=epoll,compute=inline,place=hash");
	check_format("workers=2,compute-workers=3",
		"accept=shared,unit=thread,workers=2,engine=epoll,compute=threads,compute-workers=3");
	check_format("compute-workers=auto,workers=1",
		"accept=shared,unit=thread,workers=1,engine=epoll,compute=threads");
	check_format("workers=per-connection,compute=threads",
		"accept=acceptor,unit=thread,workers=per-connection,engine=blocking,compute=threads");
}

TEST(format_round_trips_every_key)
{
	check_format("prefork-reuseport,workers=17,accept-batch=3",
		"accept=reuseport,unit=process,workers=17,engine=epoll,compute=inline,accept-batch=3");
	check_format(
		"multi-reactor-pool,place=least-connections,stack=65KiB,compute-workers=12,accept-batch=4096",
		"accept=acceptor,unit=thread,workers=N,engine=epoll,compute=threads,place=least-connections,"
		"accept-batch=4096,stack=65KiB,compute-workers=12");
	check_format("prefork,wake=exclusive",
		"accept=shared,unit=process,workers=N,engine=blocking,compute=inline,wake=exclusive");
}

TEST(longest_spec_fits)
{
	check_format(
		"accept=reuseport,unit=process,workers=per-connection,engine=io_uring,compute=threads,"
		"wake=exclusive,place=least-connections,accept-batch=4096,stack=1048575KiB,compute-workers=4096",
		"accept=reuseport,unit=process,workers=per-connection,engine=io_uring,compute=threads,"
		"wake=exclusive,place=least-connections,accept-batch=4096,stack=1048575KiB,compute-workers=4096");
}

TEST(name_is_the_preset_without_overrides)
{
	struct gb__model model;
	char text[GB__MODEL_SPEC_MAX];

	model = parsed("accept=shared,unit=thread,workers=1,engine=epoll");
	gb__model_name(&model, text, sizeof(text));
	CHECK_STR(text, "reactor");
	model = parsed("reactor,engine=poll");
	gb__model_name(&model, text, sizeof(text));
	CHECK_STR(text, "accept=shared,unit=thread,workers=1,engine=poll,compute=inline");
	model = parsed("reactor,engine=auto");
	model.engine = GB__ENGINE_IO_URING; /* as a server settles it */
	gb__model_name(&model, text, sizeof(text));
	CHECK_STR(text, "proactor");
}

TEST(wrong_presets_are_refused_with_the_nearest)
{
	check_refused("", "empty");
	check_refused("reacter", "did you mean \"reactor\"?");
	check_refused("main-subreactor", "did you mean \"main-sub-reactor\"?");
	check_refused("zzzzzzzz", "gearbox models");
	check_refused("Reactor", "did you mean \"reactor\"?");
	check_refused("reactor\n", "did you mean \"reactor\"?");
}

TEST(wrong_items_are_refused_with_what_would_be_right)
{
	char huge[4096];

	check_refused("reactor,", "empty item");
	check_refused(",engine=poll", "empty item");
	check_refused("reactor,,workers=1", "empty item");
	check_refused("reactor,epoll", "not key=value");
	check_refused("reactor,proactor", "not key=value");
	check_refused("reactor,engin=poll", "did you mean \"engine\"?");
	check_refused("reactor,colour=red", "known are accept, unit");
	check_refused("=epoll", "unknown key");
	check_refused("engine=", "engine= is unknown: write auto, blocking");
	check_refused("engine=kqueue", "write auto, blocking, busy, select, poll, epoll or io_uring");
	check_refused("unit=fiber", "write thread or process");
	check_refused("workers=0", "write a number from 1 to 4096, N");
	check_refused("workers=4097", "from 1 to 4096");
	check_refused("workers=-1", "from 1 to 4096");
	check_refused("workers=99999999999999999999", "from 1 to 4096");
	check_refused("workers=n", "from 1 to 4096");
	check_refused("stack=1", "64KiB to 1GiB");
	check_refused("stack=2GiB", "64KiB to 1GiB");
	check_refused("compute-workers=0", "or auto");
	check_refused("engine=poll,engine=epoll", "engine is given twice");
	check_refused("reactor,engine=poll,engine=poll", "engine is given twice");
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	check_refused(huge, "is not a preset or key=value");
}
