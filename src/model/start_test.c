/* Servers that cannot start, or not again: an error says why, nothing is left, nothing hangs. */
#include "model/server_test_driver.h"

#include "base/alloc.h"
#include "base/capture_test.h"
#include "model/server.h"

#include <gearbox/name.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS_SEEN 256

static void on_message(struct gb_conn *conn, struct gb_bytes message)
{
}

static int refuses_to_start(struct gb_worker *worker, void *user)
{
	return -EIO;
}

static unsigned descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < DESCRIPTORS_SEEN; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void says_that_it_cannot_start(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lame",
		.on_message = on_message, .on_start = refuses_to_start };
	unsigned before = descriptors();
	struct gb_server *server;
	struct gb_error error = { 0 };

	if (strstr(model, "per-connection"))
		return; /* there is no worker until somebody connects */
	server = driver_server(model, &service, NULL);
	CHECK_INT(gb_server_run(server, &error), -EIO);
	CHECK(strstr(error.text, "lame: cannot start on worker"));
	CHECK_INT(gb_server_run(server, &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "make another"));
	gb_server_destroy(server);
	CHECK_INT(descriptors(), before);
}

TEST(a_service_that_cannot_start_ends_the_run)
{
	driver_each_preset(says_that_it_cannot_start);
}

static void its_client_is_closed(const char *model)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "lame",
		.on_message = on_message, .on_start = refuses_to_start };
	struct gb_server *server;
	struct gb_stats stats;
	char byte;
	pid_t pid;

	if (!strstr(model, "per-connection"))
		return;
	server = driver_server(model, &service, NULL);
	pid = driver_host(server);
	for (int i = 0; i < 3; i++) {
		int client = driver_client(server);

		CHECK_INT(driver_receive(client, &byte, 1), 0);
		close(client);
	}
	stats = driver_finish_counted(server, pid);
	CHECK_INT(stats.accepted, 3);
	CHECK_INT(stats.closed[GB_CLOSE_REFUSED], 3);
}

TEST(a_service_that_cannot_start_for_one_connection_costs_that_one)
{
	driver_each_preset(its_client_is_closed);
}

static void check_service_refused(const struct gb_service *service, const char *part)
{
	struct gb_server *server;
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_create(NULL, &server, &error), 0);
	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", service, NULL, &error), -EINVAL);
	CHECK(strstr(error.text, part));
	error = (struct gb_error){ 0 };
	CHECK_INT(gb_server_attach(server, service, NULL, &error), -EINVAL);
	CHECK(strstr(error.text, part));
	gb_server_destroy(server);
}

TEST(a_service_that_is_not_filled_in_is_refused_by_what_is_missing)
{
	static const struct gb_service forgotten = { .name = "forgotten", .on_message = on_message };
	static const struct gb_service old = {
		.struct_size = sizeof(old), .abi = GB_ABI - 1, .name = "old", .on_message = on_message
	};
	static const struct gb_service nameless = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
		.on_message = on_message };
	static const struct gb_service deaf = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "deaf" };

	check_service_refused(NULL, "the service is NULL");
	check_service_refused(&forgotten, "GB_SERVICE_INIT");
	check_service_refused(&old, "compile it again");
	check_service_refused(&nameless, "without a name");
	check_service_refused(&deaf, "service deaf: .on_message");
}

static void on_part(struct gb_conn *conn, const struct gb_part *part)
{
	(void)conn;
	(void)part;
}

static int decode_nothing(const void *options, void *state, struct gb_bytes input, size_t max_message,
	uint32_t *scanned, struct gb_frame *ret)
{
	(void)options;
	(void)state;
	(void)input;
	(void)max_message;
	(void)scanned;
	(void)ret;
	return 0;
}

TEST(a_service_that_takes_parts_has_a_codec_that_finds_them)
{
	static const struct gb_codec_ops whole = { .name = "whole", .decode = decode_nothing };
	static const struct gb_route table[] = { { "put", .text = "put", .on_part = on_part }, { NULL } };
	static const struct gb_routes routes = { .by = GB_ROUTE_BY_WORD, .table = table };
	static const struct gb_service bare = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "bare",
		.on_part = on_part };
	static const struct gb_service unfit = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "unfit",
		.codec = &whole, .routes = &routes };
	static const struct gb_service both = { GB_SERVICE_INIT, .state = GB_STATE_NONE, .name = "both",
		.codec = &gb_codec_line, .routes = &routes, .on_part = on_part };

	check_service_refused(&bare, "service bare: .on_part is set and .codec is not");
	check_service_refused(&unfit, "service unfit: .on_part is set, and the codec has no .decode_part");
	check_service_refused(&both, "service both: .on_part and .routes are both set");
}

TEST(what_is_null_is_an_error)
{
	struct gb_options *options;
	struct gb_server *server;
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_create(NULL, &server, &error), 0);
	CHECK_INT(gb_server_listen(server, NULL, &driver_echo, NULL, &error), -EINVAL);
	CHECK(strstr(error.text, "address is NULL"));
	CHECK_INT(gb_server_listen(NULL, "127.0.0.1:0", &driver_echo, NULL, &error), -EINVAL);
	CHECK_INT(gb_server_attach(NULL, &driver_echo, NULL, &error), -EINVAL);
	CHECK_INT(gb_server_run(NULL, &error), -EINVAL);
	gb_server_destroy(server);
	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, NULL, "1", &error), -EINVAL);
	CHECK_INT(gb_options_set(options, "model", NULL, &error), -EINVAL);
	CHECK_INT(gb_options_load(options, NULL, &error), -EINVAL);
	gb_options_destroy(options);
	CHECK_INT(gb_name_check(NULL, &error), -EINVAL);
	CHECK_INT(gb_model_check(NULL, NULL, true, &error), -EINVAL);
}

TEST(a_name_is_told_from_an_address_and_from_neither)
{
	struct gb_error error = { 0 };

	CHECK_INT(gb_name_check("192.0.2.1:7000", &error), 0);
	CHECK_INT(gb_name_check("[2001:db8::1]:7000", &error), 0);
	CHECK_INT(gb_name_check("unix:/run/echo", &error), 0);
	CHECK_INT(gb_name_check("echo.example:7000", &error), 1);
	CHECK_INT(gb_name_check("_echo._tcp.example", &error), 1);
	CHECK_STR(error.text, "");
	CHECK_INT(gb_name_check("echo.example", &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "echo.example"));
}

static void check_owner(struct gb_options *options, const char *text, bool right)
{
	static const char *const keys[] = { "unix-owner", "unix-group" };

	for (size_t i = 0; i < 2; i++) {
		struct gb_error error = { 0 };

		if (gb_options_set(options, keys[i], text, &error) != (right ? 0 : -GB_EUSAGE))
			test_fail(__FILE__, __LINE__, "%s %s: %s", keys[i], text, error.text);
		CHECK(right || (strstr(error.text, keys[i]) && strstr(error.text, text)));
	}
}

TEST(an_owner_is_a_name_that_is_known_or_any_number)
{
	static const char *const right[] = { "root", "0", "1", "9", "4294967294", "none" },
				 *const wrong[] = { "4294967295", "12x", "-1", "nobody-has-this-name" };
	struct gb_options *options;

	CHECK_INT(gb_options_create(&options), 0);
	for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
		check_owner(options, right[i], true);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		check_owner(options, wrong[i], false);
	gb_options_destroy(options);
}

TEST(an_interface_has_a_name_of_1_to_15_bytes)
{
	struct gb_options *options;
	struct gb_error error = { 0 };

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, "device", "abcdefghijklmno", &error), 0);
	CHECK_INT(gb_options_set(options, "device", "abcdefghijklmnop", &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "1 to 15 bytes"));
	CHECK_INT(gb_options_set(options, "connect-device", "", &error), -GB_EUSAGE);
	gb_options_destroy(options);
}

TEST(an_unknown_option_names_what_was_meant)
{
	struct gb_options *options;
	struct gb_error error = { 0 };

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, "idle-timout", "1s", &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "did you mean \"idle-timeout\""));
	CHECK_INT(gb_options_set(options, "listen", "127.0.0.1:0", &error), -GB_EUSAGE);
	CHECK(strstr(error.text, "gb_server_listen"));
	gb_options_destroy(options);
}

TEST(a_server_runs_once)
{
	struct gb_server *server = driver_server("reactor", &driver_echo, NULL);
	struct gb_error error = { 0 };

	gb_server_stop(server);
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK_INT(gb_server_run(server, &error), -GB_EUSAGE);
	gb_server_destroy(server);
}

static void destroy_it(struct gb_server *server, void *arg)
{
	gb_server_destroy(server);
}

static void destroy_while_it_runs(void)
{
	struct gb_server *server = driver_server("reactor", &driver_echo, NULL);
	struct gb_error error;

	gb_server_on_ready(server, destroy_it, NULL);
	gb_server_run(server, &error);
}

TEST(a_server_that_is_destroyed_while_it_runs_ends_the_program_by_its_rule)
{
	char text[2048];
	int status = capture(destroy_while_it_runs, text, sizeof(text));

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	CHECK(strstr(text, "gb_server_destroy: ") && strstr(text, "(rule 4 of docs/lifetimes.md)"));
}

TEST(without_listening_sockets_it_runs_again_and_again)
{
	struct gb_server *server;
	struct gb_error error = { 0 };

	CHECK_INT(gb_server_create(NULL, &server, &error), 0);
	CHECK_INT(gb_server_run(server, &error), -GB_EUSAGE);
	CHECK_INT(gb_server_attach(server, &driver_echo, NULL, &error), 0);
	for (int i = 0; i < 3; i++) {
		gb_server_stop(server);
		CHECK_INT(gb_server_run(server, &error), 0);
	}
	gb_server_destroy(server);
}

static int cpus_allowed(void)
{
	cpu_set_t allowed;

	CHECK_INT(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	return CPU_COUNT(&allowed);
}

static void note_cpus(struct gb_server *server, void *ret)
{
	*(int *)ret = cpus_allowed();
}

static void keep_to_one_cpu(struct gb_server *server, void *arg)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK_INT(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* The linker's: where the region of worker processes lies (base/alloc.h). */
extern const unsigned char __start_gb_region[], __stop_gb_region[];

static bool allocates_as_anybody(void)
{
	unsigned char *memory = gb__alloc(1);
	bool there;

	CHECK(memory);
	there = memory >= __start_gb_region && memory < __stop_gb_region;
	gb__free(memory);
	return !there;
}

static void gives_its_thread_back(const char *model)
{
	struct gb_server *server = driver_server_with(model, "affinity", "auto", &driver_echo, NULL);
	int before = cpus_allowed(), during = 0;
	struct gb_error error;

	if (!server)
		return;
	gb_server_on_ready(server, note_cpus, &during);
	gb_server_stop(server);
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK(during == 1 || during == before);
	CHECK_INT(cpus_allowed(), before);
	CHECK_INT(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER); /* musl's function has no answer */
	CHECK(allocates_as_anybody());
	gb_server_destroy(server);
}

TEST(the_calling_thread_is_given_back_as_it_was)
{
	driver_each_preset(gives_its_thread_back);
}

TEST(without_affinity_the_calling_thread_keeps_what_it_chose_meanwhile)
{
	struct gb_server *server = driver_server("reactor", &driver_echo, NULL);
	struct gb_error error;
	cpu_set_t before;

	CHECK_INT(sched_getaffinity(0, sizeof(before), &before), 0);
	gb_server_on_ready(server, keep_to_one_cpu, NULL);
	gb_server_stop(server);
	CHECK_INT(gb_server_run(server, &error), 0);
	CHECK_INT(cpus_allowed(), 1);
	CHECK_INT(sched_setaffinity(0, sizeof(before), &before), 0);
	gb_server_destroy(server);
}

/* As when it was unplugged, or a cpuset narrowed, behind the start: the kernel refuses it. */
static void serves_although_its_cpu_is_gone(const char *model)
{
	struct gb_server *server = driver_server(model, &driver_echo, NULL);
	char text[8];
	int client;
	pid_t pid;

	if (!server)
		return;
	server->options->affinity.words[GB__CPUS_MAX / GB__CPUS_WORD - 1] = 1ul << (GB__CPUS_WORD - 1);
	pid = driver_host(server);
	client = driver_client(server);
	driver_send(client, "here");
	CHECK_INT(driver_receive(client, text, 4), 4);
	driver_send(client, "!");
	close(client);
	CHECK_INT(driver_await(pid), 0);
	gb_server_destroy(server);
}

TEST(a_cpu_that_was_taken_away_is_no_reason_to_end)
{
	driver_each_preset(serves_although_its_cpu_is_gone);
}

TEST(one_that_never_ran_is_freed)
{
	gb_server_destroy(driver_server("multi-reactor", &driver_echo, NULL));
	gb_server_destroy(NULL);
}

/* Make, listen and run, with the n-th allocation of this thread failing. Returns whether it came that far. */
static bool survives_failure(const char *model, const char *address, uint64_t n)
{
	struct gb_server *server = NULL;
	struct gb_options *options;
	struct gb_error error = { 0 };
	uint64_t before;
	int result;

	CHECK_INT(gb_options_create(&options), 0);
	CHECK_INT(gb_options_set(options, "model", model, &error), 0);
	before = gb__alloc_count();
	gb__alloc_fail_at(n);
	result = gb_server_create(options, &server, &error);
	if (result == 0)
		result = gb_server_listen(server, address, &driver_echo, NULL, &error);
	if (result == 0) {
		gb_server_stop(server);
		result = gb_server_run(server, &error);
	}
	gb__alloc_fail_at(0);
	if (result < 0 && !error.text[0])
		test_fail(__FILE__, __LINE__, "%s: failure of allocation %llu is not explained", model,
			(unsigned long long)n);
	gb_server_destroy(server);
	gb_options_destroy(options);
	return gb__alloc_count() - before >= n;
}

static void survives_any_failure(const char *model)
{
	unsigned before = descriptors();
	uint64_t n = 1;

	while (survives_failure(model, "127.0.0.1:0", n))
		n++;
	CHECK(n > 5);
	CHECK_INT(descriptors(), before);
}

TEST(without_memory_it_fails_and_says_so)
{
	driver_each_preset(survives_any_failure);
}

TEST(a_socket_file_is_left_neither_by_failure_nor_by_success)
{
	char folder[] = "/tmp/gearbox-start-XXXXXX", address[64];
	const char *path = address + strlen("unix:");
	uint64_t n = 1;

	CHECK(mkdtemp(folder));
	snprintf(address, sizeof(address), "unix:%s/socket", folder);
	while (survives_failure("reactor", address, n)) {
		CHECK(access(path, F_OK) < 0);
		n++;
	}
	CHECK(access(path, F_OK) < 0);
	CHECK_INT(rmdir(folder), 0);
}

TEST(the_socket_file_of_another_stays)
{
	char folder[] = "/tmp/gearbox-start-XXXXXX", address[64];
	const char *path = address + strlen("unix:");
	struct gb_server *first, *second;
	struct gb_error error = { 0 };

	CHECK(mkdtemp(folder));
	snprintf(address, sizeof(address), "unix:%s/socket", folder);
	CHECK_INT(gb_server_create(NULL, &first, &error), 0);
	CHECK_INT(gb_server_create(NULL, &second, &error), 0);
	CHECK_INT(gb_server_listen(first, address, &driver_echo, NULL, &error), 0);
	CHECK_INT(gb_server_listen(second, address, &driver_echo, NULL, &error), -EADDRINUSE);
	CHECK_INT(unlink(path), 0);
	CHECK_INT(gb_server_listen(second, address, &driver_echo, NULL, &error), 0);
	gb_server_destroy(first);
	CHECK_INT(access(path, F_OK), 0);
	gb_server_destroy(second);
	CHECK(access(path, F_OK) < 0);
	CHECK_INT(rmdir(folder), 0);
}

/* Told of each address, before anything runs; what is refused is not the server's. */
struct preparations {
	unsigned prepared, released;
	bool refuses;
};

static int prepare(struct gb_server *server, void *user, struct gb_error *error)
{
	struct preparations *preparations = user;

	CHECK(gb_server_workers(server) > 0);
	if (preparations->refuses)
		return gb_error_set(error, -GB_EUSAGE, "set colour: there is none");
	preparations->prepared++;
	return 0;
}

static void release_it(void *user)
{
	((struct preparations *)user)->released++;
}

TEST(settings_are_looked_at_before_a_server_runs_and_given_back_with_it)
{
	static const struct gb_service service = { GB_SERVICE_INIT, .state = GB_STATE_NONE,
		.name = "prepared", .on_message = on_message, .on_prepare = prepare,
		.on_release = release_it };
	unsigned before = descriptors();
	struct preparations preparations = { 0 };
	struct gb_error error = { 0 };
	struct gb_server *server = driver_server("reactor", &service, &preparations);

	CHECK_INT(gb_server_attach(server, &service, &preparations, &error), 0);
	CHECK_INT(preparations.prepared, 2);
	preparations.refuses = true;
	CHECK_INT(gb_server_listen(server, "127.0.0.1:0", &service, &preparations, &error), -GB_EUSAGE);
	CHECK_STR(error.text, "set colour: there is none");
	CHECK(!gb_server_address(server, 1));
	CHECK_INT(preparations.released, 0);
	gb_server_destroy(server);
	CHECK_INT(preparations.released, 2);
	CHECK_INT(descriptors(), before);
}
