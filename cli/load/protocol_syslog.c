/*
 * Log records over TCP (RFC 5424, framed as RFC 6587 says): nobody answers, so one counts as sent once the kernel has taken
 * its bytes. How many a server stored, it must tell itself.
 */
#include "load/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "<134>1 - gearbox load - - - "
#define SIZE_MIN 48u /* with room for the head, a length and a number */
#define PERIOD_WANTED 65536u

/* A record of `size` bytes; behind its length, or before a line feed. */
static void fill(unsigned char *record, size_t size, size_t number, bool octets)
{
	char text[64];
	size_t digits = 1, used;

	for (size_t rest = size; rest >= 10; rest /= 10)
		digits++;
	if (octets) /* the length is that of what follows it and its space */
		used = (size_t)snprintf(text, sizeof(text), "%0*zu " HEAD "%06zu ", (int)digits,
			size - digits - 1, number % 1000000);
	else
		used = (size_t)snprintf(text, sizeof(text), HEAD "%06zu ", number % 1000000);
	memcpy(record, text, used);
	for (size_t i = used; i < size; i++)
		record[i] = (unsigned char)('a' + (number + i) % 26);
	if (!octets)
		record[size - 1] = '\n';
}

static int syslog_prepare(const struct load_request *request, struct traffic *ret)
{
	size_t size = request->size < SIZE_MIN ? SIZE_MIN : request->size, count = PERIOD_WANTED / size + 2;
	size_t length = size;
	unsigned char *data;

	/* A length may not begin with 0 (RFC 6587, 3.4.1): where the length itself takes the digit away, one byte more. */
	for (size_t power = 10; request->octets && power <= length; power *= 10)
		if (length - 2 < power + 6 && length >= power)
			size = power + 8 > size ? power + 8 : size;
	data = malloc(count * size);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		fill(data + i * size, size, i, request->octets);
	*ret = (struct traffic){
		.data = data, .size = count * size, .period = count * size, .request_size = size
	};
	return 0;
}

static size_t syslog_begin(const struct traffic *traffic, uint64_t number, void *state)
{
	*(uint64_t *)state = 0;
	return (size_t)(number % (traffic->period / traffic->request_size)) * traffic->request_size;
}

static int64_t syslog_check(const struct traffic *traffic, void *state, uint64_t awaited,
	struct gb_bytes bytes, struct gb_error *error)
{
	(void)traffic;
	(void)awaited;
	(void)bytes;
	return gb__protocol_surplus(*(uint64_t *)state, error);
}

const struct protocol gb__protocol_syslog = {
	.name = "syslog",
	.silent = true,
	.state_size = sizeof(uint64_t),
	.prepare = syslog_prepare,
	.begin = syslog_begin,
	.check = syslog_check,
};
