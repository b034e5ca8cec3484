#include "figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct unit {
	double from; /* of the next smaller one */
	double size;
	const char *name;
};
static const struct unit times[] = { { 999.5e6, 1e9, " s" }, { 999.5e3, 1e6, " ms" }, { 999.5, 1e3, " µs" },
	{ 0, 1, " ns" } };
static const struct unit sizes[] = { { 1023.5 * 1048576, 1073741824, " GiB" },
	{ 1023.5 * 1024, 1048576, " MiB" }, { 1023.5, 1024, " KiB" }, { 0, 1, " B" } };

/* Three digits, never an exponent. */
static void three_digits(double value, const char *unit, char text[FIGURE_MAX])
{
	double size = fabs(value);
	int decimals = size == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;

	snprintf(text, FIGURE_MAX, "%.*f%s", decimals, value, unit);
}

static void in_unit(const struct unit *units, double value, char text[FIGURE_MAX])
{
	while (units->from > 0 && fabs(value) < units->from)
		units++;
	three_digits(value / units->size, units->name, text);
}

static void with_commas(double value, char text[FIGURE_MAX])
{
	char digits[FIGURE_MAX];
	size_t used = 0, length;

	snprintf(digits, sizeof(digits), "%.0f", value < 1e15 ? value : 1e15);
	length = strlen(digits);
	for (size_t i = 0; i < length && used + 2 < FIGURE_MAX; i++) {
		text[used++] = digits[i];
		if ((length - i) % 3 == 1 && i + 1 < length)
			text[used++] = ',';
	}
	text[used] = '\0';
}

const char *gb__figure(enum figure_form form, double value, char text[FIGURE_MAX])
{
	if (!isfinite(value)) {
		snprintf(text, FIGURE_MAX, "–");
		return text;
	}
	switch (form) {
	case FORM_RATE:
	case FORM_COUNT:
		if (value >= 999.5)
			with_commas(value, text);
		else
			three_digits(value, "", text);
		break;
	case FORM_NS:
		in_unit(times, value, text);
		break;
	case FORM_BYTES:
		in_unit(sizes, value, text);
		break;
	case FORM_SHARE:
		snprintf(text, FIGURE_MAX, "%.1f %%", 100 * value);
		break;
	case FORM_RATIO:
		snprintf(text, FIGURE_MAX, "%.2f", value);
		break;
	}
	return text;
}
