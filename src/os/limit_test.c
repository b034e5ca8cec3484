/* Limits of the process and of the machine, as the files of a machine say them. */
#include "os/limit.h"

#include "os/root_test_driver.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

static void limit_to(int resource, uint64_t soft, uint64_t hard)
{
	CHECK_INT(setrlimit(resource, &(struct rlimit){ soft, hard }), 0);
}

TEST(the_soft_limit_of_descriptors_is_raised_to_the_hard_one)
{
	struct rlimit limit;

	limit_to(RLIMIT_NOFILE, 100, 200);
	CHECK_INT(gb__descriptors_max(), 200);
	CHECK_INT(gb__descriptors_raise(), 200);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK_INT(limit.rlim_cur, 200);
	CHECK_INT(limit.rlim_max, 200);
	CHECK_INT(gb__descriptors_raise(), 200);
}

TEST(the_hint_names_both_limits_of_descriptors_and_is_for_that_error_alone)
{
	char text[256];

	limit_to(RLIMIT_NOFILE, 100, 200);
	CHECK(gb__limit_hint(-EMFILE, text, sizeof(text)) == text);
	CHECK_STR(text, "; a process may have 100 (ulimit -Sn), at most 200 (ulimit -Hn, LimitNOFILE=)");
	CHECK_STR(gb__limit_hint(-ENFILE, text, sizeof(text)), "");
	CHECK_STR(gb__limit_hint(0, text, sizeof(text)), "");
}

static void machine(const char *threads, const char *pids, const char *group)
{
	driver_root_make();
	driver_root_file("/proc/self/cgroup", "0::/slice/service\n");
	driver_root_file("/proc/self/mountinfo", "30 22 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
	driver_root_file("/proc/sys/kernel/threads-max", threads);
	driver_root_file("/proc/sys/kernel/pid_max", pids);
	driver_root_file("/cg/slice/service/pids.max", group);
}

static void check_tasks(const char *threads, const char *pids, const char *group, uint64_t expected)
{
	machine(threads, pids, group);
	CHECK_INT(gb__tasks_max_at(driver_root), expected);
	driver_root_remove();
}

TEST(tasks_are_bounded_by_the_tightest_of_kernel_and_group)
{
	if (geteuid() != 0)
		setrlimit(RLIMIT_NPROC, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }); /* where it may */
	check_tasks("500\n", "600\n", "700\n", 500);
	check_tasks("600\n", "500\n", "700\n", 500);
	check_tasks("700\n", "600\n", "500\n", 500);
	check_tasks("600\n", "700\n", "max\n", 600);
	check_tasks("", "600\n", "max\n", 600);
}

TEST(tasks_of_who_is_not_root_are_bounded_by_their_own_limit)
{
	limit_to(RLIMIT_NPROC, 300, 400);
	if (geteuid() == 0) {
		check_tasks("500\n", "600\n", "700\n", 500); /* root is exempt */
		machine("500\n", "600\n", "700\n");
		CHECK_INT(seteuid(65534), 0);
	} else {
		machine("500\n", "600\n", "700\n");
	}
	/* Another user cannot read the folder, so that no number in it counts. */
	CHECK_INT(gb__tasks_max_at(driver_root), 300);
	if (getuid() == 0)
		CHECK_INT(seteuid(0), 0);
	driver_root_remove();
}

static void check_stacks(const char *maps, uint64_t expected)
{
	driver_root_make();
	driver_root_file("/proc/sys/vm/max_map_count", maps);
	CHECK_INT(gb__stacks_max_at(driver_root), expected);
	driver_root_remove();
}

TEST(a_thread_takes_two_maps_of_what_the_rest_leaves)
{
	check_stacks("65530\n", (65530 - 2000) / 2);
	check_stacks("2002\n", 1);
	check_stacks("2001\n", 1);
	check_stacks("2003\n", 1);
	check_stacks("2004\n", 2);
	check_stacks("2000\n", 1);
	check_stacks("10\n", 1);
}

TEST(this_machine_allows_some)
{
	CHECK(gb__tasks_max() > 0);
	CHECK(gb__stacks_max() > 0);
}
