#include "compare/metrics.h"

const struct compare_metric_row gb__compare_metrics[METRICS_COUNT] = {
#define METRIC(id, key, words, more, form, least) { key, words, more, form, least },
	METRICS(METRIC)
#undef METRIC
};
