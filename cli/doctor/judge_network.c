/* Accepting, port range and buffers: rows that are more than one number. */
#include "doctor/diagnosis.h"
#include "doctor/format.h"

#define PORT_FIRST 1024u
#define PORT_LAST 65535u
#define BUFFER_GOOD (UINT64_C(1) << 20)
#define ROUND_TRIP_MS 100u /* an example that people have a feeling for */

static void judge_cookies(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(diagnosis, "accepting", "net.ipv4.tcp_syncookies",
		"SYN cookies (tcp_syncookies)", "%s", gb__format_count(facts->syncookies, text));

	if (facts->syncookies != 0)
		return;
	gb__finding_judge(finding, VERDICT_LIMITS, "a flood of handshakes keeps others out");
	gb__change_text(gb__diagnosis_change(
				diagnosis, 0, finding, NULL, "answers when the queue of handshakes is full"),
		"sysctl -w net.ipv4.tcp_syncookies=1");
}

static void judge_migration(const struct facts *facts, struct diagnosis *diagnosis)
{
	char text[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(diagnosis, "accepting", "net.ipv4.tcp_migrate_req",
		"queues move (tcp_migrate_req)", "%s",
		facts->migrate_req == FACT_UNKNOWN ? "not there"
						   : gb__format_count(facts->migrate_req, text));

	if (facts->migrate_req == FACT_UNKNOWN) {
		gb__finding_judge(finding, VERDICT_CANNOT,
			"what waits on a closing socket of a reuseport group is lost; since Linux 5.14");
	} else if (facts->migrate_req == 0) {
		gb__finding_judge(finding, VERDICT_LIMITS,
			"what waits on a closing socket of a reuseport group is lost");
		gb__change_text(
			gb__diagnosis_change(diagnosis, 0, finding, "accept=reuseport",
				"what waits moves to another socket of the group; before the server starts"),
			"sysctl -w net.ipv4.tcp_migrate_req=1");
	}
}

static void judge_ports(const struct facts *facts, struct diagnosis *diagnosis)
{
	const uint64_t most = PORT_LAST - PORT_FIRST + 1;
	uint64_t ports, reserved = facts->ports_reserved < FACT_UNLIMITED ? facts->ports_reserved : 0;
	char text[FORMAT_MAX];
	struct finding *finding;

	if (facts->port_low >= FACT_UNLIMITED || facts->port_high < facts->port_low) {
		gb__diagnosis_add(
			diagnosis, "ports", "net.ipv4.ip_local_port_range", "local ports", "unknown");
		return;
	}
	ports = facts->port_high - facts->port_low + 1 - reserved;
	finding = gb__diagnosis_add(diagnosis, "ports", "net.ipv4.ip_local_port_range", "local ports",
		"%llu to %llu", (unsigned long long)facts->port_low, (unsigned long long)facts->port_high);
	gb__finding_judge(
		finding, VERDICT_OK, "%s outgoing per pair of addresses", gb__format_count(ports, text));
	for (size_t i = 0; i < diagnosis->target_count; i++) {
		uint64_t connections = diagnosis->targets[i];
		struct change *change;

		if (ports >= connections)
			continue;
		gb__finding_judge(finding, VERDICT_LIMITS, "%s outgoing per pair of addresses",
			gb__format_count(ports, text));
		if (ports < most - reserved) {
			change = gb__diagnosis_change(diagnosis, connections, finding, "outgoing connections",
				"load generators and proxies; keep listening ports out with ip_local_reserved_ports");
			gb__change_text(change, "sysctl -w net.ipv4.ip_local_port_range=\"%u %u\"",
				PORT_FIRST, PORT_LAST);
		}
		if (connections > most - reserved) {
			change = gb__diagnosis_change(diagnosis, connections, finding, "outgoing connections",
				"each pair of a source and a destination address has a range of its own");
			gb__change_text(change, "connect from or to %llu addresses",
				(unsigned long long)((connections + most - reserved - 1) /
					(most - reserved)));
		}
	}
}

static void judge_buffer(
	struct diagnosis *diagnosis, const char *key, const char *label, uint64_t normal, uint64_t max)
{
	char first[FORMAT_MAX], second[FORMAT_MAX];
	struct finding *finding = gb__diagnosis_add(diagnosis, "buffers", key, label, "%s to %s",
		gb__format_bytes(normal, first), gb__format_bytes(max, second));

	if (max >= FACT_UNLIMITED)
		return;
	gb__finding_judge(finding, max < BUFFER_GOOD ? VERDICT_LIMITS : VERDICT_OK,
		"at most %.0f Mbit/s over a round trip of %u ms", (double)max * 8 / ROUND_TRIP_MS / 1000,
		ROUND_TRIP_MS);
	if (max < BUFFER_GOOD)
		gb__change_text(gb__diagnosis_change(diagnosis, 0, finding, "long distances",
					"the third number; buffers grow to it only where it helps"),
			"sysctl -w %s=\"4096 %llu %llu\"", key,
			(unsigned long long)(normal < FACT_UNLIMITED ? normal : 16384),
			(unsigned long long)BUFFER_GOOD * 4);
}

static void judge_buffer_bound(
	struct diagnosis *diagnosis, const char *key, const char *label, const char *flag, uint64_t max)
{
	char text[FORMAT_MAX];
	struct finding *finding =
		gb__diagnosis_add(diagnosis, "buffers", key, label, "%s", gb__format_bytes(max, text));

	gb__finding_judge(finding, VERDICT_OK, "%s is cut to this", flag);
}

void gb__judge_network(const struct facts *facts, struct diagnosis *diagnosis)
{
	judge_cookies(facts, diagnosis);
	judge_migration(facts, diagnosis);
	judge_ports(facts, diagnosis);
	judge_buffer(diagnosis, "net.ipv4.tcp_rmem", "receiving (tcp_rmem)", facts->tcp_rmem_default,
		facts->tcp_rmem_max);
	judge_buffer(diagnosis, "net.ipv4.tcp_wmem", "sending (tcp_wmem)", facts->tcp_wmem_default,
		facts->tcp_wmem_max);
	judge_buffer_bound(
		diagnosis, "net.core.rmem_max", "receiving, at most (rmem_max)", "--rcvbuf", facts->rmem_max);
	judge_buffer_bound(
		diagnosis, "net.core.wmem_max", "sending, at most (wmem_max)", "--sndbuf", facts->wmem_max);
}
