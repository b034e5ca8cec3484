#include "verify/upstream.h"

#include "child.h"
#include "verify/bytes.h"

#include <gearbox/server.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ADDRESS_MAX 64

static void on_ready(struct gb_server *server, void *arg)
{
	char address[ADDRESS_MAX] = "";

	snprintf(address, sizeof(address), "%s", gb_server_address(server, 0));
	if (write(*(int *)arg, address, sizeof(address)) < 0)
		_exit(1);
}

static int serve(const struct gb_service *service, int fd)
{
	static const char *const options[][2] = { { "model", "reactor,engine=epoll" },
		{ "idle-timeout", "off" }, { "write-timeout", "off" } };
	struct gb_error error = { 0 };
	struct gb_options *own;
	struct gb_server *server;
	void *user = gb__verify_grow(NULL, service->settings_size + 1, 1);
	int result = gb_options_create(&own);

	if (result == 0 && service->settings)
		result = gb_settings_init(service->settings, user, service->settings_size);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && result == 0; i++)
		result = gb_options_set(own, options[i][0], options[i][1], &error);
	if (result == 0)
		result = gb_server_create(own, &server, &error);
	if (result == 0)
		result = gb_server_listen(server, "127.0.0.1:0", service, user, &error);
	if (result == 0) {
		gb_server_on_ready(server, on_ready, &fd);
		result = gb_server_run(server, &error);
	}
	return result;
}

int gb__verify_upstream_start(const struct gb_service *service, const char *key, struct verify_upstream *ret,
	struct gb_error *error)
{
	pid_t pid;
	char address[ADDRESS_MAX];
	int fds[2];

	*ret = (struct verify_upstream){ 0 };
	if (pipe2(fds, O_CLOEXEC) < 0)
		return gb_error_set(error, -errno, "cannot start an upstream: %s", strerror(errno));
	pid = gb__child_fork();
	if (pid == 0) {
		signal(SIGINT, SIG_IGN);
		close(fds[0]);
		_exit(serve(service, fds[1]) == 0 ? 0 : 1);
	}
	close(fds[1]);
	ret->pid = pid > 0 ? pid : 0;
	if (pid < 0 || read(fds[0], address, sizeof(address)) != sizeof(address)) {
		close(fds[0]);
		gb__verify_upstream_stop(ret);
		return gb_error_set(error, -EIO, "cannot start an upstream for it");
	}
	close(fds[0]);
	snprintf(ret->set, sizeof(ret->set), "%s=%s", key, address);
	return 0;
}

void gb__verify_upstream_stop(struct verify_upstream *upstream)
{
	if (upstream->pid == 0)
		return;
	gb__child_kill(upstream->pid);
	gb__child_wait(upstream->pid);
	upstream->pid = 0;
}
