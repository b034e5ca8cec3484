/* Listening sockets of the real kernel. */
#include "os/socket.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RACES 200
#define RACERS 4

static int listen_at(
	const char *text, const struct gb__socket_options *options, char *ret_text, struct gb_error *error)
{
	static const struct gb__socket_options plain = { .backlog = 16 };
	struct gb__address address;
	int fd;

	CHECK_INT(gb__address_parse(text, false, &address, error), 0);
	fd = gb__socket_listen(&address, options ? options : &plain, error);
	if (fd >= 0 && ret_text)
		CHECK_INT(gb__address_format(&address, ret_text, GB__ADDRESS_TEXT), 0);
	return fd;
}

static int must_listen(const char *text, char *ret_text)
{
	struct gb_error error = { 0 };
	int fd = listen_at(text, NULL, ret_text, &error);

	if (fd < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", text, error.text);
	return fd;
}

static int connect_to(const char *text)
{
	struct gb__address address;
	struct gb_error error;
	int fd, result;

	CHECK_INT(gb__address_parse(text, false, &address, &error), 0);
	fd = socket(address.any.sa_family, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	result = connect(fd, &address.any, address.size) < 0 ? -errno : 0;
	if (result == 0)
		return fd;
	close(fd);
	return result;
}

static bool v6(void)
{
	int fd = connect_to("[::1]:1");

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

static const char *at(const char *host, const char *like, char *text)
{
	snprintf(text, GB__ADDRESS_TEXT, "%s:%s", host, strrchr(like, ':') + 1);
	return text;
}

TEST(a_free_port_is_told)
{
	char text[GB__ADDRESS_TEXT];
	int fd = must_listen("127.0.0.1:0", text), client;

	CHECK(strncmp(text, "127.0.0.1:", 10) == 0 && atoi(text + 10) > 0);
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	client = connect_to(text);
	CHECK(client >= 0);
	close(client);
	close(fd);
}

/* Both on one port. Somebody else may have the other family's by then: another one is taken. */
static void share_port(const char *host, const char *other_host)
{
	for (int left = 100;; left--) {
		char first[GB__ADDRESS_TEXT], second[GB__ADDRESS_TEXT], zero[32];
		struct gb_error error = { 0 };
		int one, other;

		snprintf(zero, sizeof(zero), "%s:0", host);
		one = must_listen(zero, first);
		other = listen_at(at(other_host, first, second), NULL, second, &error);
		close(one);
		if (other >= 0) {
			close(other);
			return;
		}
		if (other != -EADDRINUSE || left == 0)
			test_fail(__FILE__, __LINE__, "%s: %s", second, error.text);
	}
}

TEST(the_families_share_a_port_in_either_order)
{
	if (!v6())
		return;
	share_port("0.0.0.0", "[::]");
	share_port("[::]", "0.0.0.0");
}

TEST(a_star_is_both_families_and_shows_as_one)
{
	char text[GB__ADDRESS_TEXT], client_text[GB__ADDRESS_TEXT];
	int fd = must_listen("*:0", text), client;
	struct gb__address peer;

	CHECK(strncmp(text, "*:", 2) == 0 && atoi(text + 2) > 0);
	client = connect_to(at("127.0.0.1", text, client_text));
	CHECK(client >= 0);
	close(client);
	client = accept(fd, NULL, NULL);
	CHECK(client >= 0);
	CHECK_INT(gb__socket_peer(client, &peer), 0);
	CHECK_INT(gb__address_format(&peer, client_text, sizeof(client_text)), 0);
	CHECK(strncmp(client_text, "127.0.0.1:", 10) == 0);
	close(client);
	if (v6()) {
		client = connect_to(at("[::1]", text, client_text));
		CHECK(client >= 0);
		close(client);
	}
	close(fd);
}

TEST(a_star_joins_a_group)
{
	const struct gb__socket_options options = { .backlog = 16, .reuseport = true };
	char text[GB__ADDRESS_TEXT], again[GB__ADDRESS_TEXT];
	struct gb_error error = { 0 };
	int one = listen_at("*:0", &options, text, &error), other = listen_at(text, &options, again, &error);

	CHECK(one >= 0 && other >= 0);
	CHECK_STR(again, text);
	close(one);
	close(other);
}

TEST(link_local_addresses_need_their_interface)
{
	struct gb_error error = { 0 };

	if (!v6())
		return;
	CHECK_INT(listen_at("[fe80::1]:0", NULL, NULL, &error), -EINVAL);
	CHECK(strstr(error.text, "name the interface"));
}

struct holder {
	int fd;
	unsigned ms;
};

static void *let_go(void *arg)
{
	const struct holder *holder = arg;
	const struct timespec pause = { .tv_nsec = holder->ms * 1000000 };

	nanosleep(&pause, NULL);
	close(holder->fd);
	return NULL;
}

TEST(a_port_that_becomes_free_at_once_is_waited_for)
{
	char text[GB__ADDRESS_TEXT];
	struct holder holder = { .fd = must_listen("127.0.0.1:0", text), .ms = 20 };
	pthread_t thread;
	int fd;

	CHECK_INT(pthread_create(&thread, NULL, let_go, &holder), 0);
	fd = must_listen(text, NULL);
	CHECK_INT(pthread_join(thread, NULL), 0);
	close(fd);
}

TEST(a_port_that_stays_in_use_is_told)
{
	char text[GB__ADDRESS_TEXT];
	struct gb_error error = { 0 };
	int fd = must_listen("127.0.0.1:0", text);

	CHECK_INT(listen_at(text, NULL, NULL, &error), -EADDRINUSE);
	CHECK(strstr(error.text, text) && strstr(error.text, "another program listens there"));
	close(fd);
}

static char folder[64];

static const char *in_folder(const char *name)
{
	static char text[GB__ADDRESS_TEXT];

	if (!*folder) {
		snprintf(folder, sizeof(folder), "/tmp/gearbox-socket-test-XXXXXX");
		CHECK(mkdtemp(folder));
	}
	snprintf(text, sizeof(text), "unix:%s/%s", folder, name);
	return text;
}

static void leave_folder(const char *name)
{
	unlink(in_folder(name) + 5);
	CHECK_INT(rmdir(folder), 0);
}

static unsigned mode_of(const char *path)
{
	struct stat status;

	CHECK_INT(stat(path, &status), 0);
	CHECK(S_ISSOCK(status.st_mode));
	return status.st_mode & 0777;
}

TEST(a_sockets_file_has_the_permissions_that_were_asked_for)
{
	struct gb__socket_options options = { .backlog = 16, .unix_mode = 0660 };
	struct gb_error error = { 0 };
	int fd;

	umask(027);
	fd = must_listen(in_folder("a"), NULL);
	CHECK_INT(mode_of(in_folder("a") + 5), 0750);
	close(fd);
	fd = listen_at(in_folder("a"), &options, NULL, &error);
	CHECK(fd >= 0);
	CHECK_INT(mode_of(in_folder("a") + 5), 0660);
	close(fd);
	leave_folder("a");
}

TEST(a_stale_file_is_replaced_a_live_one_is_not_and_others_neither)
{
	struct gb_error error = { 0 };
	int fd = must_listen(in_folder("a"), NULL), other;

	CHECK_INT(listen_at(in_folder("a"), NULL, NULL, &error), -EADDRINUSE);
	close(fd);
	fd = must_listen(in_folder("a"), NULL);
	close(fd);
	unlink(in_folder("a") + 5);
	other = open(in_folder("a") + 5, O_CREAT | O_WRONLY, 0600);
	CHECK(other >= 0);
	close(other);
	CHECK_INT(listen_at(in_folder("a"), NULL, NULL, &error), -EADDRINUSE);
	CHECK(strstr(error.text, "the file is no socket"));
	leave_folder("a");
}

TEST(a_folder_that_is_not_there_is_named)
{
	struct gb_error error = { 0 };

	CHECK_INT(listen_at("unix:/nonexistent/a/b", NULL, NULL, &error), -ENOENT);
	CHECK(strstr(error.text, "the folder /nonexistent does not exist"));
	CHECK_INT(listen_at("unix:/dev/null/a", NULL, NULL, &error), -ENOTDIR);
	CHECK(strstr(error.text, "the folder /dev/null is no folder"));
	CHECK_INT(listen_at("unix:nonexistent/a", NULL, NULL, &error), -ENOENT);
	CHECK(strstr(error.text, "the folder nonexistent does not exist"));
}

TEST(abstract_names_have_no_file)
{
	char text[GB__ADDRESS_TEXT], name[64];
	struct gb_error error = { 0 };
	struct stat status;
	int fd, client;

	snprintf(name, sizeof(name), "unix:@gearbox-socket-test-%d", (int)getpid());
	fd = must_listen(name, text);
	CHECK_STR(text, name);
	CHECK(stat(name + 5, &status) < 0 && errno == ENOENT);
	client = connect_to(name);
	CHECK(client >= 0);
	CHECK_INT(listen_at(name, NULL, NULL, &error), -EADDRINUSE);
	CHECK(strstr(error.text, "choose another name"));
	close(client);
	close(fd);
	fd = must_listen(name, NULL);
	close(fd);
}

/* All begin at the same time, some in place of a stale file: one listens, and clients reach it. */
static void race(bool stale)
{
	int go[2], results[2];
	unsigned won = 0;
	char byte;

	if (stale)
		close(must_listen(in_folder("a"), NULL));
	else
		in_folder("a");
	CHECK_INT(pipe(go), 0);
	CHECK_INT(pipe(results), 0);
	for (int i = 0; i < RACERS; i++)
		if (fork() == 0) {
			struct gb_error error;
			int fd;

			close(go[1]);
			CHECK_INT(read(go[0], &byte, 1), 0);
			fd = listen_at(in_folder("a"), NULL, NULL, &error);
			byte = fd >= 0 ? 'y' : fd == -EADDRINUSE ? 'n' : '?';
			CHECK_INT(write(results[1], &byte, 1), 1);
			/* Until all have told. */
			close(results[1]);
			while (poll(&(struct pollfd){ .fd = results[1] }, 0, 5) == 0 && getppid() != 1 &&
				fd >= 0) {
				int client = accept(fd, NULL, NULL);

				if (client >= 0 && read(client, &byte, 1) == 1)
					_exit(0);
			}
			_exit(0);
		}
	close(go[1]);
	for (int i = 0; i < RACERS; i++) {
		CHECK_INT(read(results[0], &byte, 1), 1);
		CHECK(byte != '?');
		won += byte == 'y';
	}
	CHECK_INT(won, 1);
	go[1] = connect_to(in_folder("a"));
	CHECK(go[1] >= 0);
	CHECK_INT(write(go[1], "x", 1), 1);
	while (wait(NULL) > 0)
		;
	close(go[0]);
	close(go[1]);
	close(results[0]);
	close(results[1]);
	unlink(in_folder("a") + 5);
}

TEST(of_several_that_start_together_one_listens)
{
	for (int i = 0; i < RACES; i++)
		race(i % 2);
	leave_folder("a");
}

TEST(ipv6_that_is_off_leaves_ipv4_to_a_star)
{
	char text[GB__ADDRESS_TEXT], there[GB__ADDRESS_TEXT];
	int file, fd, client;

	/* A network of our own, without IPv6 and with its loopback down: binding is all that works there. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return;
	file = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY);
	if (file >= 0) {
		CHECK_INT(write(file, "1", 1), 1);
		close(file);
	}
	fd = must_listen("*:0", text);
	CHECK(strncmp(text, "*:", 2) == 0);
	client = connect_to(at("127.0.0.1", text, there));
	if (client >= 0)
		close(client);
	close(fd);
}
