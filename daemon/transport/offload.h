/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of one queue that are served elsewhere (job_pool.h), so that
 * the others need not wait for them. They come back in any order; the queue's
 * thread alone puts their replies into the ring.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_OFFLOAD_H
#define CASEMENT_DAEMON_TRANSPORT_OFFLOAD_H

#include <stdatomic.h>

#include "daemon/transport/guest_mem.h"
#include "daemon/transport/job_pool.h"
#include "daemon/transport/queue_wait.h"

/* Requests of a queue that may be away at once. A guest has at most 64 background ones. */
#define OFFLOAD_MAX 64
/* And this many more that wait long: other requests must not be kept from going by them. */
#define OFFLOAD_LONG_MAX 64

struct request_ops;

struct offload_pools {
	struct job_pool *disk;		/* NULL: the queue serves these itself */
	struct job_pool *longer;	/* NULL: these cannot be served */
};

struct offload {
	const struct request_ops *ops;	/* [I] borrowed, as the next three */
	struct offload_pools pools;
	struct guest_mem *mem;
	struct stop_token *stop;
	struct queue_waker waker;	/* fires when one came back */
	_Atomic(struct job *) back;	/* [A] release by the pool, acquire by the queue */
	struct job *spare;		/* [Q] */
	unsigned int away;		/* [Q] */
};

/* 0 or -errno. */
int offload_open(struct offload *offload, const struct request_ops *ops,
		 const struct offload_pools *pools, struct guest_mem *mem, struct stop_token *stop);
/* None may be away, and the pool's threads must have ended. */
void offload_close(struct offload *offload);

/*
 * Send a request away, to those that wait `longer` or to the others. `chain`
 * gets other segments, as many, and *place another place; `table` is counted once
 * more. 0, or -errno when it cannot be, and all is as it was: too many are away, no
 * memory, no thread.
 */
int offload_send(struct offload *offload, struct guest_table *table, struct vq_chain *chain,
		 void **place, bool longer);
/* Those that came back, linked by `next`, each to be given to offload_done(). NULL: none. */
struct job *offload_collect(struct offload *offload);
void offload_done(struct offload *offload, struct job *job);
/* Free the spare jobs. */
void offload_trim(struct offload *offload);

#endif
