/** Passing descriptors between processes: SCM_RIGHTS over a SOCK_SEQPACKET pair (unix(7)). */
#ifndef OS_FDPASS_H
#define OS_FDPASS_H

#include <stdint.h>

#define GB__FDPASS_MAX 16u /* descriptors in a message; far below the kernel's SCM_MAX_FD */

/** A connected pair, close-on-exec, O_NONBLOCK. Returns 0 or a negative errno. */
int gb__fdpass_pair(int ret_fds[2]);
/**
 * Send 1 to GB__FDPASS_MAX descriptors, each with a number, in one message: all of them or none. The sender's own
 * stay open. Returns 0, -EAGAIN (no room), an error.
 */
int gb__fdpass_send(int channel, const int *fds, const uint32_t *numbers, unsigned count);
/**
 * Receive one message. The descriptors are close-on-exec; those that this process had no room for are -1, and lost.
 * Returns how many were sent with it, -EAGAIN, -EPIPE (the other end is gone), an error.
 */
int gb__fdpass_recv(int channel, int ret_fds[GB__FDPASS_MAX], uint32_t ret_numbers[GB__FDPASS_MAX]);

#endif
