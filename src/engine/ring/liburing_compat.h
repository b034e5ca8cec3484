/**
 * liburing, and the one place for io_uring constants newer than Debian 12's liburing 2.3.
 *
 * A newer constant is only ever used after the kernel said that it knows it.
 */
#ifndef ENGINE_RING_LIBURING_COMPAT_H
#define ENGINE_RING_LIBURING_COMPAT_H

#include <liburing.h>

#ifndef IORING_SETUP_NO_SQARRAY /* Linux 6.6; newer liburings use it by themselves */
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_ENTER_NO_IOWAIT /* Linux 6.15: waiting for peers is not waiting for a disk */
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif

/* IORING_REGISTER_SEND_MSG_RING, Linux 6.13: a message to a ring from a thread that has none. */
#define GB__URING_SEND_MSG_RING 31u
/* IORING_OP_PIPE, the newest operation of Linux 6.16. */
#define GB__URING_PIPE 62u

#endif
