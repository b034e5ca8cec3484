/** Numbers with units, as people write them: "30s", "64KiB". */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

struct gb__unit {
	const char *suffix;
	uint64_t factor;
};

/* Tables from the largest to the smallest unit, whose factor is 1; they end with a NULL suffix. */
extern const struct gb__unit gb__duration_units[]; /* ms, s, m, h in milliseconds; no unit is none */
extern const struct gb__unit gb__size_units[];     /* KiB, MiB, GiB in bytes; or no unit */
extern const struct gb__unit gb__count_units[];    /* no unit */

/**
 * Parse decimal digits and one of the units, with nothing before, between or after.
 *
 * Returns 0, -EINVAL (not such a number), -ERANGE (one, but beyond 64 bits).
 */
int gb__parse_units(const char *text, const struct gb__unit *units, uint64_t *ret);

/** gb__parse_units of a duration, where "0" needs no unit and "off" is 0. */
int gb__parse_duration(const char *text, uint64_t *ret_ms);

/** Write `value` in the largest unit that divides it. Returns the length as snprintf does. */
int gb__format_units(uint64_t value, const struct gb__unit *units, char *text, size_t size);

#endif
