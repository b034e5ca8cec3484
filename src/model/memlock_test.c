/* Little locked memory, as in many containers: engine=auto finds an engine for all workers, whatever one could have. */
#include "model/server_test_driver.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* As a user whose locked memory counts, and who has none elsewhere. */
static void serve_with(const char *model, rlim_t kib)
{
	const struct rlimit limit = { kib << 10, kib << 10 };
	const uid_t user = 100000 + (uid_t)getpid();
	struct gb_server *server;
	pid_t pid;

	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (geteuid() == 0)
		CHECK(setgroups(0, NULL) == 0 && setgid(user) == 0 && setuid(user) == 0);
	server = driver_server(model, &driver_echo, NULL);
	pid = driver_host(server);
	driver_visit(server);
	driver_finish(server, pid);
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
	static const char *const models[] = { "multi-reactor,engine=auto,workers=4",
		"process-pool-reactor,engine=auto,workers=4", "prefork-reactor,engine=auto,workers=4",
		"reactor,engine=auto" };

	test_side_by_side(serves_with_little, models, sizeof(models) / sizeof(*models));
}
