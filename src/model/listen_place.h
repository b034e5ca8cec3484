/** Where a text of --listen is, for who looks at it from outside of a server: read as gb_server_listen reads it. */
#ifndef MODEL_LISTEN_PLACE_H
#define MODEL_LISTEN_PLACE_H

#include <stdbool.h>

/** Whether somebody listens at "[SERVICE=]ADDRESS[,KEY=VALUE...]". What is no address, or cannot be told, is not taken. May
 *  block, as names are resolved. */
bool gb__listen_is_taken(const char *text);
/** The same text with a port in place of 0, which is kept by `*ret_fd`, a socket that does not listen. For free(); NULL:
 *  there is no port 0 in it, or none to be had. */
char *gb__listen_with_port(const char *text, int *ret_fd);

#endif
