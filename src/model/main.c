/*
 * `serve`, as a program around a service, and others beside it. The command line is walked three times: for --help, which must work
 * beside anything else; for --config, so that flags override files wherever they stand; then for the flags.
 */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/nearest.h"
#include "model/config.h"
#include "model/listen_spec.h"
#include "model/options.h"
#include "model/server.h"
#include "model/summary.h"
#include "os/limit.h"
#include "os/notify.h"
#include "os/passed.h"
#include "os/process.h"
#include "os/signal.h"

#include <gearbox/args.h>
#include <gearbox/main.h>
#include <gearbox/notify.h>
#include <gearbox/server.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 64   /* of the program's name in messages */
#define SETTING_KEY_MAX 64  /* bytes of a service setting's key, terminator included */
#define SETTINGS_COLUMN 30u /* where help explains a service's settings */

#define STUCK_SECONDS 5u /* beyond the deadline, for handlers that do not return; worker processes get one */
#define STUCK_TEXT_MAX 192

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 2 };

static const struct gb_setting own_flags[] = {
	{ "listen", GB_SETTING_TEXT, 0, .argument = "ADDRESS", .repeated = true,
		.summary =
			"serve on HOST:PORT (port 0: a free one; host *: every address), unix:PATH, with packets "
			"unix-seqpacket:PATH, or a socket that was passed in, fd:N, fd:NAME or systemd, with options of its own behind it as "
			"ADDRESS,KEY=VALUE; may be repeated" },
	{ "set", GB_SETTING_TEXT, 0, .argument = "[SERVICE.]KEY=VALUE", .repeated = true,
		.summary = "a setting of the service, or of another that --listen names; may be repeated" },
	{ "summary", GB_SETTING_SWITCH, 0,
		.summary =
			"print counters as JSON when it ends; SIGUSR1 has them printed to standard error" },
	{ NULL },
};
static const struct gb_setting line_flags[] = {
	{ "config", GB_SETTING_TEXT, 0, .argument = "FILE",
		.summary = "read flags from a file of \"key value\" lines, e.g. \"listen 127.0.0.1:7000\"; "
			   "the command line overrides it" },
	{ "help", GB_SETTING_SWITCH, 0, .summary = "print this help" },
	{ NULL },
};
static const struct gb_args_table flag_tables[] = { { "What to serve:", own_flags }, { NULL, line_flags },
	{ "How to serve it:", gb_option_settings }, { NULL, NULL } };
/* What a file may say. */
static const struct gb_args_table file_tables[] = { { NULL, own_flags }, { NULL, gb_option_settings },
	{ NULL, NULL } };

/* A service that the program may serve. */
struct offer {
	const struct gb_service *service;
	void *user;   /* what its settings fill, once it is used */
	bool used;    /* `user` is there */
	uint64_t set; /* settings given in this walk, a bit for each of the first 64 */
};

struct address {
	char *text; /* without the service */
	struct offer *offer;
};

struct program {
	int argc;
	char **argv;               /* without the name */
	const char *invocation;    /* for the usage line: "gearbox serve echo" */
	char name[NAME_MAX_BYTES]; /* for messages: "gearbox" */
	struct offer *offers; /* the first is the program's, the others are served where an address says so */
	size_t offers_count;
	struct address *addresses;
	size_t address_count;
	bool addresses_of_file; /* which those of the command line replace */
	struct gb_options *options;
	struct gb_server *server;
	bool summary; /* wanted */
};

/* The one server that signals stop; NULL while there is none. */
static _Atomic(struct gb_server *) served;

static _Atomic unsigned stop_signals;   /* that came while it was served */
static unsigned drain_seconds;          /* until the deadline, rounded up */
static char stuck_text[STUCK_TEXT_MAX]; /* what on_stuck says */

/*
 * A thread whose handler does not return cannot be ended, and the server waits for it: longer than promised
 * nobody shall wait for the program. Worker processes go with it.
 */
static void on_stuck(void *arg)
{
	gb__process_die(stuck_text, EXIT_FAILED);
}

static void on_stop_signal(void *arg)
{
	struct gb_server *server = atomic_load(&served);

	if (!server)
		return;
	gb_server_stop(server);
	alarm(atomic_fetch_add(&stop_signals, 1) == 0 ? drain_seconds + STUCK_SECONDS : STUCK_SECONDS);
}

static void on_asked(void *arg)
{
	struct gb_server *server = atomic_load(&served);

	if (server)
		gb__server_ask(server);
}

/* They stay for the rest of the program: a signal that comes after the drain must not change its exit code. */
static int install_signals(struct gb_error *error)
{
	static bool installed;
	int rc;

	if (installed)
		return 0;
	gb__signal_quiet(SIGPIPE);
	rc = gb__signal_subscribe(SIGTERM, on_stop_signal, NULL);
	/* A shell has what it starts in the background ignore the signals of its terminal. */
	if (rc >= 0 && !gb__signal_ignored(SIGINT))
		rc = gb__signal_subscribe(SIGINT, on_stop_signal, NULL);
	if (rc >= 0)
		rc = gb__signal_subscribe(SIGUSR1, on_asked, NULL);
	if (rc >= 0)
		rc = gb__signal_subscribe(SIGALRM, on_stuck, NULL);
	if (rc < 0)
		return gb_error_set(error, rc, "cannot handle signals: %s", gb_strerror(rc));
	installed = true;
	return 0;
}

static int fail(int exit_code, const struct gb_error *error)
{
	gb__log_say(GB__LOG_ERROR, error->text);
	return exit_code;
}

/* Whether a code says that the command line is at fault, and not the machine. */
static int exit_code_of(int code)
{
	return code == -GB_EUSAGE || code == -GB_EILLEGAL ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

static bool has_settings(const struct gb_service *service)
{
	return service->settings && service->settings->key;
}

static void print_settings(const struct gb_service *service)
{
	printf("\nSettings of %s:\n", service->name);
	for (const struct gb_setting *row = service->settings; row->key; row++) {
		char left[128], right[512];

		snprintf(left, sizeof(left), "  --set %s=%s", row->key,
			row->argument          ? row->argument
				: row->choices ? row->choices
					       : "VALUE");
		snprintf(right, sizeof(right), "%s%s%s%s", row->summary ? row->summary : "",
			row->fallback ? " (default " : "", row->fallback ? row->fallback : "",
			row->fallback ? ")" : "");
		gb_args_row(stdout, left, SETTINGS_COLUMN, right);
	}
}

/* A list of words behind a title, broken where it is long. */
static void print_list(const char *title, const char *words)
{
	printf("\n%s\n", title);
	gb_args_row(stdout, "", 2, words);
}

static void print_per_address(void)
{
	char words[1024] = "";
	size_t used = 0;

	for (const struct gb_setting *row = gb_option_settings; row->key && used < sizeof(words); row++)
		if (row->per_address)
			used += (size_t)snprintf(
				words + used, sizeof(words) - used, "%s%s", used ? ", " : "", row->key);
	print_list("Of these an address may have its own, as --listen ADDRESS,KEY=VALUE:", words);
}

static void print_others(const struct program *program)
{
	char words[1024] = "";
	size_t used = 0;

	for (size_t i = 1; i < program->offers_count && used < sizeof(words); i++)
		used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%s", used ? ", " : "",
			program->offers[i].service->name);
	print_list("Beside it, as --listen SERVICE=ADDRESS with --set SERVICE.KEY=VALUE:", words);
}

static void print_help(const struct program *program)
{
	const struct gb_service *service = program->offers->service;
	struct gb_setting own[gb__countof(own_flags)];
	struct gb_args_table tables[gb__countof(flag_tables)];
	size_t count = 0;

	for (size_t i = 0; i < gb__countof(own_flags); i++)
		if (has_settings(service) || program->offers_count > 1 || !own_flags[i].key ||
			strcmp(own_flags[i].key, "set") != 0)
			own[count++] = own_flags[i];
	memcpy(tables, flag_tables, sizeof(tables));
	tables[0].settings = own;
	printf("Usage: %s --listen ADDRESS [FLAG ...]\n\n%s: %s\n\n", program->invocation, service->name,
		service->summary ? service->summary : "a service");
	gb_args_help(stdout, tables);
	print_per_address();
	if (has_settings(service))
		print_settings(service);
	if (program->offers_count > 1)
		print_others(program);
}

/* Its settings have their defaults then. */
static int use(struct offer *offer, struct gb_error *error)
{
	const struct gb_service *service = offer->service;
	int rc = 0;

	if (offer->used || service->settings_size == 0)
		return 0;
	offer->user = gb__alloc_zero(service->settings_size);
	if (!offer->user)
		rc = -ENOMEM;
	else if (service->settings)
		rc = gb_settings_init(service->settings, offer->user, service->settings_size);
	if (rc < 0) {
		gb__free(offer->user);
		return gb_error_set(error, rc, "cannot start: %s", gb_strerror(rc));
	}
	offer->used = true;
	return 0;
}

/* The service of that name, of the others as well. */
static int find_offer(const struct program *program, const char *name, size_t length, struct offer **ret,
	struct gb_error *error)
{
	struct gb__nearest nearest;
	char wanted[NAME_MAX_BYTES], list[384] = "";
	size_t used = 0;

	snprintf(wanted, sizeof(wanted), "%.*s", (int)length, name);
	gb__nearest_init(&nearest, wanted);
	for (size_t i = 0; i < program->offers_count; i++) {
		const char *known = program->offers[i].service->name;

		if (strlen(known) == length && memcmp(known, name, length) == 0) {
			*ret = &program->offers[i];
			return 0;
		}
		gb__nearest_offer(&nearest, known);
		if (used < sizeof(list))
			used += (size_t)snprintf(
				list + used, sizeof(list) - used, "%s%s", used ? ", " : "", known);
	}
	if (nearest.word)
		return gb_error_set(error, -GB_EUSAGE, "unknown service \"%s\": did you mean \"%s\"?", wanted,
			nearest.word);
	return gb_error_set(error, -GB_EUSAGE, "unknown service \"%s\": there %s %s", wanted,
		program->offers_count > 1 ? "are" : "is only", list);
}

static int set_service_setting(struct program *program, const char *pair, struct gb_error *error)
{
	const char *equals = strchr(pair, '='), *dot = strchr(pair, '.');
	struct offer *offer = program->offers;
	const struct gb_setting *table, *row;
	char key[SETTING_KEY_MAX];
	uint64_t bit;
	int rc = 0;

	if (equals && dot && dot < equals) {
		rc = find_offer(program, pair, (size_t)(dot - pair), &offer, error);
		pair = dot + 1;
	}
	if (rc < 0)
		return rc;
	table = offer->service->settings;
	if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof(key))
		return gb_error_set(error, -GB_EUSAGE, "set %s: write KEY=VALUE", pair);
	if (!table || !table->key)
		return gb_error_set(
			error, -GB_EUSAGE, "set %s: %s has no settings", pair, offer->service->name);
	snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
	row = gb_settings_find(table, key);
	bit = row && row - table < 64 ? 1ull << (row - table) : 0;
	if (offer->set & bit && !row->repeated)
		return gb_error_set(error, -GB_EUSAGE, "set %s is given twice: write it once", key);
	offer->set |= bit;
	rc = use(offer, error);
	return rc < 0 ? rc : gb_settings_set(table, offer->user, key, equals + 1, error);
}

static void forget_addresses(struct program *program)
{
	while (program->address_count > 0)
		gb__free(program->addresses[--program->address_count].text);
	gb__free(program->addresses);
	program->addresses = NULL;
}

/* "ADDRESS" or "SERVICE=ADDRESS". */
static int add_address(struct program *program, const char *text, struct gb_error *error)
{
	const size_t name = gb__listen_service_length(text);
	struct offer *offer = program->offers;
	struct address *grown;
	int rc = name ? find_offer(program, text, name, &offer, error) : 0;

	if (rc == 0)
		rc = use(offer, error);
	if (rc < 0)
		return rc;
	grown = gb__realloc(program->addresses, (program->address_count + 1) * sizeof(*grown));
	if (grown) {
		program->addresses = grown;
		grown[program->address_count].text = gb__strdup(text + name + (name > 0));
		grown[program->address_count].offer = offer;
		if (grown[program->address_count].text) {
			program->address_count++;
			return 0;
		}
	}
	return gb_error_set(error, -ENOMEM, "no memory for another address");
}

/* A flag of serve, or the same from a file. */
static int take(void *arg, const struct gb_setting *row, const char *value, struct gb_error *error)
{
	struct program *program = arg;

	if (strcmp(row->key, "listen") == 0)
		return add_address(program, value, error);
	if (strcmp(row->key, "set") == 0)
		return set_service_setting(program, value, error);
	if (strcmp(row->key, "summary") == 0)
		return gb_settings_set(row, &program->summary, row->key, value, error);
	return gb_options_set(program->options, row->key, value, error);
}

/* The same from the command line, which has the last word. */
static int take_flag(
	struct program *program, const struct gb_setting *row, const char *value, struct gb_error *error)
{
	if (strcmp(row->key, "listen") == 0 && program->addresses_of_file) {
		forget_addresses(program);
		program->addresses_of_file = false;
	}
	return take(program, row, value, error);
}

static int read_file(struct program *program, const char *path, struct gb_error *error)
{
	int rc = gb__config_read(path, file_tables, take, program, error);

	program->addresses_of_file = true;
	return rc;
}

/* A word that is none of ours, at args->at - 1; `before` is the flag before it, if there is one. */
static int refuse_word(const struct gb_args *args, const struct gb_setting *before, struct gb_error *error)
{
	const char *word = args->argv[args->at - 1];

	/* A switch takes only words that say so. */
	if (before && before->type == GB_SETTING_SWITCH &&
		strcmp(args->argv[args->at - 2] + 2, before->key) == 0)
		return gb_error_set(error, -GB_EUSAGE, "--%s takes yes or no, not \"%s\"", before->key, word);
	return gb_error_set(
		error, -GB_EUSAGE, "unexpected \"%s\": addresses are given as --listen ADDRESS", word);
}

enum pass { PASS_HELP, PASS_FILES, PASS_FLAGS };

/* One walk over the command line. Returns 0, 1 (help was asked for) or a negative code. */
static int walk(struct program *program, enum pass pass, struct gb_error *error)
{
	struct gb_args args = { .argc = program->argc, .argv = program->argv, .tables = flag_tables };
	const struct gb_setting *flag, *before = NULL;
	const char *value;
	int rc;

	for (size_t i = 0; i < program->offers_count; i++)
		program->offers[i].set = 0;
	while ((rc = gb_args_next(&args, &flag, &value, error)) > 0) {
		if (!flag)
			return refuse_word(&args, before, error);
		before = flag;
		rc = 0;
		if (strcmp(flag->key, "help") == 0) {
			if (pass == PASS_HELP)
				return 1;
		} else if (strcmp(flag->key, "config") == 0) {
			if (pass == PASS_FILES)
				rc = read_file(program, value, error);
		} else if (pass == PASS_FLAGS) {
			rc = take_flag(program, flag, value, error);
		}
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int prepare(struct program *program, struct gb_error *error)
{
	int rc = gb_options_create(&program->options);

	return rc < 0 ? gb_error_set(error, rc, "cannot start: %s", gb_strerror(rc))
		      : use(program->offers, error);
}

static void finish(struct program *program)
{
	gb_server_destroy(program->server);
	gb_options_destroy(program->options);
	for (size_t i = 0; i < program->offers_count; i++) {
		const struct offer *offer = &program->offers[i];

		if (offer->used && offer->service->settings)
			gb_settings_finish(offer->service->settings, offer->user);
		if (offer->used)
			gb__free(offer->user);
	}
	gb__free(program->offers);
	forget_addresses(program);
}

/* The model as a person would type it: the preset's name where it is one, and how many workers N is. */
static void name_model(const struct gb_server *server, char *text, size_t size)
{
	const struct gb__model *model = &server->model;
	int used = gb__model_name(model, text, size);

	if (model->workers != GB__WORKERS_DEFAULT)
		return;
	if (strchr(text, '='))
		snprintf(text, size, "%s", gb_server_model(server));
	else
		snprintf(text + used, size - (size_t)used, ",workers=%u", server->seats_count);
}

/* What stands before the service's bytes there. */
static const char *before_service(const struct gb__binding *binding)
{
	const struct gb__front *front = gb__binding_front(binding);

	if (!front)
		return "";
	if (front->proxies)
		return front->tls ? " behind a proxy over TLS" : " behind a proxy";
	return front->tls ? " over TLS" : ""; /* or packets, which the address says */
}

/* One line in one write: scripts wait for it. */
static void announce(struct gb_server *server, void *unused)
{
	char model[GB__MODEL_SPEC_MAX], *line = NULL;
	const struct gb_service *before = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&line, &size);

	if (!stream)
		return; /* it serves all the same */
	name_model(server, model, sizeof(model));
	for (size_t i = 0; i < server->bindings_count; i++) {
		const struct gb__binding *binding = &server->bindings[i];

		if (binding->service == before)
			fprintf(stream, ", %s%s", binding->text, before_service(binding));
		else
			fprintf(stream, "%s%s on %s%s", before ? "; " : "serving ", binding->service->name,
				binding->text, before_service(binding));
		before = binding->service;
	}
	fprintf(stream, " (model %s, pid %ld)", model, (long)getpid());
	if (fclose(stream) == 0)
		gb__log_say(GB__LOG_NOTICE, line);
	free(line);
}

static int print_summary(const struct program *program, struct gb_error *error)
{
	int rc = gb__summary_print(stdout, program->server);

	if (rc == -ENOTSUP)
		return gb_error_set(
			error, rc, "summary: this library was built without jansson, which writes JSON");
	if (rc < 0)
		return gb_error_set(error, rc, "no memory for the summary");
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	/* It is told here: what the program does with its standard output at exit shall not tell it again. */
	__fpurge(stdout);
	clearerr(stdout);
	return gb_error_set(error, -EIO, "cannot write the summary to standard output");
}

static int serve(struct program *program, struct gb_error *error)
{
	int rc = gb_server_create(program->options, &program->server, error);

	for (size_t i = 0; rc == 0 && i < program->address_count; i++) {
		const struct address *address = &program->addresses[i];

		rc = gb_server_listen(
			program->server, address->text, address->offer->service, address->offer->user, error);
	}
	if (rc < 0)
		return rc;
	drain_seconds = (unsigned)((program->options->drain_timeout_ms + 999) / 1000);
	snprintf(stuck_text, sizeof(stuck_text),
		"%s: a handler did not return in time: ended without waiting for it\n", program->name);
	atomic_store(&stop_signals, 0);
	atomic_store(&served, program->server);
	rc = install_signals(error);
	gb_server_on_ready(program->server, announce, NULL);
	gb_server_notify(program->server);
	if (rc == 0)
		rc = gb_server_run(program->server, error);
	atomic_store(&served, NULL);
	gb__signal_await();
	if (atomic_load(&stop_signals) > 0)
		alarm(0);
	if (rc == 0 && program->summary)
		rc = print_summary(program, error);
	return rc;
}

static int check_addresses(const struct program *program, struct gb_error *error)
{
	if (program->address_count == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"no address to serve on: write --listen HOST:PORT or --listen unix:PATH");
	for (size_t i = 0; i < program->address_count; i++)
		if (program->addresses[i].offer == program->offers)
			return 0;
	return gb_error_set(error, -GB_EUSAGE,
		"no address to serve %s on: write --listen HOST:PORT or --listen unix:PATH for it as well",
		program->offers->service->name);
}

static int run(struct program *program)
{
	struct gb_error error = { 0 };
	int rc = gb__service_check(program->offers->service, true, &error);

	if (rc == 0)
		rc = walk(program, PASS_HELP, &error);
	if (rc > 0) {
		print_help(program);
		return EXIT_DONE;
	}
	if (rc == 0)
		rc = prepare(program, &error);
	if (rc == 0)
		rc = walk(program, PASS_FILES, &error);
	if (rc == 0)
		rc = walk(program, PASS_FLAGS, &error);
	if (rc == 0)
		rc = check_addresses(program, &error);
	if (rc == 0)
		rc = serve(program, &error);
	return rc < 0 ? fail(exit_code_of(rc), &error) : EXIT_DONE;
}

/* The one, then the others. */
static int take_services(
	struct program *program, const struct gb_service *service, const struct gb_service *const *others)
{
	size_t count = 0;

	while (others && others[count])
		count++;
	program->offers = gb__alloc_zero((count + 1) * sizeof(*program->offers));
	if (!program->offers)
		return -ENOMEM;
	program->offers[program->offers_count++].service = service;
	for (size_t i = 0; i < count; i++)
		if (others[i] != service)
			program->offers[program->offers_count++].service = others[i];
	return 0;
}

int gb_serve_main_services(
	int argc, char **argv, const struct gb_service *service, const struct gb_service *const *others)
{
	struct program program = { .invocation = "gearbox" };
	const char *slash;
	int exit_code = EXIT_FAILED;

	if (argc > 0 && *argv[0]) {
		slash = strrchr(argv[0], '/');
		program.invocation = slash ? slash + 1 : argv[0];
		program.argc = argc - 1;
		program.argv = argv + 1;
	}
	snprintf(program.name, sizeof(program.name), "%.*s", (int)strcspn(program.invocation, " "),
		program.invocation);
	gb__log_set_name(program.name);
	/* Else the first file it opens, or the first client, takes their place. An error is told by the server. */
	gb__descriptors_standard();
	gb__passed_take();
	gb__notify_take();
	if (take_services(&program, service, others) == 0)
		exit_code = run(&program);
	finish(&program);
	gb__log_tell_lost();
	return exit_code;
}

int gb_serve_main(int argc, char **argv, const struct gb_service *service)
{
	return gb_serve_main_services(argc, argv, service, NULL);
}
