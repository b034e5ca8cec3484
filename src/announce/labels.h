/** Names of services on the local network: instances and types (RFC 6763, 4). */
#ifndef ANNOUNCE_LABELS_H
#define ANNOUNCE_LABELS_H

#include <stddef.h>

/** Cut "My server._echo._tcp" apart; without an instance it is this machine's name. Returns 0 or -EINVAL. */
int gb__label_split(const char *text, char *instance, size_t instance_size, char *type, size_t type_size);
/** The next name to try: "My server #2", then "#3". It stays UTF-8 and within `size`. */
void gb__label_alternative(char *instance, size_t size);
/** This machine's name without its domain, as far as a label may be written so; "localhost" when nothing is left. */
void gb__label_of_machine(char *text, size_t size);

#endif
