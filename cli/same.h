/** Texts that say the same of different things. */
#ifndef CLI_SAME_H
#define CLI_SAME_H

#include <stdbool.h>

/** Whether texts differ in numbers alone, as ports and pids do. */
bool gb__same_but_numbers(const char *a, const char *b);

#endif
