#include "doctor/format.h"
#include "doctor/facts.h"

#include <stdio.h>

const char *gb__format_count(uint64_t value, char text[FORMAT_MAX])
{
	char digits[FORMAT_MAX];
	size_t size, out = 0;

	if (value >= FACT_UNLIMITED) {
		snprintf(text, FORMAT_MAX, "%s", value == FACT_UNKNOWN ? "unknown" : "unlimited");
		return text;
	}
	size = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
	for (size_t i = 0; i < size; i++) {
		if (i > 0 && (size - i) % 3 == 0)
			text[out++] = ',';
		text[out++] = digits[i];
	}
	text[out] = '\0';
	return text;
}

const char *gb__format_bytes(uint64_t value, char text[FORMAT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double scaled = (double)value;
	uint64_t tenths;
	size_t unit = 0;

	if (value >= FACT_UNLIMITED)
		return gb__format_count(value, text);
	while (scaled >= 1024 && unit + 1 < sizeof(units) / sizeof(*units)) {
		scaled /= 1024;
		unit++;
	}
	/* One digit after the point where it says something. */
	tenths = (uint64_t)(scaled * 10 + 0.5);
	if (unit > 0 && scaled < 100 && tenths % 10 > 0)
		snprintf(text, FORMAT_MAX, "%.1f %s", scaled, units[unit]);
	else
		snprintf(text, FORMAT_MAX, "%.0f %s", scaled, units[unit]);
	return text;
}

const char *gb__format_ns(double value, char text[FORMAT_MAX])
{
	if (value >= 99.95)
		return gb__format_count((uint64_t)(value + 0.5), text);
	snprintf(text, FORMAT_MAX, "%.1f", value);
	return text;
}
