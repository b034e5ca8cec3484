/* `gearbox serve`: finds the built-in service; gb_main does the rest, as it does for anybody's program. */
#include "command.h"

#include "services.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 14u
#define SERVICES_MAX 64

static void list_names(const char **names, size_t max)
{
	size_t count = 0;

	for (; gb_services[count] && count + 1 < max; count++)
		names[count] = gb_services[count]->name;
	names[count] = NULL;
}

static int refuse(const char *name)
{
	const char *names[SERVICES_MAX], *nearest;
	char list[256] = "";
	size_t used = 0;

	list_names(names, SERVICES_MAX);
	nearest = name ? gb_args_nearest(name, names) : NULL;
	if (nearest)
		return command_fail(
			EXIT_WRONG_USAGE, "unknown service \"%s\": did you mean \"%s\"?", name, nearest);
	for (size_t i = 0; names[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
			i == 0                 ? ""
				: names[i + 1] ? ", "
					       : " or ",
			names[i]);
	if (name)
		return command_fail(EXIT_WRONG_USAGE, "unknown service \"%s\": write %s", name, list);
	return command_fail(EXIT_WRONG_USAGE, "serve needs a service, before any flag: write %s", list);
}

static void print_help(void)
{
	puts("Usage: gearbox serve SERVICE --listen ADDRESS [FLAG ...]\n\nServices:");
	for (const struct gb_service *const *service = gb_services; *service; service++) {
		char left[64];

		snprintf(left, sizeof(left), "  %s", (*service)->name);
		gb_args_row(stdout, left, HELP_COLUMN, (*service)->summary);
	}
	puts("\n\"gearbox serve SERVICE --help\" lists the flags and the service's settings.");
}

int command_serve(int argc, char **argv)
{
	const struct gb_service *service;
	char name[96];

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_help();
		return EXIT_DONE;
	}
	if (argc < 2 || argv[1][0] == '-')
		return refuse(NULL);
	service = gb_service_find(argv[1]);
	if (!service)
		return refuse(argv[1]);
	snprintf(name, sizeof(name), "gearbox serve %s", service->name);
	argv[1] = name;
	return gb_main(argc - 1, argv + 1, service);
}
