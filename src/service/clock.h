/**
 * The clock of services that tell the time, which a setting can freeze so that what they say can be compared.
 */
#ifndef SERVICE_CLOCK_H
#define SERVICE_CLOCK_H

#include <gearbox/clock.h>
#include <gearbox/setting.h>

#include <time.h>

/** What gb_service_clock_settings fill: a service's `user`. */
struct clock_settings {
	uint64_t clock;
};

/** One row, "clock". */
extern const struct gb_setting gb_service_clock_settings[];

/** The second to tell: the frozen one, or that of the system's clock. Thread: any. */
time_t gb_service_clock_now(const struct clock_settings *settings);

#endif
