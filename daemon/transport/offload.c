/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of a queue that are served elsewhere; see offload.h. */
#include "daemon/transport/offload.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "daemon/transport/queue_worker.h"

int offload_open(struct offload *offload, const struct request_ops *ops,
		 const struct offload_pools *pools, struct guest_mem *mem, struct stop_token *stop)
{
	*offload = (struct offload){ .ops = ops, .pools = *pools, .mem = mem, .stop = stop };
	return queue_waker_open(&offload->waker);
}

void offload_close(struct offload *offload)
{
	/* Pairs with come_back()'s release: a few instructions are left of it. */
	while (atomic_load_explicit(&offload->returning, memory_order_acquire))
		sched_yield();
	queue_waker_close(&offload->waker);
}

/*
 * On the pool's thread. The queue may have the job as soon as it is linked in, and close; it is there
 * until it was woken.
 */
static void come_back(struct job *job)
{
	struct offload *offload = job->owner;
	struct job *first = atomic_load_explicit(&offload->back, memory_order_relaxed);

	/* Who has the job has seen this. */
	atomic_fetch_add_explicit(&offload->returning, 1, memory_order_relaxed);
	do
		job->next = first;
	while (!atomic_compare_exchange_weak_explicit(&offload->back, &first, job,
						      memory_order_release,
						      memory_order_relaxed));
	queue_waker_wake(&offload->waker);
	atomic_fetch_sub_explicit(&offload->returning, 1, memory_order_release);
}

static struct job *job_new(struct offload *offload, unsigned int room)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->chain.iov = malloc(room * sizeof(struct iovec));
	job->chain.room = room;
	job->done = come_back;
	job->owner = offload;
	if (!job->chain.iov || offload->ops->place_new(offload->ops->ctx, &job->place)) {
		free(job->chain.iov);
		free(job);
		return NULL;
	}
	return job;
}

static void job_free(struct offload *offload, struct job *job)
{
	offload->ops->place_free(job->place);
	free(job->chain.iov);
	free(job);
}

/* The request that is in the queue's hands for the job's spare ones, or back. */
static void swap_request(struct job *job, struct vq_chain *chain, void **place)
{
	struct vq_chain spare_chain = job->chain;
	void *spare_place = job->place;

	job->chain = *chain;
	job->place = *place;
	*chain = spare_chain;
	*place = spare_place;
}

static void link_far(struct offload *offload, struct job *job)
{
	job->far_next = offload->far_first;
	job->far_link = &offload->far_first;
	if (job->far_next)
		job->far_next->far_link = &job->far_next;
	offload->far_first = job;
	offload->far++;
}

static void unlink_far(struct offload *offload, struct job *job)
{
	*job->far_link = job->far_next;
	if (job->far_next)
		job->far_next->far_link = job->far_link;
	job->far_link = NULL;
	offload->far--;
}

static struct job_pool *pool_of(const struct offload *offload, long what)
{
	return what == REQUEST_WAITS_DISK ? offload->pools.disk :
	       what == REQUEST_WAITS_LOCK ? offload->pools.locks : offload->pools.others;
}

static int send_near(struct offload *offload, struct job *job)
{
	int err;

	if (offload->near >= OFFLOAD_MAX)
		return -EBUSY;
	job->stop = offload->stop;
	offload->near++;
	err = job_pool_submit(offload->pools.disk, job);
	if (err)
		offload->near--;
	return err;
}

static int send_far(struct offload *offload, struct job *job)
{
	int err = offload->ops->detach(job->place);

	if (err)
		return err;
	atomic_init(&job->own_stop.fired, false);
	job->own_stop.event_fd = -1;
	job->stop = &job->own_stop;
	job->key = offload->ops->key(job->place);
	link_far(offload, job);
	err = job_pool_submit(pool_of(offload, job->what), job);
	if (err)
		unlink_far(offload, job);
	return err;
}

static int send_job(struct offload *offload, struct job *job, long what)
{
	if (!pool_of(offload, what))
		return -EOPNOTSUPP;
	job->what = what;
	job->key = 0;
	return what == REQUEST_WAITS_DISK ? send_near(offload, job) : send_far(offload, job);
}

static void keep_spare(struct offload *offload, struct job *job)
{
	guest_table_put(offload->mem, job->table);
	job->table = NULL;
	job->next = offload->spare;
	offload->spare = job;
}

int offload_send(struct offload *offload, struct guest_table *table, struct vq_chain *chain,
		 void **place, long what)
{
	struct job *job = offload->spare;
	int err;

	if (!pool_of(offload, what))
		return -EOPNOTSUPP;
	if (job)
		offload->spare = job->next;
	else
		job = job_new(offload, chain->room);
	if (!job)
		return -ENOMEM;
	swap_request(job, chain, place);
	job->table = guest_table_ref(offload->mem, table);
	err = send_job(offload, job, what);
	if (err) {
		swap_request(job, chain, place);
		keep_spare(offload, job);
	}
	return err;
}

/* One that came back: true when it has its reply; it may have found more to wait for. */
static bool settle(struct offload *offload, struct job *job)
{
	struct iov_cursor out;

	if (job->far_link)
		unlink_far(offload, job);
	else
		offload->near--;
	if (job->written == REQUEST_WAITS_QUEUE)
		job->written = offload->ops->resume(job->place, REQUEST_WAITS_QUEUE);
	if (request_waits(job->written)) {
		if (!send_job(offload, job, job->written))
			return false;
		job->written = offload->ops->refuse(job->place);
	}
	iov_cursor_init(&out, job->chain.iov + job->chain.n_read, job->chain.n_write);
	job->written = offload->ops->fetch(job->place, &out, job->written);
	return true;
}

struct job *offload_collect(struct offload *offload)
{
	struct job *job, *next, *settled = NULL;

	if (!queue_waker_take(&offload->waker))
		return NULL;
	job = atomic_exchange_explicit(&offload->back, NULL, memory_order_acquire);
	for (; job; job = next) {
		next = job->next;
		if (!settle(offload, job))
			continue;
		job->next = settled;
		settled = job;
	}
	return settled;
}

void offload_done(struct offload *offload, struct job *job)
{
	keep_spare(offload, job);
}

/* Take back what is the queue's, and let it go. True when it is on its way back, and has to be awaited. */
static bool leave_one(struct offload *offload, struct job *job)
{
	struct job_pool *pool = pool_of(offload, job->what);

	/* Its thread looks at neither. */
	guest_table_put(offload->mem, job->table);
	free(job->chain.iov);
	job->table = NULL;
	job->chain = (struct vq_chain){ .iov = NULL };
	stop_token_fire(&job->own_stop);
	switch (job_pool_leave(pool, job)) {
	case JOB_DONE:
		return true;
	case JOB_QUEUED:
		/* What was reserved for it is given back. */
		offload->ops->refuse(job->place);
		job_free(offload, job);
		break;
	case JOB_SERVED:
	case JOB_LEFT:
		break;
	}
	return false;
}

void offload_leave(struct offload *offload)
{
	struct job *job = offload->far_first, *next;
	unsigned int coming = 0;

	if (!job)
		return;
	for (; job; job = next) {
		next = job->far_next;
		coming += leave_one(offload, job);
	}
	offload->far_first = NULL;
	offload->far = 0;
	/* Their tokens were fired. */
	offload->ops->wake(offload->ops->ctx);
	while (coming) {
		if (!queue_waker_take(&offload->waker)) {
			queue_waker_wait(&offload->waker);
			continue;
		}
		job = atomic_exchange_explicit(&offload->back, NULL, memory_order_acquire);
		for (; job; job = next, coming--) {
			next = job->next;
			if (request_waits(job->written))
				offload->ops->refuse(job->place);
			job_free(offload, job);
		}
	}
}

void offload_trim(struct offload *offload)
{
	struct job *job;

	while ((job = offload->spare)) {
		offload->spare = job->next;
		job_free(offload, job);
	}
}
