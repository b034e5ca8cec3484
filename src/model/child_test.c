/* What a handler starts finds the signals as the program had them, and a server is stopped whatever it inherited. */
#include "model/server_test_driver.h"

#include <gearbox/worker.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void look(int fd)
{
	sigset_t mask;
	char word = 'y';

	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i < NSIG; i++) {
		struct sigaction action = { .sa_handler = SIG_DFL };

		if (i == SIGKILL || i == SIGSTOP)
			continue;
		/* The C library keeps two for itself; sanitizers catch those of faults. */
		if (sigismember(&mask, i) > 0 && i != SIGUSR2)
			word = 'b';
		if (sigaction(i, NULL, &action) == 0 && i != SIGSEGV && i != SIGBUS && i != SIGFPE &&
			action.sa_handler != (i == SIGHUP ? SIG_IGN : SIG_DFL))
			word = 'd';
	}
	if (sigismember(&mask, SIGUSR2) != 1)
		word = 'u';
	CHECK(write(fd, &word, 1) == 1);
	_exit(0);
}

static char forked(void)
{
	int ends[2];
	char word;
	pid_t pid;

	CHECK_INT(pipe(ends), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		look(ends[1]);
	CHECK_INT(read(ends[0], &word, 1), 1);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	close(ends[0]);
	close(ends[1]);
	return word;
}

/* SIGUSR2 (12) alone is blocked, SIGHUP (1) alone ignored, of the standard ones. */
#define SHELL_CHECK \
	"b=$(grep SigBlk: /proc/self/status); i=$(grep SigIgn: /proc/self/status); " \
	"[ $(( 0x${b#SigBlk:?} & 0x7fffffff )) = $(( 1 << 11 )) ] && " \
	"[ $(( 0x${i#SigIgn:?} & 0x7fffffff )) = 1 ]"

static char spawned(void)
{
	char *const arguments[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t)SHELL_CHECK, NULL };
	int status;
	pid_t pid;

	CHECK_INT(posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ), 0);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	return status == 0 ? 'y' : 's';
}

static char by_system(void)
{
	return system(SHELL_CHECK) == 0 ? 'y' : 'x';
}

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
	char words[3] = { forked(), spawned(), by_system() };

	if (message.data[0] == '!')
		gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
	gb_conn_send(conn, words, sizeof(words));
}

static const struct gb_service starter = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "starter",
	.on_message = on_message };

static void starts_children(const char *model)
{
	struct gb_server *server = driver_server(model, &starter, NULL);
	char words[4] = "";
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "!");
	if (driver_receive(client, words, 3) != 3 || strcmp(words, "yyy") != 0)
		test_fail(__FILE__, __LINE__, "%s: \"%s\"", model, words);
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_handlers_child_has_the_signals_of_the_program)
{
	sigset_t own;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP && i != SIGSEGV && i != SIGBUS && i != SIGFPE)
			signal(i, i == SIGHUP ? SIG_IGN : SIG_DFL);
	sigemptyset(&own);
	sigaddset(&own, SIGUSR2);
	sigprocmask(SIG_SETMASK, &own, NULL);
	driver_each_preset(starts_children);
}

/* Run it in a child that ignores the ends of its own. */
static pid_t host_careless(struct gb_server *server)
{
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	pid = driver_host(server);
	signal(SIGCHLD, SIG_DFL);
	return pid;
}

static pid_t (*host)(struct gb_server *server);

static void ends_its_workers(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	int client;
	pid_t pid;

	if (!server)
		return;
	pid = host(server);
	client = driver_guest(server);
	driver_send(client, "!");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(blocked_signals_do_not_keep_a_server)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGALRM); /* the harness's */
	sigprocmask(SIG_SETMASK, &all, NULL);
	host = driver_host;
	driver_each_preset(ends_its_workers);
}

TEST(ignored_children_do_not_keep_a_server)
{
	host = host_careless;
	driver_each_preset(ends_its_workers);
}

/* The child holds a copy of the connection's descriptor. */
static void fork_and_abort(struct gb_conn *conn, struct gb_bytes message)
{
	if (message.data[0] == '!') {
		gb_server_stop(gb_worker_server(gb_conn_worker(conn)));
		return;
	}
	if (fork() == 0) {
		char byte;

		/* Until the client's end is gone, which it tells us on the pipe. */
		while (read(*(int *)gb_conn_user(conn), &byte, 1) < 0 && errno == EINTR)
			;
		_exit(0);
	}
	gb_conn_abort(conn);
}

static void resets_although_copied(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "forker",
		.on_message = fork_and_abort };
	int ends[2], client;
	struct gb_server *server;
	char byte;
	pid_t pid;

	CHECK_INT(pipe(ends), 0);
	server = driver_server(model, &service, &ends[0]);
	if (!server)
		return;
	pid = host_careless(server);
	client = driver_client(server);
	driver_send(client, "x");
	CHECK_INT(recv(client, &byte, 1, 0), -1);
	CHECK_INT(errno, ECONNRESET);
	close(client);
	CHECK_INT(write(ends[1], "x", 1), 1);
	client = driver_client(server);
	driver_send(client, "!");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	close(ends[0]);
	close(ends[1]);
	gb_server_destroy(server);
}

TEST(an_abort_is_a_reset_at_once_although_a_child_has_a_copy)
{
	driver_each_preset(resets_although_copied);
}

/* As a daemon is made: the child's child is nobody's. It tells its pid and ends. */
static void make_orphan(struct gb_server *server, void *arg)
{
	const int *fds = arg;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		if (fork() == 0) {
			while (getppid() != atoi(getenv("CHILD_TEST_HOST")))
				usleep(1000);
			pid = getpid();
			CHECK(write(fds[1], &pid, sizeof(pid)) == sizeof(pid));
		}
		_exit(0);
	}
	CHECK_INT(waitpid(pid, NULL, 0), pid);
}

static void reaps_orphans(const char *model)
{
	struct gb_server *server;
	int fds[2], status;
	char name[16];
	pid_t runs, orphan;

	CHECK_INT(pipe(fds), 0);
	server = driver_server(model, &driver_echo, NULL);
	if (!server)
		return;
	runs = fork();
	CHECK(runs >= 0);
	if (runs == 0) {
		struct gb_error error;

		snprintf(name, sizeof(name), "%d", (int)getpid());
		setenv("CHILD_TEST_HOST", name, 1);
		CHECK_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
		gb_server_on_ready(server, make_orphan, fds);
		_exit(gb_server_run(server, &error) < 0);
	}
	CHECK_INT(read(fds[0], &orphan, sizeof(orphan)), sizeof(orphan));
	/* A zombie can be signalled still. */
	while (kill(orphan, 0) == 0)
		usleep(1000);
	CHECK_INT(errno, ESRCH);
	gb_server_stop(server);
	CHECK_INT(waitpid(runs, &status, 0), runs);
	CHECK_INT(status, 0);
	close(fds[0]);
	close(fds[1]);
	gb_server_destroy(server);
}

TEST(orphans_that_come_to_a_server_are_reaped)
{
	driver_each_preset(reaps_orphans);
}

/* Nobody else's: its own waits for it, as late as it likes. */
static void fork_and_keep(struct gb_server *server, void *arg)
{
	pid_t *child = arg;

	*child = fork();
	CHECK(*child >= 0);
	if (*child == 0)
		_exit(7);
	gb_server_stop(server);
}

static void leaves_the_programs_own(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	struct gb_error error;
	int status;
	pid_t child;

	if (!server)
		return;
	gb_server_on_ready(server, fork_and_keep, &child);
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK_INT(waitpid(child, &status, 0), child);
	CHECK_INT(WEXITSTATUS(status), 7);
	gb_server_destroy(server);
}

TEST(children_of_the_program_are_left_to_it)
{
	driver_each_preset(leaves_the_programs_own);
}

TEST(standard_descriptors_never_become_sockets)
{
	struct gb_server *server;

	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	server = driver_server("reactor", &driver_echo, NULL);
	for (int fd = 0; fd <= 2; fd++) {
		char target[32] = "", name[32];

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		if (readlink(name, target, sizeof(target) - 1) < 0 || strcmp(target, "/dev/null") != 0)
			_exit(3);
	}
	gb_server_destroy(server);
}
