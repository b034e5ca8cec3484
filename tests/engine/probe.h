/**
 * A tiny core on top of an engine: streams, listeners and watches that record what happens to them
 * and check the contract at every callback.
 *
 * All memory is the heap's and is given back as early as the contract allows, so that a sanitizer
 * sees an engine that touches it later.
 */
#ifndef TESTS_ENGINE_PROBE_H
#define TESTS_ENGINE_PROBE_H

#include "rig.h"

struct probe {
	struct gb__stream stream; /* first */
	struct rig *rig;
	struct bytes got;                           /* everything delivered so far */
	size_t queued;                              /* bytes of the pattern appended to the output */
	unsigned inputs, ends, outputs, connecteds; /* callbacks */
	int end_error, output_error, connect_error;
	bool flush_pending;       /* flush answered 1: on_output, on_end(error) or detach must follow */
	bool reading;             /* between input_start and input_stop */
	bool echo;                /* what comes in is sent back */
	bool detaching, detached; /* detach answered 1; it is done */
	bool leaving;             /* to be closed and freed when detached */
	bool *ret_gone;           /* told when the probe is gone for good */
	/** Called last in the callback of that kind; may close the probe. */
	void (*then)(struct probe *probe);
	void *context; /* the test's */
};

/** Attach a stream. Takes the descriptor. */
struct probe *probe_open(struct rig *rig, int fd);
/** A connected pair with input started. */
struct probe *probe_pair(struct rig *rig, struct rig_peer **ret_peer);
/** The same on sockets of packets: `got` has them each behind its size. */
struct probe *probe_packets(struct rig *rig, struct rig_peer **ret_peer);
/** Queue the next `size` bytes of the pattern as a packet. */
void probe_queue_packet(struct probe *probe, size_t size);
void probe_start(struct probe *probe);
void probe_stop(struct probe *probe);
/** Queue the next `size` bytes of the pattern; probe_flush sends them. */
void probe_queue(struct probe *probe, size_t size);
int probe_flush(struct probe *probe);
void probe_send(struct probe *probe, size_t size);
/** Begin to detach; returns whether it is done. Allowed in callbacks. */
bool probe_detach(struct probe *probe);
/** Detach, close the descriptor, free: at once or in on_detached. Allowed in callbacks. */
void probe_leave(struct probe *probe);
/** probe_leave and wait for it. Not in callbacks. */
void probe_close(struct probe *probe);
/** After a finished probe_detach: free, leaving the descriptor, which is returned. */
int probe_release(struct probe *probe);

struct listener {
	struct gb__endpoint endpoint; /* first */
	struct rig *rig;
	int accepted[256]; /* descriptors, taken out by listener_take */
	unsigned count;
	unsigned exhausted; /* reports of EMFILE and its like */
	unsigned detacheds;
	bool leaving;   /* to be closed and freed when detached */
	bool *ret_gone; /* told when it is gone for good */
	int broken;     /* any other error that was reported */
	bool resting;   /* stopped itself at EMFILE, as a core does until a timer fires */
	bool started;
	void (*then)(struct listener *listener); /* last in on_accept; may detach */
	bool detaching;
};

struct listener *listener_open(struct rig *rig, int fd);
void listener_start(struct listener *listener);
void listener_stop(struct listener *listener);
/** Connections accepted and not taken out; goes on after a rest. */
unsigned listener_waiting(struct listener *listener);
/** The oldest accepted descriptor; there is one. */
int listener_take(struct listener *listener);
/** Detach, close what was accepted and the listening descriptor, free: at once or in on_detached. */
void listener_leave(struct listener *listener);
/** listener_leave and wait for it. Not in callbacks. */
void listener_close(struct listener *listener);

struct watch {
	struct gb__endpoint endpoint; /* first */
	struct rig *rig;
	unsigned readies, ready_last;
	bool leaving;
	bool *ret_gone;
	void (*then)(struct watch *watch); /* last in on_ready; may leave */
	void *context;
};

struct watch *watch_open(struct rig *rig, int fd);
void watch_for(struct watch *watch, unsigned ready);
/** Detach and free, at once or in on_detached; the descriptor stays open. Allowed in callbacks. */
void watch_leave(struct watch *watch);
/** watch_leave and wait for it. Not in callbacks. */
void watch_close(struct watch *watch);

#endif
