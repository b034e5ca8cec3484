/** Numbers for people. Each returns `text`. */
#ifndef CLI_DOCTOR_FORMAT_H
#define CLI_DOCTOR_FORMAT_H

#include <stdint.h>

#define FORMAT_MAX 32

/** "1,048,576", "unlimited", "unknown". */
const char *gb__format_count(uint64_t value, char text[FORMAT_MAX]);

/** "512 B", "4.9 KiB", "8 MiB", "unlimited", "unknown". */
const char *gb__format_bytes(uint64_t value, char text[FORMAT_MAX]);

/** Nanoseconds without the unit: "85.3", "1,234". */
const char *gb__format_ns(double value, char text[FORMAT_MAX]);

#endif
