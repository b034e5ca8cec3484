/** Listening sockets that whoever started the program passed to it: systemd's protocol (sd_listen_fds(3)), and descriptors
 *  by their number. */
#ifndef OS_PASSED_H
#define OS_PASSED_H

#include <gearbox/error.h>

#include <stdbool.h>

#define GB__PASSED_MAX 64u

/** Note what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say of this process, and take them out of the environment; those
 *  descriptors are closed at exec from here on. The first call does it. */
void gb__passed_take(void);
/**
 * Claim what `which` names: "systemd", all that nobody has claimed; "fd:NAME", those of that name (FileDescriptorName=);
 * "fd:N", that descriptor, whoever passed it. Returns how many, or -GB_EUSAGE, -ENOENT with the reason.
 */
int gb__passed_claim(const char *which, int ret_fds[GB__PASSED_MAX], struct gb_error *error);
/** Of an address: whether it is one of those. */
bool gb__passed_is(const char *text);

#endif
