/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads for requests that would make a queue wait: a read from a disk, an
 * fsync, a lock, another machine. The queue's thread goes on with its other
 * requests meanwhile.
 *
 * A job belongs to its queue, which lends it to the pool between
 * job_pool_submit() and the call of `done`. Its request was decoded by the
 * queue: the pool never reads that part of the guest's memory again.
 *
 * Of jobs that wait for one thing (`key`) only so many have a thread at once:
 * a server that never answers holds up those who ask that server.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_JOB_POOL_H
#define CASEMENT_DAEMON_TRANSPORT_JOB_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/stop_token.h"
#include "daemon/transport/guest_mem.h"
#include "daemon/transport/virtqueue.h"

struct job_pool;
struct request_ops;

enum job_state {
	JOB_QUEUED,
	JOB_SERVED,	/* by a thread, now */
	JOB_LEFT,	/* the same, but nobody waits for it any more: the thread frees it */
	JOB_DONE,	/* `done` was called, or is about to be */
};

struct job {
	struct job *next;		/* of its list: the pool's, or what came back */
	struct vq_chain chain;		/* the request; the segments are the job's own */
	void *place;			/* the request, decoded; the job's own */
	struct guest_table *table;	/* what the segments point into; counted */
	long what;			/* REQUEST_WAITS_*: what it waits for; [I] while lent, as the next two */
	uint64_t key;
	struct stop_token *stop;	/* fires when it is to give up */
	enum job_state state;		/* [L:pool] */
	long written;			/* as request_ops.resume says, once done */
	void (*done)(struct job *job);	/* on the pool's thread, as the last thing */
	void *owner;
	/* The queue's, of jobs that need not come back: */
	struct job *far_next, **far_link;
	struct stop_token own_stop;	/* without an eventfd */
};

struct job_pool_limits {
	unsigned int threads;		/* >= 1 in all, which start when there is work */
	unsigned int threads_per_key;
	unsigned int jobs;		/* lent at once */
	const char *what;		/* of messages: what its threads wait for */
};

/* `ops` is borrowed, limits->what as well. 0 or -ENOMEM. */
int job_pool_new(const struct request_ops *ops, const struct job_pool_limits *limits,
		 struct job_pool **out);
/* Every job must have come back, or been left. NULL is allowed. */
void job_pool_free(struct job_pool *pool);
/*
 * The same where jobs may still be served: true when all threads ended within
 * `ms`. Else nothing is freed, and what they use must stay until the process ends.
 */
bool job_pool_try_free(struct job_pool *pool, unsigned int ms);

/*
 * Have it served. Any thread. 0, -EBUSY when so many are lent already, or -errno
 * when no thread could be started for the first job.
 */
int job_pool_submit(struct job_pool *pool, struct job *job);

/*
 * Nobody waits for the job any more. JOB_QUEUED: it is the caller's again, and was not
 * served; JOB_LEFT: it is the pool's, which frees it and its place; JOB_DONE: `done` is
 * called, as ever.
 */
enum job_state job_pool_leave(struct job_pool *pool, struct job *job);

#endif
