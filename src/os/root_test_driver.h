/** For tests of what is read from /proc and /sys: a folder that stands in for the root of all files. */
#ifndef OS_ROOT_TEST_DRIVER_H
#define OS_ROOT_TEST_DRIVER_H

#include "harness.h"

extern char driver_root[];

void driver_root_make(void);
/** Write a file, its folders with it. The path begins with a slash. */
void driver_root_file(const char *path, const char *text);
void driver_root_remove(void);

#endif
