#include "compare/sweep.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>

static struct gb_error error;

static struct compare_axis sweep(const char *text)
{
	struct compare_axis axis;

	CHECK_INT(gb__compare_sweep_parse(text, &axis, &error), 0);
	return axis;
}

static void refused(const char *text, const char *word)
{
	struct compare_axis axis;

	CHECK_INT(gb__compare_sweep_parse(text, &axis, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, word));
	gb__compare_sweep_finish(&axis);
}

TEST(a_sweep_is_an_axis_and_its_values)
{
	struct compare_axis axis = sweep("connections=1,10,100");

	CHECK_STR(axis.name, "connections");
	CHECK_INT(axis.count, 3);
	CHECK(axis.flag);
	CHECK(axis.steps[2].number == 100);
	gb__compare_sweep_finish(&axis);
}

TEST(values_have_units)
{
	struct compare_axis axis = sweep("size=64,4KiB,1MiB");

	CHECK(axis.steps[1].number == 4096 && axis.steps[2].number == 1048576);
	CHECK_STR(axis.steps[1].text, "4KiB");
	gb__compare_sweep_finish(&axis);
	axis = sweep("compute=50us,1ms");
	CHECK(axis.steps[0].number == 50 && axis.steps[1].number == 1000);
	CHECK_STR(axis.unit, "µs");
	gb__compare_sweep_finish(&axis);
	axis = sweep("workers=1,2");
	CHECK(!axis.flag);
	gb__compare_sweep_finish(&axis);
}

TEST(what_is_no_sweep_is_refused)
{
	refused("conections=1", "did you mean \"connections");
	refused("colour=1", "connections, rate, size");
	refused("rate", "rate");
	refused("rate=", "rate");
	refused("rate=1,,2", "not a number");
	refused("rate=fast", "not a number");
	refused("rate=-1", "not a number");
	refused("rate=2,1", "ascending");
	refused("rate=1,1", "ascending");
}

static void models(const char *text, const char *const *wanted)
{
	char *list[16];
	size_t count = 0, expected = 0;

	CHECK_INT(gb__compare_models_split(text, list, &count, 16, &error), 0);
	for (; wanted[expected]; expected++)
		CHECK_STR(expected < count ? list[expected] : "", wanted[expected]);
	CHECK_INT(count, expected);
	while (count > 0)
		free(list[--count]);
}

TEST(a_word_without_equals_begins_a_model)
{
	models("reactor", (const char *[]){ "reactor", NULL });
	models("reactor,thread-pool", (const char *[]){ "reactor", "thread-pool", NULL });
	models("reactor,engine=poll,workers=2,thread-pool",
		(const char *[]){ "reactor,engine=poll,workers=2", "thread-pool", NULL });
}

TEST(so_does_a_second_accept_and_a_semicolon)
{
	models("accept=shared,unit=thread,accept=reuseport,unit=process",
		(const char *[]){ "accept=shared,unit=thread", "accept=reuseport,unit=process", NULL });
	models("workers=2;engine=poll", (const char *[]){ "workers=2", "engine=poll", NULL });
}

TEST(a_model_that_is_missing_is_refused)
{
	char *list[2];
	size_t count = 0;

	CHECK_INT(gb__compare_models_split("", list, &count, 2, &error), -GB_EUSAGE);
	CHECK_INT(gb__compare_models_split("a,,b", list, &count, 2, &error), -GB_EUSAGE);
	while (count > 0)
		free(list[--count]);
	CHECK_INT(gb__compare_models_split("a,b,c", list, &count, 2, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "at most 2"));
	while (count > 0)
		free(list[--count]);
}
