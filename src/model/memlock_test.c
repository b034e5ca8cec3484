/* Little locked memory, as in many containers: engine=auto finds an engine for all workers, whatever one could have. */
#include "model/server_test_driver.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a user whose locked memory counts. */
static void serve_with(const char *model, rlim_t kib)
{
	const struct rlimit limit = { kib << 10, kib << 10 };
	struct gb_server *server;
	char byte;
	pid_t pid;
	int client;

	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (geteuid() == 0)
		CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
	server = driver_server(model, &driver_echo, NULL);
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "x");
	CHECK_INT(driver_receive(client, &byte, 1), 1);
	close(client);
	gb_server_stop(server);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
	exit(0);
}

static void serves_with_little(const char *model)
{
	static const rlim_t kib[] = { 0, 64, 200, 384, 512, 768, 1024, 2048 };

	for (size_t i = 0; i < sizeof(kib) / sizeof(*kib); i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0)
			serve_with(model, kib[i]);
		if (driver_await(child) != 0)
			test_fail(__FILE__, __LINE__, "%s with %lu KiB", model, (unsigned long)kib[i]);
	}
}

TEST(auto_serves_with_little_locked_memory)
{
	serves_with_little("multi-reactor,engine=auto,workers=4");
	serves_with_little("process-pool-reactor,engine=auto,workers=4");
	serves_with_little("prefork-reactor,engine=auto,workers=4");
	serves_with_little("reactor,engine=auto");
}
