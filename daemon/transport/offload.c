/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests of a queue that are served elsewhere; see offload.h. */
#include "daemon/transport/offload.h"

#include <errno.h>
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
	queue_waker_close(&offload->waker);
}

/* On the pool's thread. The queue may have the job, and be gone, as soon as it is linked in. */
static void come_back(struct job *job)
{
	struct offload *offload = job->owner;
	struct job *first = atomic_load_explicit(&offload->back, memory_order_relaxed);

	do
		job->next = first;
	while (!atomic_compare_exchange_weak_explicit(&offload->back, &first, job,
						      memory_order_release,
						      memory_order_relaxed));
	queue_waker_wake(&offload->waker);
}

static struct job *job_new(struct offload *offload, unsigned int room)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->chain.iov = calloc(room, sizeof(struct iovec));
	job->chain.room = room;
	job->done = come_back;
	job->owner = offload;
	job->stop = offload->stop;
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

int offload_send(struct offload *offload, struct guest_table *table, struct vq_chain *chain,
		 void **place, bool longer)
{
	struct job_pool *pool = longer ? offload->pools.longer : offload->pools.disk;
	struct job *job = offload->spare;
	int err;

	if (!pool)
		return -EOPNOTSUPP;
	if (offload->away >= OFFLOAD_MAX + (longer ? OFFLOAD_LONG_MAX : 0))
		return -EBUSY;
	if (job)
		offload->spare = job->next;
	else
		job = job_new(offload, chain->room);
	if (!job)
		return -ENOMEM;
	swap_request(job, chain, place);
	job->table = guest_table_ref(offload->mem, table);
	offload->away++;
	err = job_pool_submit(pool, job);
	if (err) {
		swap_request(job, chain, place);
		offload_done(offload, job);
	}
	return err;
}

struct job *offload_collect(struct offload *offload)
{
	if (!queue_waker_take(&offload->waker))
		return NULL;
	return atomic_exchange_explicit(&offload->back, NULL, memory_order_acquire);
}

void offload_done(struct offload *offload, struct job *job)
{
	guest_table_put(offload->mem, job->table);
	offload->away--;
	job->next = offload->spare;
	offload->spare = job;
}

void offload_trim(struct offload *offload)
{
	struct job *job;

	while ((job = offload->spare)) {
		offload->spare = job->next;
		job_free(offload, job);
	}
}
