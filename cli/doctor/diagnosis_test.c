/* Judging: machines made up, one too small in one respect at a time. */
#include "doctor/diagnosis.h"
#include "harness.h"

#include <errno.h>
#include <signal.h>

#define MILLION 1000000u
#define GIB (UINT64_C(1) << 30)

static struct diagnosis diagnosis;

/* A machine on which nothing is in the way of a million connections. */
static struct facts large_machine(void)
{
	return (struct facts){
		.kernel = "6.18.0",
		.architecture = "x86_64",
		.page_bytes = 4096,
		.privileged = 0,
		.nofile_soft = 1024,
		.nofile_hard = 2 * MILLION,
		.nr_open = 4 * MILLION,
		.file_max = FACT_UNLIMITED,
		.files_open = 1000,
		.uring_disabled = 0,
		.seccomp = 0,
		.memlock_bytes = 8 << 20,
		.somaxconn = 65535,
		.syn_backlog = 2048,
		.syncookies = 1,
		.migrate_req = 1,
		.port_low = 1024,
		.port_high = 65535,
		.ports_reserved = 0,
		.tcp_rmem_default = 131072,
		.tcp_rmem_max = 6 << 20,
		.tcp_wmem_default = 16384,
		.tcp_wmem_max = 4 << 20,
		.rmem_max = 4 << 20,
		.wmem_max = 4 << 20,
		.tcp_mem_pressure = 2 * MILLION,
		.tcp_mem_max = 3 * MILLION,
		.tcp_mem_now = 10,
		.conntrack_max = FACT_UNKNOWN,
		.conntrack_now = FACT_UNKNOWN,
		.stack_bytes = 8 << 20,
		.overcommit = 0,
		.threads_max = 2 * MILLION,
		.threads_now = 200,
		.pid_max = 4194304,
		.map_count_max = 4 * MILLION,
		.nproc = FACT_UNLIMITED,
		.cgroup_pids_max = FACT_UNLIMITED,
		.cgroup_pids_now = 5,
		.cpus_online = 16,
		.cpus_affine = 16,
		.cpu_quota_milli = FACT_UNLIMITED,
		.memory_bytes = 256 * GIB,
		.memory_available_bytes = 250 * GIB,
		.cgroup_memory_max_bytes = FACT_UNLIMITED,
		.cgroup_memory_now_bytes = FACT_UNKNOWN,
		.connection_bytes = 4000,
		.thread_bytes = 30000,
		.loopback_mtu = 65536,
	};
}

static void judge_with(const struct facts *facts, const struct gb__uring_probe *uring, uint64_t connections)
{
	gb__diagnose(facts, uring, &connections, 1, &diagnosis);
}

static void judge(const struct facts *facts, uint64_t connections)
{
	const struct gb__uring_probe works = { .features = ~0u };

	judge_with(facts, &works, connections);
}

static const struct finding *row(const char *key)
{
	for (size_t i = 0; i < diagnosis.finding_count; i++)
		if (strcmp(diagnosis.findings[i].key, key) == 0)
			return &diagnosis.findings[i];
	test_fail(__FILE__, __LINE__, "no row %s", key);
}

static void check_verdict(const char *key, enum verdict expected)
{
	CHECK_STR(gb__verdict_text(row(key)->verdict), gb__verdict_text(expected));
}

/* The only changes are these of this row. */
static void check_change(size_t index, uint64_t connections, const char *key, const char *text)
{
	CHECK(index < diagnosis.change_count);
	CHECK_STR(diagnosis.changes[index].text, text);
	CHECK_STR(diagnosis.changes[index].key, key);
	CHECK_INT(diagnosis.changes[index].connections, connections);
}

TEST(a_large_machine_has_nothing_to_change_but_for_outgoing_ports)
{
	struct facts facts = large_machine();

	judge(&facts, 60000);
	CHECK_INT(diagnosis.change_count, 0);
	for (size_t i = 0; i < diagnosis.finding_count; i++)
		CHECK_INT(diagnosis.findings[i].verdict, VERDICT_OK);
	judge(&facts, MILLION);
	CHECK_INT(diagnosis.change_count, 1);
	check_change(0, MILLION, "net.ipv4.ip_local_port_range", "connect from or to 16 addresses");
	CHECK_STR(diagnosis.changes[0].only_for, "outgoing connections");
}

TEST(unknown_facts_are_in_nobodys_way)
{
	struct facts facts = large_machine();

	for (const struct fact_name *name = gb__fact_names; name->name; name++)
		memset((char *)&facts + name->offset, 0xff, sizeof(uint64_t));
	judge(&facts, MILLION);
	CHECK_INT(diagnosis.change_count, 0);
	check_verdict("net.ipv4.tcp_migrate_req", VERDICT_CANNOT); /* the kernel is too old to have it */
}

TEST(descriptors_are_one_a_connection_and_some)
{
	struct facts facts = large_machine();

	facts.nofile_hard = 10000;
	judge(&facts, 10000);
	check_verdict("nofile-hard", VERDICT_LIMITS);
	check_verdict("nofile-soft", VERDICT_OK);
	CHECK_INT(diagnosis.change_count, 1);
	check_change(0, 10000, "nofile-hard", "ulimit -n 10132");
	facts.nofile_hard = 10132;
	judge(&facts, 10000);
	CHECK_INT(diagnosis.change_count, 0);
	facts.nr_open = 5000;
	facts.file_max = 11131;
	judge(&facts, 10000);
	CHECK_INT(diagnosis.change_count, 2);
	check_change(0, 10000, "fs.nr_open", "sysctl -w fs.nr_open=10132");
	check_change(1, 10000, "fs.file-max", "sysctl -w fs.file-max=11132");
}

TEST(backlog_grows_with_connections_up_to_what_kernels_take)
{
	struct facts facts = large_machine();

	facts.port_low = FACT_UNKNOWN;
	facts.somaxconn = 127;
	judge(&facts, 10);
	check_change(0, 10, "net.core.somaxconn", "sysctl -w net.core.somaxconn=128");
	facts.somaxconn = 500;
	judge(&facts, 10000);
	check_verdict("net.core.somaxconn", VERDICT_OK);
	judge(&facts, 10020);
	check_change(0, 10020, "net.core.somaxconn", "sysctl -w net.core.somaxconn=501");
	facts.somaxconn = 65535;
	facts.nofile_hard = facts.nr_open = FACT_UNLIMITED;
	judge(&facts, 2 * MILLION);
	check_verdict("net.core.somaxconn", VERDICT_OK);
}

TEST(syn_backlog_counts_only_without_cookies)
{
	struct facts facts = large_machine();

	facts.syn_backlog = 128;
	judge(&facts, 60000);
	check_verdict("net.ipv4.tcp_max_syn_backlog", VERDICT_OK);
	facts.syncookies = 0;
	judge(&facts, 60000);
	check_verdict("net.ipv4.tcp_max_syn_backlog", VERDICT_LIMITS);
	CHECK_INT(diagnosis.change_count, 2);
	check_change(0, 60000, "net.ipv4.tcp_max_syn_backlog", "sysctl -w net.ipv4.tcp_max_syn_backlog=4000");
	check_change(1, 0, "net.ipv4.tcp_syncookies", "sysctl -w net.ipv4.tcp_syncookies=1");
}

TEST(connection_tracking_counts_only_where_it_tracks)
{
	struct facts facts = large_machine();

	facts.conntrack_max = 1000;
	facts.conntrack_now = 0;
	judge(&facts, 10000);
	CHECK_INT(diagnosis.change_count, 0);
	facts.conntrack_now = 5;
	judge(&facts, 10000);
	check_change(
		0, 10000, "net.netfilter.nf_conntrack_max", "sysctl -w net.netfilter.nf_conntrack_max=10005");
}

TEST(ports_are_widened_before_addresses_are_added)
{
	struct facts facts = large_machine();

	facts.port_low = 32768;
	facts.port_high = 60999;
	judge(&facts, 28232);
	CHECK_INT(diagnosis.change_count, 0);
	judge(&facts, 28233);
	CHECK_INT(diagnosis.change_count, 1);
	check_change(0, 28233, "net.ipv4.ip_local_port_range",
		"sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"");
	judge(&facts, 64513);
	CHECK_INT(diagnosis.change_count, 2);
	check_change(1, 64513, "net.ipv4.ip_local_port_range", "connect from or to 2 addresses");
}

TEST(memory_that_is_not_there_cannot_be_set)
{
	struct facts facts = large_machine();

	facts.memory_available_bytes = GIB;
	judge(&facts, MILLION);
	check_verdict("connection", VERDICT_CANNOT);
	check_verdict("thread", VERDICT_CANNOT);
	check_verdict("kernel.threads-max", VERDICT_OK); /* more threads would not help */
	facts = large_machine();
	facts.cgroup_memory_max_bytes = 2 * GIB;
	facts.cgroup_memory_now_bytes = GIB;
	CHECK_INT(gb__diagnosis_memory_left(&facts), GIB);
	judge(&facts, MILLION);
	check_verdict("connection", VERDICT_LIMITS);
	facts.cgroup_memory_now_bytes = 3 * GIB;
	CHECK_INT(gb__diagnosis_memory_left(&facts), 0);
}

TEST(data_under_way_needs_a_page_each)
{
	struct facts facts = large_machine();

	facts.tcp_mem_max = 10000;
	judge(&facts, 10000);
	check_verdict("net.ipv4.tcp_mem", VERDICT_LIMITS);
	check_change(0, 10000, "net.ipv4.tcp_mem", "sysctl -w net.ipv4.tcp_mem=\"5005 6672 10010\"");
}

TEST(threads_are_limited_in_five_ways)
{
	struct facts facts = large_machine();

	facts.threads_max = facts.pid_max = facts.map_count_max = facts.nproc = facts.cgroup_pids_max = 1000;
	judge(&facts, 10000);
	CHECK_INT(diagnosis.change_count, 5);
	check_change(0, 10000, "kernel.threads-max", "sysctl -w kernel.threads-max=10264");
	check_change(1, 10000, "kernel.pid_max", "sysctl -w kernel.pid_max=10264");
	check_change(2, 10000, "vm.max_map_count", "sysctl -w vm.max_map_count=20256");
	check_change(3, 10000, "nproc", "ulimit -u 10064");
	check_change(4, 10000, "pids.max", "systemctl set-property UNIT TasksMax=10069");
	facts.privileged = 1;
	judge(&facts, 10000);
	check_verdict("nproc", VERDICT_OK);
}

TEST(fewer_cpus_than_the_machine_has_are_told)
{
	struct facts facts = large_machine();

	facts.cpu_quota_milli = 2500;
	judge(&facts, 100);
	check_verdict("cpus", VERDICT_LIMITS);
	CHECK_STR(row("cpus")->value, "3 of 16");
	facts.cpu_quota_milli = FACT_UNKNOWN;
	facts.cpus_affine = 4;
	judge(&facts, 100);
	check_verdict("cpus", VERDICT_LIMITS);
}

static void check_refusal(
	const struct gb__uring_probe *probe, const struct facts *facts, const char *note, bool curable)
{
	judge_with(facts, probe, 100);
	check_verdict("io_uring", VERDICT_CANNOT);
	if (!strstr(row("io_uring")->note, note))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", row("io_uring")->note, note);
	CHECK_INT(diagnosis.change_count, curable);
}

TEST(a_refusal_of_rings_names_who_refuses)
{
	struct facts facts = large_machine();
	const struct gb__uring_probe not_permitted = { .code = -EPERM }, not_there = { .code = -ENOSYS },
				     old = { .code = -EINVAL }, no_memory = { .code = -ENOMEM },
				     killed = { .code = -EINTR, .signal_number = SIGSYS };

	check_refusal(&old, &facts, "too old", false);
	check_refusal(&no_memory, &facts, "locked", true);
	check_refusal(&killed, &facts, "seccomp filter kills", true);
	facts.seccomp = 2;
	check_refusal(&not_permitted, &facts, "a seccomp filter hides it", true);
	check_refusal(&not_there, &facts, "a seccomp filter hides it", true);
	facts.seccomp = 0;
	facts.uring_disabled = FACT_UNKNOWN;
	check_refusal(&not_there, &facts, "not in this kernel", false);
	facts.uring_disabled = 2;
	check_refusal(&not_permitted, &facts, "kernel.io_uring_disabled=2", true);
	check_change(0, 0, "io_uring", "sysctl -w kernel.io_uring_disabled=0");
	facts.uring_disabled = 1;
	check_refusal(&not_permitted, &facts, "kernel.io_uring_group", true);
}

TEST(a_missing_feature_of_rings_is_a_row_of_its_own)
{
	struct facts facts = large_machine();
	const struct gb__uring_probe some = { .features = URING_MULTISHOT_RECV | URING_PROVIDED_BUFFERS };

	judge_with(&facts, &some, 100);
	check_verdict("io_uring", VERDICT_OK);
	check_verdict("io_uring.buffer-rings", VERDICT_OK);
	check_verdict("io_uring.multishot-recv", VERDICT_LIMITS); /* it loses the stream's end */
	check_verdict("io_uring.send-zerocopy", VERDICT_CANNOT);
	CHECK_INT(diagnosis.change_count, 0);
}

TEST(the_first_target_that_lacks_something_is_in_the_note)
{
	struct facts facts = large_machine();
	const struct gb__uring_probe works = { .features = ~0u };
	const uint64_t targets[] = { 10000, MILLION };

	facts.nofile_hard = 20000;
	facts.port_low = FACT_UNKNOWN;
	gb__diagnose(&facts, &works, targets, 2, &diagnosis);
	CHECK_STR(row("nofile-hard")->note, "1,000,000 connections need 1,000,132");
	CHECK_INT(diagnosis.change_count, 1);
	facts.nofile_hard = 200;
	gb__diagnose(&facts, &works, targets, 2, &diagnosis);
	CHECK_STR(row("nofile-hard")->note, "10,000 connections need 10,132");
	CHECK_INT(diagnosis.change_count, 2);
}
