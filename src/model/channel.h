/** A worker process's end of the socket pair over which connections are passed to it. */
#ifndef MODEL_CHANNEL_H
#define MODEL_CHANNEL_H

#include "base/log.h"
#include "loop/loop.h"
#include "model/inbox.h"

#include <gearbox/worker.h>

#define GB__CHANNEL_WAITING_MAX \
	64u /* connections the acceptor holds: of a turn, or while all channels are full */

/** The chief's side, in the crew. */
struct gb__channels {
	int (*pairs)[2]; /* [0] the chief's end, [1] the workers'; one, or one per seat */
	unsigned count;
	struct gb__handed waiting[GB__CHANNEL_WAITING_MAX]; /* for the end of the turn, or for room */
	unsigned waiting_count;
};

struct gb__crew;
struct gb_worker;

/** Refuse what waits for room that no worker will make any more. */
void gb__channels_desert(struct gb__crew *crew);

/** The worker's side. */
struct gb__channel {
	struct gb__endpoint endpoint; /* watched while the worker wants connections */
	struct gb_worker *worker;
	struct gb__log_limit log_limit;
	bool shared; /* with all other workers, who pull from it */
	bool attached, gone;
};

/** Let go of it; turns the loop until that is done. One that was never joined is fine. */
void gb__channel_finish(struct gb__channel *channel);

#endif
