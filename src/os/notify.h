/** Telling the service manager how it goes (sd_notify(3)), without libsystemd. */
#ifndef OS_NOTIFY_H
#define OS_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Note what NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say of this process, and take them out of the environment. The
 *  first call does it, the others below as well. */
void gb__notify_take(void);
/** Whether somebody wants to be told. */
bool gb__notify_wanted(void);
/** How often WATCHDOG=1 must come at least; 0: it need not. */
uint64_t gb__notify_watchdog_us(void);
/** Send lines as "READY=1\nSTATUS=…"; never waits. Returns 1, 0 (nobody wants to be told) or a negative errno. */
int gb__notify_send(const char *lines);
/** RELOADING=1 with MONOTONIC_USEC, likewise. */
int gb__notify_reloading(void);

#endif
