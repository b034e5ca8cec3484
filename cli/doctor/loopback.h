/** TCP over loopback, on a port of the kernel's choice. All descriptors are close-on-exec. */
#ifndef CLI_DOCTOR_LOOPBACK_H
#define CLI_DOCTOR_LOOPBACK_H

#include <netinet/in.h>

/** A listening socket and its address. Returns the descriptor or a negative errno. */
int gb__loopback_listen(int backlog, struct sockaddr_in *ret);

/** A connected client that resets when closed, so that nothing waits afterwards. Returns as above. */
int gb__loopback_connect(const struct sockaddr_in *address);

/** A connection: the client in `ret[0]`, what was accepted in `ret[1]`. Returns 0 or a negative errno. */
int gb__loopback_pair(int ret[2]);

#endif
