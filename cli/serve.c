/* `serve`: finds the service; gb_serve_main_services does the rest. */
#include "command.h"
#include "object.h"
#include "watch.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 14u
#define SERVICES_MAX 64

static void list_names(const char *ret_names[SERVICES_MAX])
{
	size_t count = 0;

	for (; gb__program.services[count] && count + 1 < SERVICES_MAX; count++)
		ret_names[count] = gb__program.services[count]->name;
	ret_names[count] = NULL;
}

static int refuse(const char *name)
{
	const char *names[SERVICES_MAX], *nearest;
	char list[256] = "";
	size_t used = 0;

	list_names(names);
	nearest = name ? gb_args_nearest(name, names) : NULL;
	if (nearest)
		return gb__command_fail(
			EXIT_WRONG_USAGE, "unknown service \"%s\": did you mean \"%s\"?", name, nearest);
	for (size_t i = 0; names[i] && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
			i == 0                 ? ""
				: names[i + 1] ? ", "
					       : " or ",
			names[i]);
	if (name)
		return gb__command_fail(EXIT_WRONG_USAGE, "unknown service \"%s\": write %s", name, list);
	return gb__command_fail(EXIT_WRONG_USAGE, "serve needs a service, before any flag: write %s", list);
}

static void print_help(void)
{
	printf("Usage: %s serve SERVICE --listen ADDRESS [FLAG ...]\n\nServices:\n", gb__program.name);
	for (const struct gb_service *const *service = gb__program.services; *service; service++) {
		char left[64];

		snprintf(left, sizeof(left), "  %s", (*service)->name);
		gb_args_row(stdout, left, HELP_COLUMN, (*service)->summary ? (*service)->summary : "");
	}
	printf("\n\"%s help serve SERVICE\" lists the flags and the service's settings.\n"
	       "In the place of a service stands the path of a shared object with a handler, such as ./handler.so; with --watch\n"
	       "it is served anew when it changes.\n",
		gb__program.name);
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

/* Flags alone are those of serve, so that its help is the first that anybody sees. */
static int serve_one(int argc, char **argv)
{
	const bool help = wants_help(argc, argv);
	int exit_code;

	argv[0] = gb__program.name;
	exit_code = gb_serve_main(argc, argv, gb__program.services[0]);
	if (help && exit_code == EXIT_DONE)
		printf("\n\"%s help\" lists the other commands: to verify, to load, and more.\n",
			gb__program.name);
	return exit_code;
}

/* As the program's name, with what it serves. A base name: what comes before a slash would be taken for its folder. */
static char *name_of(const char *service)
{
	static char name[PROGRAM_NAME_MAX + 96]; /* as long as the arguments, which it joins */
	const char *slash = strrchr(service, '/');

	snprintf(name, sizeof(name), "%s serve %s", gb__program.name, slash ? slash + 1 : service);
	return name;
}

static int serve_object(int argc, char **argv)
{
	const bool help = wants_help(argc, argv);
	const struct gb_service *service;
	const char *path = argv[0];
	struct gb_error error;
	int exit_code;

	argv[0] = name_of(path);
	if (gb__watch_wanted(&argc, argv) && !help)
		return gb__watch_serve(argc, argv, path);
	if (gb__object_load(path, &service, &error) < 0)
		return gb__command_fail(EXIT_WRONG_USAGE, "%s", error.text);
	exit_code = gb_serve_main_services(argc, argv, service, gb__program.services);
	if (help && exit_code == EXIT_DONE)
		printf("\nWith --watch it is served anew whenever the file of the object changes.\n");
	return exit_code;
}

int gb__command_serve(int argc, char **argv)
{
	const struct gb_service *service;

	if (gb__program.one)
		return serve_one(argc, argv);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_help();
		return EXIT_DONE;
	}
	if (argc < 2 || argv[1][0] == '-')
		return refuse(NULL);
	if (gb__object_named(argv[1]))
		return serve_object(argc - 1, argv + 1);
	service = gb__program_service(argv[1]);
	if (!service)
		return refuse(argv[1]);
	argc--;
	argv++;
	if (gb__watch_wanted(&argc, argv))
		return gb__command_fail(EXIT_WRONG_USAGE,
			"--watch is for a shared object, which may change: write its path in the place of \"%s\", as ./handler.so",
			argv[0]);
	argv[0] = name_of(argv[0]);
	return gb_serve_main_services(argc, argv, service, gb__program.services);
}
