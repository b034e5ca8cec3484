/** What a thread of the compute pool runs: a message's task (task.h), or a function (gb_offload_begin). */
#ifndef NET_JOB_H
#define NET_JOB_H

struct gb__job {
	struct gb__job *next; /* in the pool's queue */
	void (*run)(struct gb__job *job);
};

#endif
