/**
 * What the kernel says about this machine and this process, as numbers. Reading only: nothing is judged here.
 *
 * Every number that comes from a file is a row of FACTS, read below a root folder, so that tests can hand in
 * a machine of their own.
 */
#ifndef CLI_DOCTOR_FACTS_H
#define CLI_DOCTOR_FACTS_H

#include <stddef.h>
#include <stdint.h>

#define FACT_UNKNOWN UINT64_MAX         /* the kernel does not say */
#define FACT_UNLIMITED (UINT64_MAX - 1) /* "max", "unlimited"; compares as more than any number */

#define FACTS_SYS_NET "/proc/sys/net/ipv4/"

/* name, the file it is read from (NULL: by gb__facts_ask, the cgroup or a measurement), which word of it */
#define FACTS(X) \
	X(page_bytes, NULL, 0) \
	X(privileged, NULL, 0) /* 1: holds CAP_SYS_RESOURCE, limits can be raised and do not bind */ \
	X(nofile_soft, NULL, 0) \
	X(nofile_hard, NULL, 0) \
	X(nr_open, "/proc/sys/fs/nr_open", 0) \
	X(file_max, "/proc/sys/fs/file-max", 0) \
	X(files_open, "/proc/sys/fs/file-nr", 0) \
	X(uring_disabled, "/proc/sys/kernel/io_uring_disabled", 0) \
	X(seccomp, NULL, 0) /* of /proc/self/status: 0 none, 1 strict, 2 a filter */ \
	X(memlock_bytes, NULL, 0) \
	X(somaxconn, "/proc/sys/net/core/somaxconn", 0) \
	X(syn_backlog, FACTS_SYS_NET "tcp_max_syn_backlog", 0) \
	X(syncookies, FACTS_SYS_NET "tcp_syncookies", 0) \
	X(migrate_req, FACTS_SYS_NET "tcp_migrate_req", 0) \
	X(port_low, FACTS_SYS_NET "ip_local_port_range", 0) \
	X(port_high, FACTS_SYS_NET "ip_local_port_range", 1) \
	X(ports_reserved, NULL, 0) /* of those between low and high */ \
	X(tcp_rmem_default, FACTS_SYS_NET "tcp_rmem", 1) \
	X(tcp_rmem_max, FACTS_SYS_NET "tcp_rmem", 2) \
	X(tcp_wmem_default, FACTS_SYS_NET "tcp_wmem", 1) \
	X(tcp_wmem_max, FACTS_SYS_NET "tcp_wmem", 2) \
	X(rmem_max, "/proc/sys/net/core/rmem_max", 0) \
	X(wmem_max, "/proc/sys/net/core/wmem_max", 0) \
	X(tcp_mem_pressure, FACTS_SYS_NET "tcp_mem", 1) \
	X(tcp_mem_max, FACTS_SYS_NET "tcp_mem", 2) /* pages, as the other two */ \
	X(tcp_mem_now, NULL, 0) \
	X(conntrack_max, "/proc/sys/net/netfilter/nf_conntrack_max", 0) \
	X(conntrack_now, "/proc/sys/net/netfilter/nf_conntrack_count", 0) \
	X(stack_bytes, NULL, 0) \
	X(overcommit, "/proc/sys/vm/overcommit_memory", 0) \
	X(threads_max, "/proc/sys/kernel/threads-max", 0) \
	X(threads_now, NULL, 0) \
	X(pid_max, "/proc/sys/kernel/pid_max", 0) \
	X(map_count_max, "/proc/sys/vm/max_map_count", 0) \
	X(nproc, NULL, 0) \
	X(cgroup_pids_max, NULL, 0) \
	X(cgroup_pids_now, NULL, 0) \
	X(cpus_online, NULL, 0) \
	X(cpus_affine, NULL, 0) \
	X(cpu_quota_milli, NULL, 0) /* thousandths of a CPU */ \
	X(memory_bytes, NULL, 0) \
	X(memory_available_bytes, NULL, 0) \
	X(cgroup_memory_max_bytes, NULL, 0) \
	X(cgroup_memory_now_bytes, NULL, 0) \
	X(connection_bytes, NULL, 0) /* one end of an idle connection in the kernel, see memory.h */ \
	X(thread_bytes, NULL, 0)     /* an idle thread, see memory.h */ \
	X(loopback_mtu, "/sys/class/net/lo/mtu", 0)

struct facts {
	char kernel[65], architecture[65]; /* of uname(2) */
#define FACTS_FIELD(name, path, column) uint64_t name;
	FACTS(FACTS_FIELD)
#undef FACTS_FIELD
};

/** The name of each number, for walking over all of them; ends with NULL. */
struct fact_name {
	const char *name;
	size_t offset;
};
extern const struct fact_name gb__fact_names[];

/** The number at an offset of the struct. */
uint64_t gb__fact_at(const struct facts *facts, size_t offset);

/** Every number becomes FACT_UNKNOWN, then what files below `root` ("" for this machine) say is filled in. */
void gb__facts_read(const char *root, struct facts *ret);

/** Fill in what is asked by system calls: limits of this process, CPUs, uname. */
void gb__facts_ask(struct facts *facts);

/** CPUs that this process may use: online, by affinity, by quota rounded up; at least 1. */
uint64_t gb__facts_cpus_allotted(const struct facts *facts);

/** Read a file below `root` into `text`, always terminated, cut at `size`. Returns 0 or a negative errno. */
int gb__facts_file(const char *root, const char *path, char *text, size_t size);

/** A word of `text` as a number; "max" and "unlimited" are FACT_UNLIMITED, all else is FACT_UNKNOWN. */
uint64_t gb__facts_word(const char *text, unsigned column);

/** The number in the line "KEY: 123 kB" of `text`, in the line's own unit. */
uint64_t gb__facts_line(const char *text, const char *key);

/** How many ports between low and high, both inclusive, a list such as "80,8000-8010" reserves. */
uint64_t gb__facts_ports_reserved(const char *list, uint64_t low, uint64_t high);

#endif
