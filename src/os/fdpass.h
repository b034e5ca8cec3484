/** Passing descriptors between processes: SCM_RIGHTS over a SOCK_SEQPACKET pair (unix(7)). */
#ifndef OS_FDPASS_H
#define OS_FDPASS_H

#include <stdint.h>

/** A connected pair, close-on-exec, O_NONBLOCK. Returns 0 or a negative errno. */
int gb__fdpass_pair(int ret_fds[2]);
/** Send a descriptor with a number. The sender's own stays open. Returns 0, -EAGAIN (no room), an error. */
int gb__fdpass_send(int channel, int fd, uint32_t number);
/** Returns the descriptor, close-on-exec, with its number; -EAGAIN, -EPIPE (the other end is gone), an error. */
int gb__fdpass_recv(int channel, uint32_t *ret_number);

#endif
