/** gearbox: one handler, every server model. This header includes all others. */
#ifndef GEARBOX_GEARBOX_H
#define GEARBOX_GEARBOX_H

#include <gearbox/alloc.h>
#include <gearbox/args.h>
#include <gearbox/child.h>
#include <gearbox/clock.h>
#include <gearbox/codec.h>
#include <gearbox/conn.h>
#include <gearbox/coro.h>
#include <gearbox/error.h>
#include <gearbox/file.h>
#include <gearbox/handler.h>
#include <gearbox/limit.h>
#include <gearbox/log.h>
#include <gearbox/main.h>
#include <gearbox/model.h>
#include <gearbox/name.h>
#include <gearbox/notify.h>
#include <gearbox/observe.h>
#include <gearbox/operation.h>
#include <gearbox/proxy.h>
#include <gearbox/reply.h>
#include <gearbox/route.h>
#include <gearbox/server.h>
#include <gearbox/service.h>
#include <gearbox/setting.h>
#include <gearbox/signal.h>
#include <gearbox/stream.h>
#include <gearbox/ticker.h>
#include <gearbox/tls.h>
#include <gearbox/topic.h>
#include <gearbox/types.h>
#include <gearbox/upstream.h>
#include <gearbox/watch.h>
#include <gearbox/worker.h>

#endif
