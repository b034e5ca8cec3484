/** Limits of the process. */
#ifndef OS_LIMIT_H
#define OS_LIMIT_H

#include <stdint.h>

/** Raise the soft limit of descriptors to the hard one; returns the limit in force. */
uint64_t gb__descriptors_raise(void);
/** The hard limit of descriptors. */
uint64_t gb__descriptors_max(void);

#endif
