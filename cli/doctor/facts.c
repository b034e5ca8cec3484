#include "doctor/facts.h"
#include "doctor/cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 16384u
#define CAP_SYS_RESOURCE_BIT 24u /* capabilities(7) */

static const struct {
	const char *path;
	unsigned column;
	size_t offset;
} sources[] = {
#define FACTS_SOURCE(name, path, column) { path, column, offsetof(struct facts, name) },
	FACTS(FACTS_SOURCE)
#undef FACTS_SOURCE
};

const struct fact_name gb__fact_names[] = {
#define FACTS_NAME(name, path, column) { #name, offsetof(struct facts, name) },
	FACTS(FACTS_NAME)
#undef FACTS_NAME
		{ NULL, 0 },
};

static void put(struct facts *facts, size_t offset, uint64_t value)
{
	memcpy((char *)facts + offset, &value, sizeof(value));
}

uint64_t gb__fact_at(const struct facts *facts, size_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)facts + offset, sizeof(value));
	return value;
}

int gb__facts_file(const char *root, const char *path, char *text, size_t size)
{
	char full[1024];
	size_t used = 0;
	ssize_t got;
	int fd;

	text[0] = '\0';
	if ((size_t)snprintf(full, sizeof(full), "%s%s", root, path) >= sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) != 0) {
		if (got < 0) {
			got = -errno;
			close(fd);
			text[0] = '\0';
			return (int)got;
		}
		used += (size_t)got;
	}
	close(fd);
	text[used] = '\0';
	return 0;
}

uint64_t gb__facts_word(const char *text, unsigned column)
{
	size_t size;
	char *end;
	uint64_t value;

	for (;; column--, text += size) {
		text += strspn(text, " \t\n");
		size = strcspn(text, " \t\n");
		if (size == 0 || column == 0)
			break;
	}
	if ((size == 3 && strncmp(text, "max", 3) == 0) || (size == 9 && strncmp(text, "unlimited", 9) == 0))
		return FACT_UNLIMITED;
	if (!isdigit((unsigned char)*text))
		return FACT_UNKNOWN;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (end != text + size)
		return FACT_UNKNOWN;
	return errno == ERANGE || value > FACT_UNLIMITED ? FACT_UNLIMITED : value;
}

uint64_t gb__facts_line(const char *text, const char *key)
{
	size_t size = strlen(key);

	while (text && *text) {
		if (strncmp(text, key, size) == 0 && text[size] == ':')
			return gb__facts_word(text + size + 1, 0);
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return FACT_UNKNOWN;
}

uint64_t gb__facts_ports_reserved(const char *list, uint64_t low, uint64_t high)
{
	uint64_t count = 0;

	while (isdigit((unsigned char)*list)) {
		char *end;
		uint64_t first = strtoull(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoull(end + 1, &end, 10);
		if (first < low)
			first = low;
		if (last > high)
			last = high;
		if (first <= last)
			count += last - first + 1;
		list = *end == ',' ? end + 1 : "";
	}
	return count;
}

/* A line of kibibytes in bytes. */
static uint64_t kib_line(const char *text, const char *key)
{
	uint64_t value = gb__facts_line(text, key);

	return value < FACT_UNLIMITED / 1024 ? value * 1024 : value;
}

/* "… 2/1234 …" of /proc/loadavg: 1234 threads exist. */
static uint64_t threads_now(const char *loadavg)
{
	const char *slash = strchr(loadavg, '/');

	return slash ? gb__facts_word(slash + 1, 0) : FACT_UNKNOWN;
}

/* "TCP: inuse 5 orphan 0 tw 0 alloc 9 mem 3" of /proc/net/sockstat: 3 pages hold data. */
static uint64_t tcp_mem_now(const char *sockstat)
{
	const char *line = strstr(sockstat, "TCP:"), *mem;

	if (!line)
		return FACT_UNKNOWN;
	mem = strstr(line, " mem ");
	return mem ? gb__facts_word(mem + 5, 0) : FACT_UNKNOWN;
}

static uint64_t may_exceed_limits(const char *status)
{
	const char *line = strstr(status, "CapEff:");

	if (!line)
		return FACT_UNKNOWN;
	return strtoull(line + strlen("CapEff:"), NULL, 16) >> CAP_SYS_RESOURCE_BIT & 1;
}

void gb__facts_read(const char *root, struct facts *ret)
{
	char text[TEXT_MAX];

	ret->kernel[0] = ret->architecture[0] = '\0';
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
		put(ret, sources[i].offset, FACT_UNKNOWN);
		if (sources[i].path && gb__facts_file(root, sources[i].path, text, sizeof(text)) == 0)
			put(ret, sources[i].offset, gb__facts_word(text, sources[i].column));
	}
	if (ret->port_low < FACT_UNLIMITED && ret->port_high < FACT_UNLIMITED &&
		gb__facts_file(root, FACTS_SYS_NET "ip_local_reserved_ports", text, sizeof(text)) == 0)
		ret->ports_reserved = gb__facts_ports_reserved(text, ret->port_low, ret->port_high);
	if (gb__facts_file(root, "/proc/meminfo", text, sizeof(text)) == 0) {
		ret->memory_bytes = kib_line(text, "MemTotal");
		ret->memory_available_bytes = kib_line(text, "MemAvailable");
	}
	if (gb__facts_file(root, "/proc/loadavg", text, sizeof(text)) == 0)
		ret->threads_now = threads_now(text);
	if (gb__facts_file(root, "/proc/net/sockstat", text, sizeof(text)) == 0)
		ret->tcp_mem_now = tcp_mem_now(text);
	if (gb__facts_file(root, "/proc/self/status", text, sizeof(text)) == 0) {
		ret->seccomp = gb__facts_line(text, "Seccomp");
		ret->privileged = may_exceed_limits(text);
	}
	gb__cgroup_read(root, ret);
}

uint64_t gb__facts_cpus_allotted(const struct facts *facts)
{
	uint64_t cpus = FACT_UNLIMITED;

	if (facts->cpus_online < cpus)
		cpus = facts->cpus_online;
	if (facts->cpus_affine < cpus)
		cpus = facts->cpus_affine;
	if (facts->cpu_quota_milli < FACT_UNLIMITED && (facts->cpu_quota_milli + 999) / 1000 < cpus)
		cpus = (facts->cpu_quota_milli + 999) / 1000;
	return cpus > 0 && cpus < FACT_UNLIMITED ? cpus : 1;
}
