/** For tests of the server: an echo service, servers made and run in this process or in a child, clients. */
#ifndef MODEL_SERVER_TEST_DRIVER_H
#define MODEL_SERVER_TEST_DRIVER_H

#include "harness.h"

#include <gearbox/server.h>

#include <sys/types.h>

/** Sends every byte back; one "!" stops the server, "?" aborts the connection. */
extern const struct gb_service driver_echo;

/** What is set beside the model. */
struct driver_option {
	const char *key, *value;
};

/** A server of `model` that listens on a free port; NULL where this machine has no io_uring for it. */
struct gb_server *driver_server(const char *model, const struct gb_service *service, void *user);
/** The same with a further option, respectively with several, of which the last has no key. */
struct gb_server *driver_server_with(
	const char *model, const char *key, const char *value, const struct gb_service *service, void *user);
struct gb_server *driver_server_set(
	const char *model, const struct driver_option *options, const struct gb_service *service, void *user);
/** Calls `run` for every preset that this machine allows, with two workers where there are many, some side by side:
 *  see test_side_by_side. */
void driver_each_preset(void (*run)(const char *model));

/** Run it in a child; returns its pid once it serves. The listening sockets here are closed. */
pid_t driver_host(struct gb_server *server);
/** Wait for it to end. Returns the exit code of the child, 0 when the run returned 0, or 128 + a signal. */
int driver_await(pid_t pid);
/** Stop the one that runs there, which must end in order, and destroy this side's. */
void driver_finish(struct gb_server *server, pid_t pid);
/** The same; returns what it counted. */
struct gb_stats driver_finish_counted(struct gb_server *server, pid_t pid);
/** Run it here beside `client` on a thread, which gets the server and stops it; it must end in order. */
void driver_run_beside(struct gb_server *server, void *(*client)(void *server));

/** A client connected to its first address, respectively to the n-th. */
int driver_client(const struct gb_server *server);
int driver_client_at(const struct gb_server *server, size_t n);
/** Send a text. */
void driver_send(int client, const char *text);
/** Receive until so many bytes are there or the end. Returns how many: fewer at the end, -1 after a reset. */
long driver_receive(int client, char *text, size_t size);

/** Send a text and receive this answer. */
void driver_ask(int client, const char *text, const char *answer);

/** A client that has sent a byte and was answered with one; respectively one that leaves then. */
int driver_guest(const struct gb_server *server);
void driver_visit(const struct gb_server *server);

/** Connections that have been closed, for whatever reason. */
uint64_t driver_closed(const struct gb_stats *stats);

#endif
