/*
 * `gearbox verify`: the same conversations under every model. Each model is run by a process of its own (the
 * runner), several at the same time; what it finds comes back through a pipe. This process has no threads,
 * so that it can fork at any time.
 */
#include "command.h"
#include "verify/options.h"
#include "verify/specs.h"
#include "verify/tell.h"

#include "doctor/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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
		if (getppid() == parent) {
			for (uint64_t i = 0; i < v->options->jobs; i++)
				if (v->jobs[i].fd >= 0)
					close(v->jobs[i].fd);
			verify_runner_run(&v->program, spec->text, fds[1]);
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
		verify_tell_news(&v->result, job->spec, news);
		if (news->kind == VERIFY_DIFFERENCE && v->options->fail_fast)
			v->stop = true;
	}
}

static void job_end(struct verification *v, struct job *job)
{
	struct verify_news news = { .kind = VERIFY_DIFFERENCE, .conversation = "verify", .count = 1 };
	int status = 0;

	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(job->fd);
	job->fd = -1;
	v->running--;
	if (!job->done) {
		snprintf(news.text, sizeof(news.text), "its own process ended with status 0x%x", status);
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

		if (v->stop || v->next == v->specs.count)
			break;
		if (v->jobs[i].fd >= 0)
			continue;
		verify_tell_progress(&v->result, &v->specs.list[v->next]);
		result = job_start(v, &v->jobs[i], &v->specs.list[v->next]);
		if (result < 0)
			return result;
		v->next++;
	}
	return 0;
}

static int run_jobs(struct verification *v)
{
	int result = start_jobs(v);

	while (v->running > 0) {
		for (uint64_t i = 0; i < v->options->jobs; i++)
			v->polls[i] = (struct pollfd){ .fd = v->jobs[i].fd, .events = POLLIN };
		if (poll(v->polls, (nfds_t)v->options->jobs, -1) < 0)
			continue;
		for (uint64_t i = 0; i < v->options->jobs; i++)
			if (v->polls[i].revents)
				read_news(v, &v->jobs[i]);
		if (result == 0)
			result = start_jobs(v);
	}
	return result;
}

static void list_specs(struct verification *v, const struct gb_service *service)
{
	if (v->options->only_count == 0) {
		verify_specs_list(service, v->options->full, &v->specs);
		return;
	}
	for (size_t i = 0; i < v->options->only_count; i++)
		verify_specs_add(&v->specs, v->options->only[i]);
}

static int verify_service(const struct verify_options *options, const struct gb_service *service,
	struct json *json, bool *ret_differs, struct gb_error *error)
{
	struct verification v = { .options = options,
		.program = { .protocol = verify_protocol_find(service->name),
			.patience_ms = (unsigned)options->patience_ms,
			.fail_fast = options->fail_fast },
		.result = { .service = service->name, .json = json, .quiet = options->quiet } };
	size_t talks = 0;
	int result;

	for (unsigned stage = 0; stage < VERIFY_STAGES; stage++) {
		verify_plan_write(&v.program.plans[stage], v.program.protocol, stage, options->conversation);
		talks += v.program.plans[stage].talks_count;
	}
	list_specs(&v, service);
	v.result.specs = &v.specs;
	v.jobs = verify_grow(NULL, options->jobs, sizeof(*v.jobs));
	v.polls = verify_grow(NULL, options->jobs, sizeof(*v.polls));
	for (uint64_t i = 0; i < options->jobs; i++)
		v.jobs[i].fd = -1;
	fflush(stdout); /* what is not written yet must not be written by children as well */
	result = run_jobs(&v);
	if (result < 0) {
		gb_error_set(error, result, "cannot start a process: %s", gb_strerror(result));
	} else if (v.wrong.code < 0) {
		*error = v.wrong;
		result = v.wrong.code;
	}
	if (result == 0)
		verify_tell_end(&v.result, json);
	*ret_differs |= v.result.differences > 0;
	for (unsigned stage = 0; stage < VERIFY_STAGES; stage++)
		verify_plan_finish(&v.program.plans[stage]);
	verify_specs_finish(&v.specs);
	free(v.jobs);
	free(v.polls);
	return result;
}

static int verify_all(const struct verify_options *options, bool *ret_differs, struct gb_error *error)
{
	struct json json = { .stream = stdout };
	int result = 0;

	if (options->json)
		json_open(&json, NULL, '[');
	for (size_t i = 0; options->services[i] && result == 0; i++)
		result = verify_service(
			options, options->services[i], options->json ? &json : NULL, ret_differs, error);
	if (options->json)
		json_close(&json, ']');
	return result;
}

/* Every client and server of a model is a descriptor of its runner, or of the server's process. */
static void claim_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int command_verify(int argc, char **argv)
{
	struct verify_options options;
	struct gb_error error = { 0 };
	bool differs = false;
	int result = verify_options_parse(argc - 1, argv + 1, &options, &error);

	if (result == 0 && options.help) {
		verify_options_help();
	} else if (result == 0 && options.list) {
		for (size_t i = 0; options.services[i]; i++)
			verify_tell_list(verify_protocol_find(options.services[i]->name));
	} else if (result == 0) {
		claim_descriptors();
		result = verify_all(&options, &differs, &error);
	}
	if (result < 0)
		return command_fail(
			result == -GB_EUSAGE || result == -GB_EILLEGAL ? EXIT_WRONG_USAGE : EXIT_FAILED,
			"verify: %s", error.text);
	verify_options_finish(&options);
	return differs ? EXIT_FAILED : EXIT_DONE;
}
