/* Folders of control groups, from files that a container, a machine of old and one of today would have. */
#include "os/cgroup.h"

#include "os/root_test_driver.h"

static char seen[1024];

static void note(const char *folder, void *arg)
{
	CHECK(arg == seen);
	CHECK(strncmp(folder, driver_root, strlen(driver_root)) == 0);
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s ", folder + strlen(driver_root));
}

static void check_folders(
	const char *cgroups, const char *mounts, const char *controller, const char *expected)
{
	driver_root_make();
	driver_root_file("/proc/self/cgroup", cgroups);
	driver_root_file("/proc/self/mountinfo", mounts);
	gb__cgroup_visit(driver_root, controller, note, seen);
	CHECK_STR(seen, expected);
	driver_root_remove();
}

TEST(version_two_from_the_group_up)
{
	check_folders("0::/user.slice/some.service\n",
		"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		"30 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
		"cpu", "/sys/fs/cgroup/user.slice/some.service /sys/fs/cgroup/user.slice /sys/fs/cgroup ");
}

TEST(version_one_by_its_controller)
{
	check_folders("4:cpuacct,cpu:/a/b\n3:memory:/c\n0::/\n",
		"31 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
		"34 30 0:31 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n",
		"cpu", "/sys/fs/cgroup/cpu/a/b /sys/fs/cgroup/cpu/a /sys/fs/cgroup/cpu ");
}

TEST(both_at_once)
{
	check_folders("8:pids:/\n0::/x\n",
		"38 30 0:35 / /cg/pids rw - cgroup cgroup rw,pids\n"
		"40 30 0:37 / /cg/unified rw - cgroup2 cgroup2 rw\n",
		"pids", "/cg/pids /cg/unified/x /cg/unified ");
}

TEST(a_mount_that_begins_at_the_group)
{
	check_folders("0::/docker/1234\n", "30 22 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
		"cpu", "/sys/fs/cgroup ");
}

TEST(nothing_where_nothing_is_mounted)
{
	check_folders("0::/\n", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "cpu", "");
}

TEST(another_groups_controller_is_none_of_ours)
{
	check_folders("3:memory:/c\n0::/x\n",
		"34 30 0:31 / /cg/memory rw shared:9 - cgroup cgroup rw,memory\n"
		"35 30 0:32 / /cg/cpuset rw shared:9 - cgroup cgroup rw,cpuset\n",
		"cpu", "");
}

TEST(a_group_outside_of_the_mount_is_taken_below_it)
{
	check_folders("0::/../other\n", "30 22 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
		"cpu", "/sys/fs/cgroup/../other /sys/fs/cgroup/.. /sys/fs/cgroup ");
}

TEST(lines_that_are_none_are_passed_over)
{
	check_folders("nonsense\n0:no\n0::/a\n",
		"nonsense\n30 22 0:26 / /x rw\n - \n"
		"30 22 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
		"cpu", "/sys/fs/cgroup/a /sys/fs/cgroup ");
}

TEST(nothing_where_there_is_no_proc)
{
	driver_root_make();
	gb__cgroup_visit(driver_root, "cpu", note, seen);
	CHECK_STR(seen, "");
	driver_root_remove();
}
