#include "doctor/json.h"
#include "doctor/facts.h"

#define INNER_LINES 3u /* deeper than this stays on one line */

static void line_break(struct json *json)
{
	if (json->depth >= INNER_LINES) {
		if (json->begun)
			fputc(' ', json->stream);
		return;
	}
	fputc('\n', json->stream);
	for (unsigned i = 0; i < json->depth; i++)
		fputs("  ", json->stream);
}

static void print_string(FILE *stream, const char *text)
{
	fputc('"', stream);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			fprintf(stream, "\\%c", byte);
		else if (byte < 0x20)
			fprintf(stream, "\\u%04x", byte);
		else
			fputc(byte, stream);
	}
	fputc('"', stream);
}

/* Everything before a value. */
static void begin(struct json *json, const char *key)
{
	if (json->begun)
		fputc(',', json->stream);
	if (json->depth > 0)
		line_break(json);
	json->begun = true;
	if (key) {
		print_string(json->stream, key);
		fputs(": ", json->stream);
	}
}

void gb__json_open(struct json *json, const char *key, char bracket)
{
	begin(json, key);
	fputc(bracket, json->stream);
	json->depth++;
	json->begun = false;
}

void gb__json_close(struct json *json, char bracket)
{
	bool empty = !json->begun;

	json->depth--;
	json->begun = false; /* no space before a bracket */
	if (!empty && json->depth + 1 < INNER_LINES)
		line_break(json);
	fputc(bracket, json->stream);
	json->begun = true;
	if (json->depth == 0)
		fputc('\n', json->stream);
}

void gb__json_text(struct json *json, const char *key, const char *text)
{
	begin(json, key);
	if (text)
		print_string(json->stream, text);
	else
		fputs("null", json->stream);
}

void gb__json_number(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	if (value == FACT_UNKNOWN)
		fputs("null", json->stream);
	else if (value == FACT_UNLIMITED)
		fputs("\"unlimited\"", json->stream);
	else
		fprintf(json->stream, "%llu", (unsigned long long)value);
}

void gb__json_decimal(struct json *json, const char *key, double value)
{
	begin(json, key);
	fprintf(json->stream, "%.1f", value);
}

void gb__json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", json->stream);
}
