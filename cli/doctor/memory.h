/** What an idle connection and an idle thread cost in memory, measured by making some. Estimates. */
#ifndef CLI_DOCTOR_MEMORY_H
#define CLI_DOCTOR_MEMORY_H

#include "doctor/facts.h"

#define MEMORY_CONNECTIONS 1050u
#define MEMORY_THREADS 448u

/**
 * Fill in `connection_bytes` and `thread_bytes`; what cannot be measured stays FACT_UNKNOWN.
 *
 * One end of a connection is half of what a connection over loopback adds to the kernel's slab memory, with
 * the accepted end in an epoll set. A thread is what it adds to kernel stacks, slab, page tables and to the
 * process. Other processes disturb both: the median of several batches counts. Takes some milliseconds, needs
 * two descriptors a connection, and leaves nothing behind (connections end with a reset).
 */
void gb__memory_measure(struct facts *facts);

/** The middle one of `count` numbers, which are put in order; FACT_UNKNOWN when there are none. */
uint64_t gb__memory_median(uint64_t *numbers, size_t count);

#endif
