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

struct offload {
	struct job_pool *pool;		/* [I] borrowed; NULL: everything is served by the queue */
	struct guest_mem *mem;		/* [I] borrowed */
	struct queue_waker waker;	/* fires when one came back */
	_Atomic(struct job *) back;	/* [A] release by the pool, acquire by the queue */
	struct job *spare;		/* [Q] */
	unsigned int n_jobs;		/* [Q] made */
	unsigned int away;		/* [Q] */
};

/* 0 or -errno. */
int offload_open(struct offload *offload, struct job_pool *pool, struct guest_mem *mem);
/* None may be away, and the pool's threads must have ended. */
void offload_close(struct offload *offload);

/*
 * Send a request away. `chain` gets other segments, as many; `table` is counted
 * once more. 0, or -errno when it cannot be: too many are away, no memory.
 */
int offload_send(struct offload *offload, struct guest_table *table, struct vq_chain *chain);
/* Those that came back, linked by `next`, each to be given to offload_done(). NULL: none. */
struct job *offload_collect(struct offload *offload);
void offload_done(struct offload *offload, struct job *job);
/* Free the spare jobs. */
void offload_trim(struct offload *offload);

#endif
