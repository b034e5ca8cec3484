/**
 * A protocol by what a service answers, for services that nobody has described: it is asked under one model, and
 * under every other it must answer the same.
 *
 * What each message is answered with must depend on the messages of its connection alone, and be the same when all
 * are sent a second time.
 */
#ifndef CLI_VERIFY_LEARNED_H
#define CLI_VERIFY_LEARNED_H

#include "messages.h"
#include "verify/protocol.h"

/** Messages that may be given: each is asked for in connections of their own. */
enum { LEARNED_MESSAGES_MAX = 64 };

/**
 * Ask the target's service, its `protocol` aside, and make a protocol of its answers. Messages are framed for its
 * codec; without any there are the service's samples, or a few lines of text. With `patience_ms` 0 nothing is asked:
 * what talks suit can be told, but not what they hear. The process must have no threads.
 *
 * Returns 0; -GB_EUSAGE (with these messages nothing can be verified: the reason), or why it does not serve.
 */
int gb__learned_create(const struct verify_target *target, const struct messages *messages,
	unsigned patience_ms, struct verify_protocol **ret, struct gb_error *error);
void gb__learned_destroy(struct verify_protocol *protocol);

#endif
