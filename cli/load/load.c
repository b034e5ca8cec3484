/* `gearbox load`: the load generator. A program like anybody's: a server that listens nowhere. */
#include "command.h"
#include "descriptors.h"
#include "load/find.h"
#include "load/fleet.h"
#include "load/hdr_log.h"
#include "load/idle.h"
#include "load/merge.h"
#include "load/ports.h"
#include "load/progress.h"
#include "load/report.h"
#include "load/secure.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ADDRESS_MAX GB_ADDRESS_TEXT

static _Atomic(struct gb_server *) running; /* what a second signal ends at once */
static volatile sig_atomic_t signals;

/* The first signal has the generator end in order, with all replies; the second ends it at once. */
static void on_signal(int number)
{
	struct gb_server *server = atomic_load(&running);

	(void)number;
	if (signals < 2)
		signals++;
	if (signals == 2 && server) {
		gb_server_stop(server);
		gb_server_stop(server);
	}
}

static void install_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* What the generator itself runs as. */
static void model_of(const struct load_options *load, char *text, size_t size)
{
	if (load->model)
		snprintf(text, size, "%s", load->model);
	else if (load->threads == 1)
		snprintf(text, size, "reactor,engine=%s", load->engine);
	else
		snprintf(text, size, "multi-reactor-reuseport,workers=%llu,engine=%s",
			(unsigned long long)load->threads, load->engine);
}

/* The server's own options. Timeouts of connections are off: the generator looks at progress itself. */
static int create_server(const struct load_options *load, struct gb_server **ret, struct gb_error *error)
{
	struct gb_options *options;
	char model[256], connect_timeout[32], connections[32];
	int rc = gb_options_create(&options);

	if (rc < 0)
		return gb_error_set(error, rc, "%s", gb_strerror(rc));
	model_of(load, model, sizeof(model));
	snprintf(connect_timeout, sizeof(connect_timeout), "%llums",
		(unsigned long long)load->connect_timeout_ms);
	snprintf(connections, sizeof(connections), "%llu", (unsigned long long)load->connections);
	rc = gb_options_set(options, "model", model, error);
	if (rc == 0)
		rc = gb_options_set(options, "max-connections", connections, error);
	if (rc == 0)
		rc = gb_options_set(options, "log-level", "warning", error); /* its report says the rest */
	if (rc == 0)
		rc = gb_options_set(options, "connect-timeout", connect_timeout, error);
	if (rc == 0)
		rc = gb_options_set(options, "idle-timeout", "0", error);
	if (rc == 0)
		rc = gb_options_set(options, "write-timeout", "0", error);
	if (rc == 0)
		rc = gb_server_create(options, ret, error);
	gb_options_destroy(options);
	return rc;
}

/* Generators are threads with loops: how many a model of one's own has, or why it does not fit. */
static int take_threads(struct load_options *load, const struct gb_server *server, struct gb_error *error)
{
	const char *model = gb_server_model(server), *workers = strstr(model, "workers=");
	unsigned long long count = workers ? strtoull(workers + strlen("workers="), NULL, 10) : 0;

	if (!load->model)
		return 0;
	if (!strstr(model, "unit=thread") || strstr(model, "engine=blocking") ||
		!strstr(model, "compute=inline") || count == 0)
		return gb_error_set(error, -GB_EUSAGE,
			"--model %s does not fit a generator, which is threads with loops: write reactor, proactor, "
			"multi-reactor or multi-proactor, with compute=inline",
			load->model);
	if (count > load->connections)
		return gb_error_set(error, -GB_EUSAGE,
			"--model %s has %llu workers for %llu connections: each needs one", load->model,
			count, (unsigned long long)load->connections);
	load->threads = count;
	return 0;
}

static int run(struct gb_server *server, struct fleet *fleet, struct gb_error *error)
{
	int rc = gb_server_attach(server, &gb__fleet_service, fleet, error);

	if (rc < 0)
		return rc;
	atomic_store(&running, server);
	install_signals();
	rc = gb_server_run(server, error);
	atomic_store(&running, NULL);
	gb__progress_clear();
	return rc;
}

static int tell(const struct outcome *outcome)
{
	const char *address = outcome->options->address;
	const struct doubts *doubts = &outcome->doubts;
	char errors[2 * TOTALS_TEXT_MAX];

	if (outcome->options->json) {
		if (gb__json_print(gb__load_report_json(outcome)) != EXIT_DONE)
			return EXIT_FAILED;
	} else if (outcome->sending) {
		gb__load_report_text(stdout, outcome);
	}
	fflush(stdout);
	if (!gb__outcome_right(outcome)) {
		gb__report_errors(outcome, errors, sizeof(errors));
		return gb__command_fail(EXIT_FAILED, "load: %s: %s", address, errors);
	}
	if (doubts->count == 0)
		return EXIT_DONE;
	return gb__command_fail(EXIT_DOUBTFUL, "load: %s: not to be trusted: %s%s", address,
		doubts->list[0].text, doubts->count > 1 ? ", and more" : "");
}

/* The files that were asked for. */
static int write_files(struct fleet *fleet, const struct outcome *outcome, struct gb_error *error)
{
	const char *path = outcome->options->histogram_path;
	double seconds = gb__totals_seconds(&outcome->totals);
	struct hdr_log log = { 0 };
	int rc = outcome->options->series_path ? gb__series_finish(&fleet->series) : 0;

	if (rc < 0)
		return gb_error_set(error, rc, "%s: %s", outcome->options->series_path, gb_strerror(rc));
	if (!path)
		return 0;
	rc = gb__hdr_log_add(&log, "response", seconds, &outcome->totals.response_ns);
	if (rc == 0)
		rc = gb__hdr_log_add(&log, "service", seconds, gb__outcome_service(outcome));
	rc = rc < 0 ? gb_error_set(error, rc, "%s: %s", path, gb_strerror(rc))
		    : gb__hdr_log_write(&log, path, (double)time(NULL) - seconds, error);
	gb__hdr_log_finish(&log);
	return rc;
}

static int tell_of(struct fleet *fleet, const struct circumstances *before, const struct idle *idle,
	struct gb_error *error, int *ret_exit_code)
{
	struct outcome *outcome = malloc(sizeof(*outcome));
	int rc;

	if (!outcome)
		return gb_error_set(error, -ENOMEM, "%s", gb_strerror(-ENOMEM));
	gb__outcome_take(fleet, before, outcome);
	outcome->idle_lost = gb__idle_lost(idle);
	rc = write_files(fleet, outcome, error);
	*ret_exit_code = tell(outcome);
	free(outcome);
	return rc;
}

/* With everything there that it needs beside the server. */
static int load_with(struct gb_server *server, struct fleet *fleet, const struct idle *idle,
	struct gb_error *error, int *ret_exit_code)
{
	const struct load_options *options = fleet->options;
	struct circumstances before;
	int rc;

	if (options->series_path) {
		rc = gb__series_init(&fleet->series, options->series_path, options->interval_ms * 1000000,
			fleet->count, error);
		if (rc < 0) {
			gb__series_finish(&fleet->series);
			return rc;
		}
	}
	fleet->signal = &signals;
	if (!options->quiet && (options->progress || isatty(STDERR_FILENO)))
		fleet->on_tick = gb__progress_show;
	gb__circumstances_note(&before);
	rc = run(server, fleet, error);
	return rc < 0 ? rc : tell_of(fleet, &before, idle, error, ret_exit_code);
}

static int load_from(struct gb_server *server, const struct load_options *options, const char *address,
	struct gb_tls_client *tls, struct gb_error *error, int *ret_exit_code)
{
	struct idle idle = { 0 };
	struct fleet fleet;
	int rc = gb__fleet_init(&fleet, options);

	fleet.connection.tls = tls;
	if (rc < 0)
		return gb_error_set(error, rc, "%llu connections of depth %llu: %s",
			(unsigned long long)options->connections, (unsigned long long)options->depth,
			gb_strerror(rc));
	fleet.address = address;
	if (options->idle)
		rc = gb__idle_open(
			&idle, address, options->idle, options->source, options->connect_timeout_ms, error);
	if (rc == 0)
		rc = load_with(server, &fleet, &idle, error, ret_exit_code);
	gb__idle_close(&idle);
	gb__fleet_finish(&fleet);
	return rc;
}

static int load(struct load_options *options, struct gb_error *error, int *ret_exit_code)
{
	struct gb_server *server = NULL;
	struct gb_tls_client *tls = NULL;
	char address[ADDRESS_MAX];
	int rc = gb__descriptors_claim(options->connections + options->idle, 0,
		options->idle ? "--connections and --idle" : "--connections", error);

	if (rc == 0)
		rc = gb__load_secure(options, &tls, error);
	if (rc == 0)
		rc = gb__load_find(options, address, sizeof(address), error);
	if (rc == 0)
		rc = gb__load_ports_suffice(address, options->connections, error);
	if (rc == 0)
		rc = create_server(options, &server, error);
	if (rc == 0)
		rc = take_threads(options, server, error);
	if (rc == 0)
		rc = load_from(server, options, address, tls, error, ret_exit_code);
	gb_server_destroy(server);
	gb_tls_client_destroy(tls);
	return rc;
}

int gb__command_load(int argc, char **argv)
{
	struct load_options options;
	struct gb_error error = { 0 };
	int exit_code = EXIT_DONE, rc = gb__load_options_parse(argc - 1, argv + 1, &options, &error);

	if (rc == 0 && options.help) {
		gb__load_options_help();
		gb__load_options_finish(&options);
		return EXIT_DONE;
	}
	if (rc == 0 && options.merged.count > 0)
		rc = gb__load_merge(&options, &error);
	else if (rc == 0)
		rc = load(&options, &error, &exit_code);
	gb__load_options_finish(&options);
	if (rc < 0)
		return gb__command_fail(
			rc == -GB_EUSAGE || rc == -GB_EILLEGAL ? EXIT_WRONG_USAGE : EXIT_FAILED, "load: %s",
			error.text);
	return exit_code;
}
