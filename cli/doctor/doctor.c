/* `gearbox doctor`: what this machine allows, what to change, and what basic operations cost on it. */
#include "command.h"
#include "descriptors.h"
#include "doctor/costs.h"
#include "doctor/diagnosis.h"
#include "doctor/memory.h"
#include "doctor/report.h"

#include <stdlib.h>

static const uint64_t targets_usual[] = { 10000, 1000000 };
#define TARGETS_USUAL (sizeof(targets_usual) / sizeof(*targets_usual))
_Static_assert(TARGETS_USUAL <= DIAGNOSIS_TARGETS_MAX, "they fit");

struct doctor_flags {
	uint64_t connections;
	bool costs, json, help;
};

static const struct gb_setting flags_table[] = {
	{ "connections", GB_SETTING_COUNT, offsetof(struct doctor_flags, connections), .min = 1,
		.max = 1000000000, .argument = "N",
		.summary = "say what to change for so many (default 10000, and 1000000)" },
	{ "costs", GB_SETTING_SWITCH, offsetof(struct doctor_flags, costs),
		.summary = "measure as well what models are made of; takes some seconds" },
	{ "json", GB_SETTING_SWITCH, offsetof(struct doctor_flags, json), .summary = "print JSON" },
	{ "help", GB_SETTING_SWITCH, offsetof(struct doctor_flags, help), .summary = "print this help" },
	{ NULL },
};

static void print_help(void)
{
	const struct gb_args_table tables[] = { { "Flags:", flags_table }, { NULL, NULL } };

	printf("Usage: %s doctor [--connections N] [--costs] [--json]\n\n"
	       "Says what this machine allows and what to change for so many connections: first in a few sentences, then\n"
	       "in detail. Each row has a verdict:\n"
	       "ok, limits (too little for a target, or costs what the note says), cannot (does not work here).\n"
	       "It changes nothing, and opens connections to itself over loopback only.\n\n",
		gb__program.name);
	gb_args_help(stdout, tables);
	puts("\nExit codes: 0 whatever it found, 1 when it could not look, 2 wrong usage.");
}

static int print_json(const struct facts *facts, const struct diagnosis *diagnosis, const struct costs *costs)
{
	json_t *object = gb__diagnosis_json(facts, diagnosis);

	if (costs)
		gb__costs_json(object, costs);
	return gb__json_print(object);
}

static int examine(const struct doctor_flags *flags)
{
	static struct diagnosis diagnosis; /* one command, one diagnosis; too large for a small stack */
	struct facts facts;
	struct gb__uring_probe uring = { 0 };
	struct costs *costs = NULL;
	int rc;

	gb__facts_read("", &facts);
	gb__facts_ask(&facts);
	rc = gb__uring_probe(&uring);
	if (rc < 0)
		return gb__command_fail(EXIT_FAILED,
			"doctor: cannot try io_uring in a process of its own: %s", gb_strerror(rc));
	gb__descriptors_claim_all(); /* as a server would, for what is measured; the facts were read before */
	gb__memory_measure(&facts);
	gb__diagnose(&facts, &uring, flags->connections ? &flags->connections : targets_usual,
		flags->connections ? 1 : TARGETS_USUAL, &diagnosis);
	if (flags->costs) {
		rc = gb__costs_measure(uring.code == 0, &costs);
		if (rc < 0)
			return gb__command_fail(EXIT_FAILED, "doctor: %s", gb_strerror(rc));
	}
	if (flags->json) {
		rc = print_json(&facts, &diagnosis, costs);
	} else {
		gb__diagnosis_text(stdout, &facts, &diagnosis);
		if (costs)
			gb__costs_text(stdout, costs);
	}
	gb__costs_destroy(costs);
	return flags->json ? rc : EXIT_DONE;
}

int gb__command_doctor(int argc, char **argv)
{
	struct doctor_flags flags;
	struct gb_error error;
	int rc = gb_settings_init(flags_table, &flags, sizeof(flags));

	if (rc < 0)
		return gb__command_fail(EXIT_FAILED, "%s", gb_strerror(rc));
	rc = gb_args_parse(argc - 1, argv + 1, flags_table, &flags, NULL, 0, &error);
	if (rc < 0)
		return gb__command_fail(EXIT_WRONG_USAGE, "doctor: %s", error.text);
	if (flags.help) {
		print_help();
		return EXIT_DONE;
	}
	return examine(&flags);
}
