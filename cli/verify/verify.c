/*
 * `gearbox verify`: the same conversations under every model. Each model is run by a process of its own (the
 * runner), several at the same time; what it finds comes back through a pipe. This process has no threads,
 * so that it can fork at any time.
 */
#include "certificate.h"
#include "command.h"
#include "descriptors.h"
#include "tls/tls.h"
#include "verify/learned.h"
#include "verify/options.h"
#include "verify/specs.h"
#include "verify/tell.h"
#include "verify/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* The first one ends in order, with what was found so far; the second one at once. */
static void install_interrupt(void)
{
	const struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

struct job {
	pid_t pid;
	int fd; /* news; -1: free */
	const struct verify_spec *spec;
	bool done; /* as it told */
};

struct verification {
	const struct verify_options *options;
	struct verify_program program;
	struct verify_specs specs;
	struct verify_result result;
	struct job *jobs;
	struct pollfd *polls;
	size_t next, running;
	sigset_t signals;      /* as they are while it waits */
	bool stop;             /* no further model */
	struct gb_error wrong; /* a model that cannot be verified at all */
};

static int job_start(struct verification *v, struct job *job, const struct verify_spec *spec)
{
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*job = (struct job){ .pid = fork(), .fd = fds[0], .spec = spec };
	if (job->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		sigprocmask(SIG_SETMASK, &v->signals, NULL);
		if (getppid() == parent) {
			for (uint64_t i = 0; i < v->options->jobs; i++)
				if (v->jobs[i].fd >= 0)
					close(v->jobs[i].fd);
			gb__verify_runner_run(&v->program, spec->text, fds[1]);
		}
		_exit(0);
	}
	close(fds[1]);
	if (job->pid < 0) {
		int error = errno;

		close(job->fd);
		job->fd = -1;
		return -error;
	}
	v->running++;
	return 0;
}

static void take_news(struct verification *v, struct job *job, const struct verify_news *news)
{
	switch (news->kind) {
	case VERIFY_DONE:
		job->done = true;
		break;
	case VERIFY_WRONG:
		gb_error_set(&v->wrong, -GB_EUSAGE, "%s", news->text);
		v->stop = true;
		break;
	case VERIFY_SKIPPED:
	case VERIFY_REMARK:
	case VERIFY_DIFFERENCE:
		gb__verify_tell_news(&v->result, job->spec, news);
		if (news->kind == VERIFY_DIFFERENCE && v->options->fail_fast)
			v->stop = true;
	}
}

static void job_end(struct verification *v, struct job *job)
{
	struct verify_news news = { .kind = VERIFY_DIFFERENCE, .conversation = "clients", .count = 1 };
	int status = 0;

	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(job->fd);
	job->fd = -1;
	v->running--;
	if (interrupted && !job->done)
		return; /* ended by it */
	if (!job->done) {
		if (WIFSIGNALED(status))
			snprintf(news.text, sizeof(news.text),
				"nothing more is known of this model: the process that plays its clients was ended by "
				"signal %d (%s)",
				WTERMSIG(status), strsignal(WTERMSIG(status)));
		else
			snprintf(news.text, sizeof(news.text),
				"nothing more is known of this model: the process that plays its clients exited with "
				"code %d before it was through",
				WEXITSTATUS(status));
		take_news(v, job, &news);
	}
	v->result.done++;
}

static void read_news(struct verification *v, struct job *job)
{
	struct verify_news news;
	ssize_t got = read(job->fd, &news, sizeof(news));

	if (got == (ssize_t)sizeof(news))
		take_news(v, job, &news);
	else if (got >= 0 || errno != EINTR)
		job_end(v, job);
}

static int start_jobs(struct verification *v)
{
	for (uint64_t i = 0; i < v->options->jobs; i++) {
		int result;

		if (v->stop || interrupted || v->next == v->specs.count)
			break;
		if (v->jobs[i].fd >= 0)
			continue;
		gb__verify_tell_progress(&v->result, &v->specs.list[v->next]);
		result = job_start(v, &v->jobs[i], &v->specs.list[v->next]);
		if (result < 0)
			return result;
		v->next++;
	}
	return 0;
}

/* Their servers die with them. */
static void kill_jobs(struct verification *v)
{
	for (uint64_t i = 0; i < v->options->jobs; i++)
		if (v->jobs[i].fd >= 0)
			kill(v->jobs[i].pid, SIGKILL);
}

static int run_jobs(struct verification *v)
{
	int result = start_jobs(v);

	while (v->running > 0) {
		if (interrupted)
			kill_jobs(v);
		for (uint64_t i = 0; i < v->options->jobs; i++)
			v->polls[i] = (struct pollfd){ .fd = v->jobs[i].fd, .events = POLLIN };
		if (ppoll(v->polls, (nfds_t)v->options->jobs, NULL, &v->signals) < 0)
			continue;
		for (uint64_t i = 0; i < v->options->jobs; i++)
			if (v->polls[i].revents)
				read_news(v, &v->jobs[i]);
		if (result == 0)
			result = start_jobs(v);
	}
	return result;
}

/* The same, with signals that interrupt taken only while it waits. */
static int run_all(struct verification *v)
{
	sigset_t blocked;
	int result;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &v->signals);
	result = run_jobs(v);
	sigprocmask(SIG_SETMASK, &v->signals, NULL);
	v->result.interrupted = interrupted;
	return result;
}

static void list_specs(struct verification *v, const struct gb_service *service)
{
	if (v->options->only_count == 0) {
		gb__verify_specs_list(service, v->options->full, &v->specs);
		return;
	}
	for (size_t i = 0; i < v->options->only_count; i++)
		gb__verify_specs_add(&v->specs, v->options->only[i]);
}

/* What is written down of a service, or NULL. */
static const struct verify_protocol *written(const struct gb_service *service)
{
	for (const struct verify_protocol *const *row = gb__program.protocols; row && *row; row++)
		if (gb__verify_knows(*row, service->name))
			return *row;
	return NULL;
}

/* What clients say: as somebody has written down, unless the user gives messages; else what is learned. */
static int find_protocol(const struct verify_options *options, struct verify_target *target,
	struct verify_protocol **ret_learned, struct gb_error *error)
{
	struct verify_target model = *target;
	int result;

	model.certificate = model.key = NULL; /* what is learned is of the service alone */
	model.tls = NULL;

	if (options->as)
		model.service = options->as;
	*ret_learned = NULL;
	target->protocol = options->messages.count == 0 ? written(model.service) : NULL;
	if (target->protocol)
		return 0;
	result = gb__learned_create(&model, &options->messages,
		options->list ? 0 : (unsigned)options->patience_ms, ret_learned, error);
	target->protocol = *ret_learned;
	return result;
}

/* Write the talks, list the models, run them, tell. */
static int verify_talks(struct verification *v, json_t *list, struct gb_error *error)
{
	const struct verify_options *options = v->options;
	int result;

	for (unsigned stage = 0; stage < VERIFY_STAGES; stage++)
		gb__verify_plan_write(
			&v->program.plans[stage], v->program.target.protocol, stage, options->conversation);
	for (unsigned stage = 0; stage < VERIFY_STAGES && options->tls; stage++)
		gb__verify_plan_secure(&v->program.plans[stage]);
	list_specs(v, v->program.target.service);
	v->result.specs = &v->specs;
	v->jobs = gb__verify_grow(NULL, options->jobs, sizeof(*v->jobs));
	v->polls = gb__verify_grow(NULL, options->jobs, sizeof(*v->polls));
	for (uint64_t i = 0; i < options->jobs; i++)
		v->jobs[i].fd = -1;
	fflush(stdout); /* what is not written yet must not be written by children as well */
	result = run_all(v);
	if (result < 0) {
		gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	} else if (v->wrong.code < 0) {
		*error = v->wrong;
		result = v->wrong.code;
	}
	if (result == 0)
		gb__verify_tell_end(&v->result, list);
	for (unsigned stage = 0; stage < VERIFY_STAGES; stage++)
		gb__verify_plan_finish(&v->program.plans[stage]);
	gb__verify_specs_finish(&v->specs);
	free(v->jobs);
	free(v->polls);
	return result;
}

/* One of our own for a service that forwards, unless the user has set another. */
static int start_upstream(
	struct verify_target *target, const char **sets, struct verify_upstream *ret, struct gb_error *error)
{
	const struct verify_protocol *protocol = written(target->service);
	size_t size = protocol && protocol->upstream ? strlen(protocol->upstream_key) : 0;
	int result;

	*ret = (struct verify_upstream){ 0 };
	if (size == 0)
		return 0;
	for (size_t i = 0; i < target->sets_count; i++) {
		sets[i] = target->sets[i];
		if (strncmp(sets[i], protocol->upstream_key, size) == 0 && sets[i][size] == '=')
			return 0;
	}
	result = gb__verify_upstream_start(protocol->upstream, protocol->upstream_key, ret, error);
	sets[target->sets_count] = ret->set;
	target->sets = sets;
	target->sets_count++;
	return result;
}

/* What all servers and clients of the run have in common. */
struct secured {
	struct certificate certificate;
	struct gb__tls *tls; /* of clients */
};

static int secure(struct secured *ret, struct gb_error *error)
{
	const struct gb__tls_options trusting = { .ca = ret->certificate.certificate,
		.verify = GB__TLS_VERIFY_REQUIRED };
	int result = gb__certificate_make(&ret->certificate, error);

	return result < 0 ? result : gb__tls_create(&trusting, &ret->tls, error);
}

static void unsecure(struct secured *secured)
{
	gb__tls_destroy(secured->tls);
	gb__certificate_remove(&secured->certificate);
}

static int verify_service(const struct verify_options *options, const struct gb_service *service,
	const struct secured *secured, json_t *list, bool *ret_differs, struct gb_error *error)
{
	struct verification v = { .options = options,
		.program = { .target = { .service = service,
				     .sets = options->sets,
				     .sets_count = options->sets_count,
				     .tls = secured->tls,
				     .certificate = secured->tls ? secured->certificate.certificate : NULL,
				     .key = secured->certificate.key },
			.patience_ms = (unsigned)options->patience_ms,
			.fail_fast = options->fail_fast },
		.result = { .service = service->name,
			.as = options->as ? options->as->name : NULL,
			.json = list,
			.quiet = options->quiet } };
	const char *sets[VERIFY_ONLY_MAX + 1];
	struct verify_upstream upstream;
	struct verify_protocol *learned = NULL;
	int result = start_upstream(&v.program.target, sets, &upstream, error);

	if (result == 0)
		result = find_protocol(options, &v.program.target, &learned, error);
	if (result < 0) {
		gb__verify_upstream_stop(&upstream);
		return result;
	}
	if (options->list)
		gb__verify_tell_list(service, v.program.target.protocol);
	else
		result = verify_talks(&v, list, error);
	*ret_differs |= v.result.differences > 0;
	gb__learned_destroy(learned);
	gb__verify_upstream_stop(&upstream);
	return result;
}

static int verify_all(const struct verify_options *options, bool *ret_differs, struct gb_error *error)
{
	json_t *list = options->json && !options->list ? json_array() : NULL;
	struct secured secured = { 0 };
	int result = options->tls ? secure(&secured, error) : 0;

	install_interrupt();
	for (size_t i = 0; options->services[i] && result == 0 && !interrupted; i++)
		result = verify_service(options, options->services[i], &secured, list, ret_differs, error);
	unsecure(&secured);
	if (list && result == 0 && gb__json_print(list) != EXIT_DONE)
		return gb_error_set(error, -ENOMEM, "the result was not printed");
	if (result < 0)
		json_decref(list);
	return result;
}

int gb__command_verify(int argc, char **argv)
{
	struct verify_options options;
	struct gb_error error = { 0 };
	bool differs = false;
	int result = gb__verify_options_parse(argc - 1, argv + 1, &options, &error);

	if (result == 0) {
		if (options.help) {
			gb__verify_options_help();
		} else {
			gb__descriptors_claim_all(); /* each client and server of a model is one, of its runner or of the server's process */
			result = verify_all(&options, &differs, &error);
		}
		gb__verify_options_finish(&options);
	}
	if (result < 0)
		return gb__command_fail(
			result == -GB_EUSAGE || result == -GB_EILLEGAL ? EXIT_WRONG_USAGE : EXIT_FAILED,
			"verify: %s", error.text);
	if (interrupted)
		return gb__command_fail(EXIT_FAILED, "verify: interrupted: this is what was found so far");
	return differs ? EXIT_FAILED : EXIT_DONE;
}
