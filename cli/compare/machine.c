#include "compare/machine.h"

#include "doctor/facts.h"
#include "tls/tls.h"

#include <gearbox/gearbox.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 256

/* "model name : …" of the first CPU, or "". */
static void name_cpu(char *ret, size_t size)
{
	char line[TEXT_MAX];
	FILE *file = fopen("/proc/cpuinfo", "re");

	*ret = '\0';
	while (file && !*ret && fgets(line, sizeof(line), file))
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(ret, size, "%s", strchr(line, ':') + 1 + strspn(strchr(line, ':') + 1, " "));
		}
	if (file)
		fclose(file);
}

static json_t *number_of(uint64_t value, double divisor)
{
	if (value == FACT_UNKNOWN || value == FACT_UNLIMITED)
		return json_null();
	return divisor > 1 ? json_real((double)value / divisor) : json_integer((json_int_t)value);
}

json_t *gb__compare_machine(bool tls)
{
	char host[TEXT_MAX] = "", cpu[TEXT_MAX], kernel[160];
	struct facts facts;
	json_t *machine;

	gb__facts_read("", &facts);
	gb__facts_ask(&facts);
	gethostname(host, sizeof(host) - 1);
	name_cpu(cpu, sizeof(cpu));
	snprintf(kernel, sizeof(kernel), "Linux %s", facts.kernel);
	machine = json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:s, s:s, s:s}", "host", gb__json_text(host),
		"cpu", gb__json_text(*cpu ? cpu : facts.architecture), "cpus",
		number_of(facts.cpus_online, 1), "cpus_allotted", (json_int_t)gb__facts_cpus_allotted(&facts),
		"quota", number_of(facts.cpu_quota_milli, 1000), "memory_bytes",
		number_of(facts.memory_bytes, 1), "kernel", gb__json_text(kernel), "gearbox", GB_VERSION,
		"commit", gb__compare_commit, "compiler", __VERSION__);
	if (tls)
		json_object_set_new(machine, "openssl", gb__json_text(gb__tls_library()));
	return machine;
}
