/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for requests that would make a queue wait: a read from a disk, an
 * fsync. The queue's thread goes on with its other requests meanwhile.
 *
 * A job belongs to its queue, which lends it to the pool between
 * job_pool_submit() and the call of `done`. Its request was decoded by the
 * queue: the pool never reads that part of the guest's memory again.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_JOB_POOL_H
#define CASEMENT_DAEMON_TRANSPORT_JOB_POOL_H

#include "daemon/transport/guest_mem.h"
#include "daemon/transport/virtqueue.h"

struct job_pool;
struct request_ops;
struct stop_token;

struct job {
	struct job *next;
	struct vq_chain chain;		/* the request; the segments are the job's own */
	void *place;			/* the request, decoded; the job's own */
	struct guest_table *table;	/* what the segments point into; counted */
	struct stop_token *stop;	/* of its queue, which fires when that is to stop */
	long written;			/* as request_ops.resume says, once done */
	void (*done)(struct job *job);	/* on the pool's thread, as the last thing */
	void *owner;
};

/*
 * A pool of at most `threads` (>= 1), which start when there is work. `ops` is
 * borrowed. 0 or -ENOMEM.
 */
int job_pool_new(const struct request_ops *ops, unsigned int threads, struct job_pool **out);
/* Every job must have come back. NULL is allowed. */
void job_pool_free(struct job_pool *pool);

/* Have it served. Any thread. 0, or -errno when no thread could be started for the first job. */
int job_pool_submit(struct job_pool *pool, struct job *job);

#endif
