/** Whether a file says something else than before. */
#ifndef TLS_STAMP_H
#define TLS_STAMP_H

#include <stdbool.h>
#include <stdint.h>

/** All 0: there is none. */
struct gb__tls_stamp {
	uint64_t device, inode, size, modified_ns, changed_ns;
	bool young; /* it had just been written: who writes within one tick of the file system's clock is not seen by it */
	unsigned char digest[32];
};

/** Look, and whether it is another than before. Returns true the first time, too. */
bool gb__tls_stamp_take(struct gb__tls_stamp *stamp, const char *path);

#endif
