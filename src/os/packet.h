/** Packets from many processes to one: a SOCK_SEQPACKET pair (unix(7)) that all of the senders share. */
#ifndef OS_PACKET_H
#define OS_PACKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/** A connected pair, close-on-exec, O_NONBLOCK, with room for `room` bytes if the kernel allows. Returns 0 or a negative errno. */
int gb__packet_pair(int ret_fds[2], size_t room);
/** Send one, whole. Thread: any, of any process. Returns 0, -EAGAIN (no room), -EMSGSIZE, -EPIPE, an error. */
int gb__packet_send(int fd, const struct iovec *parts, unsigned count);
/** Receive one. Returns its size, -EAGAIN, -EMSGSIZE (it was larger, and is lost), an error. */
ssize_t gb__packet_receive(int fd, void *data, size_t size);

#endif
