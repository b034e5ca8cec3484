/** For tests: messages of DNS as a name server writes them (RFC 1035, 4.1). */
#ifndef NAME_MESSAGE_TEST_H
#define NAME_MESSAGE_TEST_H

#include <stddef.h>
#include <string.h>

/* Under construction. */
struct message {
	unsigned char bytes[1024];
	size_t size;
};

static inline void put(struct message *message, unsigned value, unsigned bytes)
{
	while (bytes--)
		message->bytes[message->size++] =
			bytes < sizeof(value) ? (unsigned char)(value >> 8 * bytes) : 0;
}

static inline void put_name(struct message *message, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");

		put(message, (unsigned)length, 1);
		memcpy(message->bytes + message->size, name, length);
		message->size += length;
		name += length + (name[length] == '.');
	}
	put(message, 0, 1);
}

/* Of the name that was asked for. Returns where its content begins. */
static inline size_t begin_record(struct message *message, unsigned type, unsigned ttl_s)
{
	put(message, 0xc00c, 2);
	put(message, type, 2);
	put(message, 1, 2);
	put(message, ttl_s, 4);
	put(message, 0, 2);
	return message->size;
}

static inline void end_record(struct message *message, size_t at)
{
	size_t size = message->size - at;

	message->bytes[at - 2] = (unsigned char)(size >> 8);
	message->bytes[at - 1] = (unsigned char)size;
}

#endif
