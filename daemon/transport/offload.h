/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of one queue that are served elsewhere (job_pool.h), so that
 * the others need not wait for them. They come back in any order; the queue's
 * thread alone puts their replies into the ring.
 *
 * Those that wait for a disk work on the guest's memory, and the queue does not
 * stop before they are back. Those that wait for somebody else may never come
 * back: they are detached from the guest's memory, stay away over a stop of
 * the ring, and are left to their thread when the ring is reset.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_OFFLOAD_H
#define CASEMENT_DAEMON_TRANSPORT_OFFLOAD_H

#include <stdatomic.h>

#include "daemon/transport/guest_mem.h"
#include "daemon/transport/job_pool.h"
#include "daemon/transport/queue_wait.h"

/* Requests of a queue that may be away for a disk at once. A guest has at most 64 background ones. */
#define OFFLOAD_MAX 64

struct request_ops;

struct offload_pools {
	struct job_pool *disk;		/* NULL: the queue serves these itself */
	struct job_pool *locks;		/* NULL: these are refused, as the next */
	struct job_pool *others;
};

struct offload {
	const struct request_ops *ops;	/* [I] borrowed, as the next three */
	struct offload_pools pools;
	struct guest_mem *mem;
	struct stop_token *stop;
	struct queue_waker waker;	/* fires when one came back */
	_Atomic(struct job *) back;	/* [A] release by the pool, acquire by the queue */
	atomic_uint returning;		/* [A] pool threads that may still touch this */
	struct job *spare;		/* [Q], as the rest */
	unsigned int near;		/* away, on the guest's memory */
	unsigned int far;		/* away, without it */
	struct job *far_first;		/* these */
};

/* 0 or -errno. */
int offload_open(struct offload *offload, const struct request_ops *ops,
		 const struct offload_pools *pools, struct guest_mem *mem, struct stop_token *stop);
/* None may be away. Waits for threads that have just given one back. */
void offload_close(struct offload *offload);

/*
 * Send a request away, to those that wait for `what`, which is what ops->handle
 * said. `chain` gets other segments, as many, and *place another place; `table` is
 * counted once more. 0, or -errno when it cannot be, and all is as it was: too
 * many are away, no memory, no thread.
 */
int offload_send(struct offload *offload, struct guest_table *table, struct vq_chain *chain,
		 void **place, long what);
/*
 * Those that came back, linked by `next`, each with its reply in the guest's memory,
 * and to be given to offload_done(). NULL: none, or those that did went further.
 */
struct job *offload_collect(struct offload *offload);
void offload_done(struct offload *offload, struct job *job);
/*
 * Nobody waits for those that are far away: their ring is gone. What they do is
 * done, or not begun. The queue is stopped.
 */
void offload_leave(struct offload *offload);
/* Free the spare jobs. */
void offload_trim(struct offload *offload);

#endif
