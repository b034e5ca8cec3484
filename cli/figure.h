/** Figures for people, with their units. */
#ifndef FIGURE_H
#define FIGURE_H

enum figure_form { FORM_RATE, FORM_NS, FORM_COUNT, FORM_BYTES, FORM_SHARE, FORM_RATIO };

#define FIGURE_MAX 32
/** "215,000", "1.24 ms", "3.20 KiB", "12.0 %"; "–" when it is not known (NAN). Returns `text`. */
const char *gb__figure(enum figure_form form, double value, char text[FIGURE_MAX]);

#endif
