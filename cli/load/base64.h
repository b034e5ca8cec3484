/** Base64 with padding (RFC 4648, 4). */
#ifndef LOAD_BASE64_H
#define LOAD_BASE64_H

#include <stddef.h>

/** The text, to be freed; NULL: no memory. */
char *gb__base64_encode(const unsigned char *data, size_t size);
/** The bytes, to be freed. Returns 0, -EINVAL (something else than base64), -ENOMEM. */
int gb__base64_decode(const char *text, size_t length, unsigned char **ret_data, size_t *ret_size);

#endif
