/* Reading: texts as kernels write them, and whole machines made of files below a folder. */
#include "doctor/cgroup.h"
#include "doctor/facts.h"
#include "harness.h"

#include <ftw.h>
#include <sys/stat.h>

static char root[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

static void make_root(void)
{
	snprintf(root, sizeof(root), P_tmpdir "/doctor-test-XXXXXX");
	CHECK(mkdtemp(root) != NULL);
}

static void remove_root(void)
{
	CHECK_INT(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* A file of the machine below the root, with the folders that lead to it. */
static void put(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "w");
	CHECK(file != NULL);
	CHECK(fputs(text, file) >= 0);
	CHECK_INT(fclose(file), 0);
}

TEST(words_are_numbers_or_no_limit_or_unknown)
{
	CHECK_INT(gb__facts_word("4096\t131072\t6291456\n", 0), 4096);
	CHECK_INT(gb__facts_word("4096\t131072\t6291456\n", 2), 6291456);
	CHECK(gb__facts_word("4096\t131072\t6291456\n", 3) == FACT_UNKNOWN);
	CHECK(gb__facts_word("max 100000\n", 0) == FACT_UNLIMITED);
	CHECK_INT(gb__facts_word("max 100000\n", 1), 100000);
	CHECK(gb__facts_word("unlimited", 0) == FACT_UNLIMITED);
	CHECK(gb__facts_word("99999999999999999999999", 0) == FACT_UNLIMITED);
	CHECK(gb__facts_word("", 0) == FACT_UNKNOWN);
	CHECK(gb__facts_word("-1", 0) == FACT_UNKNOWN);
	CHECK(gb__facts_word("12x", 0) == FACT_UNKNOWN);
}

TEST(lines_are_found_by_their_whole_key)
{
	static const char text[] = "MemTotal:  100 kB\nSlabOther: 1 kB\nSlab:  42 kB\n";

	CHECK_INT(gb__facts_line(text, "Slab"), 42);
	CHECK_INT(gb__facts_line(text, "MemTotal"), 100);
	CHECK(gb__facts_line(text, "Mem") == FACT_UNKNOWN);
	CHECK(gb__facts_line("", "Slab") == FACT_UNKNOWN);
}

TEST(reserved_ports_count_within_the_range_only)
{
	CHECK_INT(gb__facts_ports_reserved("", 32768, 60999), 0);
	CHECK_INT(gb__facts_ports_reserved("8080\n", 32768, 60999), 0);
	CHECK_INT(gb__facts_ports_reserved("8080,40000-40009,50000\n", 32768, 60999), 11);
	CHECK_INT(gb__facts_ports_reserved("32000-32769,60999-65000", 32768, 60999), 3);
}

TEST(a_machine_without_files_is_unknown)
{
	struct facts facts;

	make_root();
	gb__facts_read(root, &facts);
	for (const struct fact_name *name = gb__fact_names; name->name; name++)
		CHECK(gb__fact_at(&facts, name->offset) == FACT_UNKNOWN);
	CHECK_INT(gb__facts_cpus_allotted(&facts), 1);
	remove_root();
}

TEST(numbers_come_from_their_files)
{
	struct facts facts;

	make_root();
	put("/proc/sys/fs/nr_open", "1048576\n");
	put("/proc/sys/fs/file-nr", "2304\t0\t9223372036854775807\n");
	put("/proc/sys/net/ipv4/ip_local_port_range", "1024\t65535\n");
	put("/proc/sys/net/ipv4/ip_local_reserved_ports", "7000-7009\n");
	put("/proc/sys/net/ipv4/tcp_mem", "10\t20\t30\n");
	put("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n");
	put("/proc/meminfo", "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:  1024 kB\n");
	put("/proc/loadavg", "0.10 0.20 0.30 2/345 999\n");
	put("/proc/net/sockstat",
		"sockets: used 9\nTCP: inuse 5 orphan 0 tw 1 alloc 6 mem 77\nUDP: inuse 1 mem 3\n");
	put("/proc/self/status", "Name:\tx\nCapEff:\t0000000001000000\nSeccomp:\t2\nSeccomp_filters:\t1\n");
	put("/sys/class/net/lo/mtu", "65536\n");
	gb__facts_read(root, &facts);
	CHECK_INT(facts.nr_open, 1048576);
	CHECK_INT(facts.files_open, 2304);
	CHECK_INT(facts.port_low, 1024);
	CHECK_INT(facts.port_high, 65535);
	CHECK_INT(facts.ports_reserved, 10);
	CHECK_INT(facts.tcp_mem_pressure, 20);
	CHECK_INT(facts.tcp_mem_max, 30);
	CHECK_INT(facts.tcp_wmem_default, 16384);
	CHECK_INT(facts.memory_bytes, 2048 * 1024);
	CHECK_INT(facts.memory_available_bytes, 1024 * 1024);
	CHECK_INT(facts.threads_now, 345);
	CHECK_INT(facts.tcp_mem_now, 77);
	CHECK_INT(facts.seccomp, 2);
	CHECK_INT(facts.privileged, 1);
	CHECK_INT(facts.loopback_mtu, 65536);
	CHECK(facts.uring_disabled == FACT_UNKNOWN);
	remove_root();
}

TEST(cpus_allotted_are_the_fewest_of_all_that_say)
{
	struct facts facts = { .cpus_online = 8, .cpus_affine = 6, .cpu_quota_milli = FACT_UNKNOWN };

	CHECK_INT(gb__facts_cpus_allotted(&facts), 6);
	facts.cpu_quota_milli = FACT_UNLIMITED;
	CHECK_INT(gb__facts_cpus_allotted(&facts), 6);
	facts.cpu_quota_milli = 1500;
	CHECK_INT(gb__facts_cpus_allotted(&facts), 2);
	facts.cpu_quota_milli = 1;
	CHECK_INT(gb__facts_cpus_allotted(&facts), 1);
}

static void check_folder(
	const char *cgroups, const char *mounts, const char *controller, const char *expected)
{
	char path[256] = "none";
	size_t mount = 0;

	gb__cgroup_folder(cgroups, mounts, controller, path, sizeof(path), &mount);
	CHECK_STR(path, expected);
	CHECK(strcmp(expected, "none") == 0 || mount <= strlen(path));
}

#define MOUNTS_ONE \
	"31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n" \
	"34 30 0:31 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
#define MOUNTS_TWO "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

TEST(groups_of_either_version_have_folders)
{
	static const char one[] = "4:memory:/a/b\n1:cpuacct,cpu:/\n0::/\n",
			  two[] = "0::/system.slice/x.service\n";

	check_folder(one, MOUNTS_ONE, "memory", "/sys/fs/cgroup/memory/a/b");
	check_folder(one, MOUNTS_ONE, "cpu", "/sys/fs/cgroup/cpu");
	check_folder(one, MOUNTS_ONE, "pids", "none");
	check_folder(one, MOUNTS_ONE, "", "none");
	check_folder(two, MOUNTS_TWO, "", "/sys/fs/cgroup/system.slice/x.service");
	check_folder(two, MOUNTS_TWO, "memory", "none");
	check_folder("", "", "", "none");
}

TEST(in_a_container_the_mount_begins_at_its_group)
{
	static const char mounts[] =
		"34 30 0:31 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

	check_folder("4:memory:/docker/x\n", mounts, "memory", "/sys/fs/cgroup/memory");
	check_folder("4:memory:/docker/x/y\n", mounts, "memory", "/sys/fs/cgroup/memory/y");
}

TEST(the_tightest_group_on_the_way_up_counts)
{
	struct facts facts;

	make_root();
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/proc/self/mountinfo", MOUNTS_TWO);
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	put("/sys/fs/cgroup/a/memory.max", "1073741824\n");
	put("/sys/fs/cgroup/a/memory.current", "4096\n");
	put("/sys/fs/cgroup/a/b/pids.max", "100\n");
	put("/sys/fs/cgroup/a/b/pids.current", "7\n");
	put("/sys/fs/cgroup/a/pids.max", "200\n");
	put("/sys/fs/cgroup/a/pids.current", "20\n");
	gb__facts_read(root, &facts);
	CHECK_INT(facts.cpu_quota_milli, 1500);
	CHECK_INT(facts.cgroup_memory_max_bytes, 1073741824);
	CHECK_INT(facts.cgroup_memory_now_bytes, 4096);
	CHECK_INT(facts.cgroup_pids_max, 100);
	CHECK_INT(facts.cgroup_pids_now, 7);
	remove_root();
}

TEST(version_one_writes_no_limit_in_its_own_ways)
{
	struct facts facts;

	make_root();
	put("/proc/self/cgroup", "4:memory:/x\n1:cpuacct,cpu:/x\n");
	put("/proc/self/mountinfo", MOUNTS_ONE);
	put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
	gb__facts_read(root, &facts);
	CHECK(facts.cgroup_memory_max_bytes == FACT_UNLIMITED);
	CHECK(facts.cpu_quota_milli == FACT_UNLIMITED);
	CHECK(facts.cgroup_pids_max == FACT_UNKNOWN);
	put("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "50000\n");
	gb__facts_read(root, &facts);
	CHECK_INT(facts.cpu_quota_milli, 500);
	remove_root();
}
