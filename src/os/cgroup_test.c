/* Folders of control groups, from files that a container, a machine of old and one of today would have. */
#include "os/cgroup.h"

#include "harness.h"

#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/gearbox-cgroup-XXXXXX";
static char seen[1024];

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", root, name);
	file = fopen(path, "w");
	CHECK(file);
	CHECK(fputs(text, file) >= 0);
	CHECK(fclose(file) == 0);
}

static void note(const char *folder, void *arg)
{
	CHECK(arg == seen);
	CHECK(strncmp(folder, root, strlen(root)) == 0);
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s ", folder + strlen(root));
}

static void check_folders(
	const char *cgroups, const char *mounts, const char *controller, const char *expected)
{
	char path[256];

	CHECK(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/proc", root);
	CHECK_INT(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/proc/self", root);
	CHECK_INT(mkdir(path, 0700), 0);
	write_file("/proc/self/cgroup", cgroups);
	write_file("/proc/self/mountinfo", mounts);
	gb__cgroup_visit(root, controller, note, seen);
	CHECK_STR(seen, expected);
	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	CHECK_INT(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	CHECK_INT(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/proc/self", root);
	CHECK_INT(rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/proc", root);
	CHECK_INT(rmdir(path), 0);
	CHECK_INT(rmdir(root), 0);
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
