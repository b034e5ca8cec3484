/**
 * The other end of a simulated connection: what a test plays, without descriptors or waiting.
 *
 * Bytes travel in turns (waits, sim_turn), so what one end sends the other reads a turn later.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "sim/kernel.h"

struct sim_client;

/** Connect to a listening port; the connection waits in its backlog. NULL: refused, or the backlog is full. */
struct sim_client *sim_client_connect(struct sim_kernel *kernel, uint16_t port);
/** A connected pair: the client and a descriptor for the code under test. */
struct sim_client *sim_client_pair(struct sim_kernel *kernel, int *ret_fd);
/** The oldest connection waiting in a listening descriptor, for outgoing connections; or NULL. */
struct sim_client *sim_client_accept(struct sim_kernel *kernel, int listener);
/** As close(2): a reset when unread bytes are left, else FIN once everything is sent. Frees. NULL is fine. */
void sim_client_close(struct sim_client *client);

/** From here on both ends have packets (SOCK_SEQPACKET): what is sent at once is one, of at least a byte, and so is what is
 *  read at once, of which more than there is room for is lost. Before anything is sent. */
void sim_client_set_packets(struct sim_client *client);

/** Bytes taken: as many as the buffer has room for; 0 also after shutdown or when reset. */
size_t sim_client_send(struct sim_client *client, const void *data, size_t size);
/** Bytes read; 0 when none are there. */
size_t sim_client_read(struct sim_client *client, void *data, size_t size);
/** Bytes that could be read now, respectively sent bytes that have not reached the other end. */
size_t sim_client_pending(const struct sim_client *client);
size_t sim_client_unsent(const struct sim_client *client);
/** Half-close: FIN follows what was sent. */
void sim_client_shutdown(struct sim_client *client);
/** RST at once; what was not delivered yet is lost. The client stays to be closed. */
void sim_client_reset(struct sim_client *client);
/** Everything was read and the other end's FIN came, respectively its reset. */
bool sim_client_at_end(const struct sim_client *client);
bool sim_client_was_reset(const struct sim_client *client);
/** Bytes the client's side holds unread before the other end has to wait. */
void sim_client_set_window(struct sim_client *client, size_t bytes);

#endif
