#include "clock.h"

#define CLOCK_MAX 253402214399u /* a day before the year 10000: four digits in every time zone */

const struct gb_setting gb_service_clock_settings[] = {
	{ "clock", GB_SETTING_COUNT, offsetof(struct clock_settings, clock), .fallback = "0",
		.max = CLOCK_MAX, .argument = "SECONDS",
		.summary =
			"tell this time, in seconds since 1970, instead of the real one; 0 for the real one" },
	{ NULL },
};

time_t gb_service_clock_now(const struct clock_settings *settings)
{
	return settings->clock ? (time_t)settings->clock : (time_t)(gb_clock_wall_ns() / 1000000000);
}
