/** Which messages a codec takes. */
#ifndef CLI_VERIFY_SUIT_H
#define CLI_VERIFY_SUIT_H

#include "messages.h"

#include <gearbox/service.h>

#include <stdbool.h>

/**
 * What clients of a service say: the messages given, else its samples, else usual lines of text, in a form that its
 * codec takes. The library's codecs have them framed, others get them as they are. The last of the usual ones has some
 * kilobytes, as amounts that fill buffers would else take very many; `brief` leaves it out. Without a codec `end` stands
 * behind each of the usual ones.
 *
 * Appends to `ret`, which the caller finishes in any case. Returns 0; -GB_EUSAGE (the codec takes none of the usual ones,
 * or not these: which, and why), -ENOMEM.
 */
int gb__suit_messages(const struct gb_service *service, const struct messages *given, bool brief,
	const char *end, struct messages *ret, struct gb_error *error);
/** Whether they are the usual ones, as nobody says what clients say. */
bool gb__suit_usual(const struct gb_service *service, const struct messages *given);
/** Ends that protocols have behind a text, none first, as `--message` has them. Ends with NULL. */
extern const char *const gb__suit_ends[];
/** Whether each message has an end: without its last byte it is none for the codec. */
bool gb__suit_framed(const struct gb_service *service, const struct messages *messages);

#endif
