/** The reactor's operations, shared with the blocking engine, which differs only in how many it serves. */
#ifndef ENGINE_REACTOR_H
#define ENGINE_REACTOR_H

#include "engine/engine.h"

int gb__reactor_create(const struct gb__engine_options *options, const struct gb__engine_ops *ops,
	struct gb__engine **ret, struct gb_error *error);
void gb__reactor_destroy(struct gb__engine *engine);
int gb__reactor_attach(struct gb__engine *engine, struct gb__endpoint *endpoint);
int gb__reactor_detach(struct gb__engine *engine, struct gb__endpoint *endpoint);
int gb__reactor_input_start(struct gb__engine *engine, struct gb__endpoint *endpoint);
void gb__reactor_input_stop(struct gb__engine *engine, struct gb__endpoint *endpoint);
int gb__reactor_flush(struct gb__engine *engine, struct gb__stream *stream);
int gb__reactor_connect(
	struct gb__engine *engine, struct gb__stream *stream, const struct sockaddr *address, socklen_t size);
int gb__reactor_watch(struct gb__engine *engine, struct gb__endpoint *endpoint, unsigned ready);
int gb__reactor_wait(struct gb__engine *engine, int64_t timeout_ns);
void gb__reactor_wake(struct gb__engine *engine);

#endif
