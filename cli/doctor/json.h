/** Writing JSON: values with the comma that they need before them. */
#ifndef CLI_DOCTOR_JSON_H
#define CLI_DOCTOR_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** Where writing stands. Set the stream, zero the rest. */
struct json {
	FILE *stream;
	unsigned depth;
	bool begun; /* the innermost object or list has a member */
};

/* `key` is NULL within a list and for the outermost value. */

/** Open an object ('{') or a list ('['). */
void gb__json_open(struct json *json, const char *key, char bracket);

/** Close it ('}' or ']'); after the outermost one a newline follows. */
void gb__json_close(struct json *json, char bracket);

/** A string; NULL is null. */
void gb__json_text(struct json *json, const char *key, const char *text);

/** A number; FACT_UNKNOWN is null, FACT_UNLIMITED the string "unlimited". */
void gb__json_number(struct json *json, const char *key, uint64_t value);

/** A number with one digit after the point. */
void gb__json_decimal(struct json *json, const char *key, double value);

void gb__json_bool(struct json *json, const char *key, bool value);

#endif
