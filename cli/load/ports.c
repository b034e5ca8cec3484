#include "load/ports.h"

#include <stdio.h>
#include <string.h>

#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range" /* of both families */

int gb__load_ports_suffice_of(const char *range, uint64_t connections, struct gb_error *error)
{
	unsigned first, last;

	if (sscanf(range, "%u %u", &first, &last) != 2 || last < first ||
		connections <= last - first + UINT64_C(1))
		return 0; /* whatever is wrong, connecting tells */
	return gb_error_set(error, -GB_EUSAGE,
		"--connections %llu is more than there are ports for one address: write at most %u, or widen "
		"net.ipv4.ip_local_port_range (%u to %u)",
		(unsigned long long)connections, last - first + 1, first, last);
}

int gb__load_ports_suffice(const char *address, uint64_t connections, struct gb_error *error)
{
	char range[64] = "";
	const bool local = strncmp(address, "unix:", 5) == 0 || strncmp(address, "unix-seqpacket:", 15) == 0;
	FILE *file = local ? NULL : fopen(RANGE_FILE, "re");

	if (!file)
		return 0;
	if (!fgets(range, sizeof(range), file))
		range[0] = '\0';
	fclose(file);
	return gb__load_ports_suffice_of(range, connections, error);
}
