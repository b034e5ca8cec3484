/** What every public header needs: visibility, the ABI number, byte ranges. */
#ifndef GEARBOX_TYPES_H
#define GEARBOX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define GB_BEGIN extern "C" {
#define GB_END }
#else
#define GB_BEGIN
#define GB_END
#endif

/** Of the ABI: exported by the library. */
#define GB_API __attribute__((visibility("default")))
/** The compiler checks what a format is given. */
#define GB_PRINTF(text, first) __attribute__((format(printf, text, first)))

/** The version of these headers. */
#define GB_VERSION_MAJOR 0
#define GB_VERSION_MINOR 1
#define GB_VERSION_PATCH 0
#define GB_VERSION "0.1.0"

GB_BEGIN
/** Of the library that runs, "0.1.0"; GB_VERSION is that of the headers. Thread: any. */
GB_API const char *gb_version(void);
GB_END

/** Grows when a struct of these headers changes in a way that old binaries would notice. */
#define GB_ABI 8u

/** A range of bytes that somebody else owns; valid during the callback that received it. */
struct gb_bytes {
	const unsigned char *data; /* not terminated */
	size_t size;               /* bytes */
};

struct gb_conn;       /* one connection, operated by one worker */
struct gb_stream;     /* a connection, as a straight-line handler reads and writes it */
struct gb_coro;       /* a coroutine: a straight-line handler, or a task, of one worker */
struct gb_worker;     /* one thread or process that serves connections */
struct gb_server;     /* addresses, services and the model they run under */
struct gb_tls_client; /* TLS of outgoing connections (gearbox/tls.h) */
struct gb_options;    /* what a server is configured with */

#endif
