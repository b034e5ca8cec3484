#include "os/notify.h"

#include "os/address.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool taken;
static struct gb__address manager; /* size 0: there is none */
static uint64_t watchdog_us;

/* A path, or after '@' a name of the abstract kind. */
static void take_manager(const char *text)
{
	char address[GB__ADDRESS_TEXT]; /* what is cut to fit there is too long for a path as well */

	if (!text || (*text != '/' && *text != '@'))
		return;
	snprintf(address, sizeof(address), "unix:%s", text);
	(void)gb__address_parse(address, false, &manager, NULL);
}

static void take_watchdog(const char *time, const char *pid)
{
	if (time && (!pid || strtol(pid, NULL, 10) == getpid()))
		watchdog_us = strtoull(time, NULL, 10);
}

void gb__notify_take(void)
{
	pthread_mutex_lock(&lock);
	if (!taken) {
		take_manager(getenv("NOTIFY_SOCKET"));
		take_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
		unsetenv("NOTIFY_SOCKET");
		unsetenv("WATCHDOG_USEC");
		unsetenv("WATCHDOG_PID");
	}
	taken = true;
	pthread_mutex_unlock(&lock);
}

bool gb__notify_wanted(void)
{
	gb__notify_take();
	return manager.size > 0;
}

uint64_t gb__notify_watchdog_us(void)
{
	return gb__notify_wanted() ? watchdog_us : 0;
}

int gb__notify_send(const char *lines)
{
	int fd, result = 1;

	if (!gb__notify_wanted())
		return 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, lines, strlen(lines), MSG_NOSIGNAL | MSG_DONTWAIT, &manager.any, manager.size) < 0)
		result = -errno;
	close(fd);
	return result;
}

int gb__notify_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		(uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	return gb__notify_send(text);
}
