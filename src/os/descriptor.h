/** Descriptors that the program gives us. */
#ifndef OS_DESCRIPTOR_H
#define OS_DESCRIPTOR_H

#include <stdbool.h>

/** Whether the number is a descriptor of this process. */
bool gb__descriptor_open(int fd);
/** Whether it is one whose readiness can change. Returns 0, -EBADF, or -EPERM: a regular file or a directory. */
int gb__descriptor_watchable(int fd);
/** Another number for the same; closes at exec. Returns it, or a negative errno. */
int gb__descriptor_copy(int fd);

#endif
