#include "base/escape.h"
#include "base/libc.h"

#include <gearbox/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *gb_strerror(int code)
{
	/* Not -code: INT_MIN has no counterpart. */
	unsigned value = code < 0 ? 0u - (unsigned)code : (unsigned)code;
	const char *text;

	switch (value) {
	case 0:
		return "success";
#define TEXT(name, number, words) \
	case name: \
		return words;
		GB_ERRORS(TEXT)
#undef TEXT
	}
	text = strerrordesc_np((int)value); /* unlike strerror: static and the same in every thread */
	return text ? text : "unknown error";
}

int gb_error_set(struct gb_error *error, int code, const char *format, ...)
{
	char raw[2 * sizeof(error->text)]; /* apart: the arguments may point into error->text */
	va_list arguments;

	if (!error)
		return code;
	va_start(arguments, format);
	if (vsnprintf(raw, sizeof(raw), format, arguments) < 0)
		raw[0] = '\0';
	va_end(arguments);
	error->code = code;
	gb__escape(raw, error->text, sizeof(error->text));
	return code;
}
