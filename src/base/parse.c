#include "base/parse.h"

#include <gearbox/setting.h>

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const struct gb__unit gb__duration_units[] = { { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
	{ NULL, 0 } };
const struct gb__unit gb__size_units[] = { { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 },
	{ "", 1 }, { NULL, 0 } };
const struct gb__unit gb__count_units[] = { { "", 1 }, { NULL, 0 } };

int gb__parse_units(const char *text, const struct gb__unit *units, uint64_t *ret)
{
	const char *at = text;
	bool overflow = false;
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		overflow |= __builtin_mul_overflow(value, 10u, &value);
		overflow |= __builtin_add_overflow(value, (unsigned)(*at - '0'), &value);
	}
	if (at == text)
		return -EINVAL;
	while (units->suffix && strcmp(at, units->suffix) != 0)
		units++;
	if (!units->suffix)
		return -EINVAL;
	overflow |= __builtin_mul_overflow(value, units->factor, &value);
	if (overflow)
		return -ERANGE;
	*ret = value;
	return 0;
}

int gb__parse_duration(const char *text, uint64_t *ret_ms)
{
	if (strcmp(text, "0") == 0 || strcmp(text, "off") == 0) {
		*ret_ms = 0;
		return 0;
	}
	return gb__parse_units(text, gb__duration_units, ret_ms);
}

int gb__format_units(uint64_t value, const struct gb__unit *units, char *text, size_t size)
{
	while (units->factor > 1 && (value == 0 || value % units->factor != 0))
		units++;
	return snprintf(text, size, "%" PRIu64 "%s", value / units->factor, units->suffix);
}

int gb_parse_switch(const char *text, bool *ret)
{
	static const char *const words[][2] = { { "no", "yes" }, { "off", "on" }, { "false", "true" },
		{ "0", "1" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		for (int yes = 0; yes < 2; yes++)
			if (strcmp(text, words[i][yes]) == 0) {
				*ret = yes;
				return 0;
			}
	return -GB_EUSAGE;
}

int gb_parse_duration(const char *text, uint64_t *ret_ms)
{
	return gb__parse_duration(text, ret_ms) < 0 ? -GB_EUSAGE : 0;
}

int gb_parse_size(const char *text, uint64_t *ret_bytes)
{
	return gb__parse_units(text, gb__size_units, ret_bytes) < 0 ? -GB_EUSAGE : 0;
}
