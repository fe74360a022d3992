/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that serves one virtqueue: pops requests, has them handled, pushes
 * the replies, tells the guest. It lives from the start of the ring to its
 * stop, and owns the virtqueue in between.
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_QUEUE_WORKER_H
#define CASEMENT_DAEMON_TRANSPORT_QUEUE_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "common/iov_cursor.h"
#include "common/stop_token.h"
#include "daemon/transport/guest_mem.h"
#include "daemon/transport/notify.h"
#include "daemon/transport/offload.h"
#include "daemon/transport/queue_wait.h"
#include "daemon/transport/virtqueue.h"

/* What a queue does with a request; see server.h for the return values. */
struct request_ops {
	void *ctx;
	/* A place for one request: 0 or -errno. */
	int (*place_new)(void *ctx, void **place);
	void (*place_free)(void *place);
	/*
	 * Decode a request into its place, and serve it without waiting: bytes
	 * written, REQUEST_NO_REPLY or REQUEST_AGAIN; or a REQUEST_WAITS_*: nothing
	 * was done, as it would have to wait.
	 */
	long (*handle)(void *place, struct iov_cursor *in, struct iov_cursor *out);
	/*
	 * Serve the request that waits in its place, which may have gone to another
	 * thread; that thread waits for `what`, and what is less. Returns as handle()
	 * does, but for REQUEST_AGAIN: a request can find more to wait for.
	 */
	long (*resume)(void *place, long what);
	/* Nobody can be found who waits for it: answer that. */
	long (*refuse)(void *place);
	/*
	 * Make a request that waits independent of the guest's memory: what resume() then
	 * writes is kept for fetch(). 0 or -errno. Harmless when it is so already.
	 */
	int (*detach)(void *place);
	/* The reply of a detached request to `out`: the bytes, or `written` where there are none. */
	long (*fetch)(void *place, struct iov_cursor *out, long written);
	/* What it waits for, when others wait for the same: see job_pool.h. */
	uint64_t (*key)(void *place);
	/* The device was reset, or the VMM `left`. Every queue is stopped. */
	void (*reset)(void *ctx, bool left);
	/* A queue's token was fired: wake whoever waits in a lock for its sake. */
	void (*wake)(void *ctx);
	unsigned int pool_threads;	/* for requests that wait for a disk; 0: queues serve them, too */
	/* For the others, borrowed: they outlive sessions, as requests may. NULL: those are refused. */
	struct job_pool *locks, *others;
	uint64_t look_ns;		/* how long a queue's thread may look at its ring before it sleeps */
};
#define REQUEST_NO_REPLY (-1L)
#define REQUEST_AGAIN (-2L)
#define REQUEST_WAITS_DISK (-3L)
#define REQUEST_WAITS_OTHERS (-4L)	/* another machine or process, which may never answer */
#define REQUEST_WAITS_LOCK (-5L)	/* for as long as somebody holds it */
#define REQUEST_WAITS_QUEUE (-6L)	/* it was resumed, and its queue's thread has to go on with it */

static inline bool request_waits(long result)
{
	return result <= REQUEST_WAITS_DISK;
}

struct queue_worker {
	unsigned int index;		/* [I] of the queue, for messages */
	const struct request_ops *ops;	/* [I] */
	struct guest_mem *mem;		/* [I] */
	struct virtqueue *vq;		/* [Q] while running */
	struct queue_wait wait;		/* [Q] */
	struct stop_token stop;

	pthread_mutex_t call_lock;
	int call_fd;			/* [L:call_lock] owned; -1: the guest polls */

	pthread_t thread;
	bool running;			/* the session thread's */
	void *place;			/* [Q] */
	struct guest_table *table;	/* [Q] counted */
	unsigned int generation;	/* [Q] of `table` */
	struct vq_chain chain;		/* [Q] */
	unsigned int undecided;		/* [Q] replies shown since it was last decided whether to notify the guest */
	struct notify notify;		/* [Q] */
	struct offload offload;		/* [Q] but for what comes back */
};

/* 0 or -errno. The worker is stopped. The pools (or NULL) and the others are borrowed. */
int queue_worker_init(struct queue_worker *worker, unsigned int index,
		      const struct request_ops *ops, struct guest_mem *mem,
		      const struct offload_pools *pools);
/* The worker must be stopped, and the pools be gone. */
void queue_worker_destroy(struct queue_worker *worker);

/*
 * Start serving `vq`, whose last_avail is set. 0, or -errno: the rings are not
 * in memory, or there is no thread or descriptor to be had. kick_fd is borrowed;
 * -1: the front end never kicks, and the ring is looked at every millisecond.
 */
int queue_worker_start(struct queue_worker *worker, struct virtqueue *vq, int kick_fd);
/*
 * Stop: when it returns, every request that was popped has been answered or
 * put back, or waits for somebody else without touching the guest's memory, and
 * vq->last_avail is what GET_VRING_BASE answers. Harmless when stopped already.
 * Those that wait are answered when the same ring goes on.
 */
void queue_worker_stop(struct queue_worker *worker);
/* The ring of a stopped worker is gone: nobody waits for these any more. */
void queue_worker_leave(struct queue_worker *worker);

/* Take over `fd` (or -1) as the way to tell the guest, beside a running thread. */
void queue_worker_set_call(struct queue_worker *worker, int fd);

#endif
