/** Whether this process may have as many descriptors as a command needs. */
#ifndef CLI_DESCRIPTORS_H
#define CLI_DESCRIPTORS_H

#include <gearbox/error.h>

#include <stdint.h>

/** Raise the descriptor limit as far as it goes, which is no further where that is not permitted. */
void gb__descriptors_claim_all(void);
/**
 * Raise the descriptor limit as far as it goes, and see whether that is enough for so many connections, of the flags that
 * `which` names, and for some descriptors apart from these.
 *
 * Returns 0, or -GB_EUSAGE with what would be possible.
 */
int gb__descriptors_claim(uint64_t connections, uint64_t apart, const char *which, struct gb_error *error);

#endif
