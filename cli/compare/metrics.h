/** What is measured of a server, by name. A value that is not known is NAN, never 0. */
#ifndef COMPARE_METRICS_H
#define COMPARE_METRICS_H

#include "figure.h"

#include <stdbool.h>
#include <stddef.h>

/* name in JSON, words, more is better, printed as, so much is no difference */
#define METRICS(X) \
	X(MESSAGES_PER_SECOND, "messages_per_second", "messages/s", true, FORM_RATE, 0) \
	X(P50, "p50_ns", "p50", false, FORM_NS, 0) \
	X(P90, "p90_ns", "p90", false, FORM_NS, 0) \
	X(P99, "p99_ns", "p99", false, FORM_NS, 0) \
	X(P99_9, "p99_9_ns", "p99.9", false, FORM_NS, 0) \
	X(P99_99, "p99_99_ns", "p99.99", false, FORM_NS, 0) \
	X(MAX, "max_ns", "max", false, FORM_NS, 0) \
	X(CPU, "cpu_ns_per_message", "CPU/message", false, FORM_NS, 0) \
	X(INSTRUCTIONS, "instructions_per_message", "instructions/message", false, FORM_COUNT, 0) \
	X(SWITCHES, "context_switches_per_message", "switches/message", false, FORM_COUNT, 0.01) \
	X(SYSTEM_CALLS, "system_calls_per_message", "system calls/message", false, FORM_COUNT, 0.01) \
	X(MEMORY, "memory_per_connection_bytes", "memory/connection", false, FORM_BYTES, 256) \
	X(IDLE_CPU, "idle_cpu_share", "CPU while idle", false, FORM_SHARE, 0.01) \
	X(LOOP_DELAY, "loop_delay_p99_ns", "loop delay p99", false, FORM_NS, 0) \
	X(IMBALANCE, "imbalance", "imbalance", false, FORM_RATIO, 0.05) \
	X(IMBALANCE_DEVIATION, "imbalance_deviation", "deviation between workers", false, FORM_SHARE, 0.05)

enum compare_metric {
#define METRIC(id, key, words, more, form, least) METRIC_##id,
	METRICS(METRIC)
#undef METRIC
		METRICS_COUNT
};

struct compare_metric_row {
	const char *key, *words;
	bool more_is_better;
	enum figure_form form;
	double least; /* in its unit: a smaller difference is none, however precise */
};
extern const struct compare_metric_row gb__compare_metrics[METRICS_COUNT];

#endif
