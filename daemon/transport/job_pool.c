/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for requests that wait; see job_pool.h. One lock: nothing here is quick anyway. */
#include "daemon/transport/job_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/stop_token.h"
#include "daemon/transport/queue_worker.h"

struct pool_thread {
	struct job_pool *pool;	/* [I] */
	pthread_t thread;
};

struct job_pool {
	const struct request_ops *ops;	/* [I] */
	unsigned int max;		/* [I] threads */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *first, **last;	/* [L:lock] */
	unsigned int queued, idle;	/* [L:lock] jobs in the list, threads that wait for one */
	bool closing;			/* [L:lock] */
	unsigned int n_threads;		/* [L:lock] */
	struct pool_thread threads[];	/* [L:lock] */
};

int job_pool_new(const struct request_ops *ops, unsigned int threads, struct job_pool **out)
{
	struct job_pool *pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->threads[0]));

	if (!pool)
		return -ENOMEM;
	pool->ops = ops;
	pool->max = threads;
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	*out = pool;
	return 0;
}

/* The next job; NULL when the pool is closed. */
static struct job *pool_take(struct job_pool *pool)
{
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	pool->idle++;
	while (!pool->first && !pool->closing)
		pthread_cond_wait(&pool->work, &pool->lock);
	pool->idle--;
	job = pool->first;
	if (job) {
		pool->first = job->next;
		pool->queued--;
	}
	if (!pool->first)
		pool->last = &pool->first;
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void *pool_main(void *arg)
{
	struct pool_thread *self = arg;
	struct job *job;

	pthread_setname_np(pthread_self(), "pool");
	while ((job = pool_take(self->pool))) {
		stop_token_set_current(job->stop);
		job->written = self->pool->ops->resume(job->place, false);
		job->done(job);
	}
	return NULL;
}

/* Called with the lock. */
static int pool_grow(struct job_pool *pool)
{
	struct pool_thread *new = &pool->threads[pool->n_threads];
	sigset_t all, old;
	int err;

	new->pool = pool;
	/* As for a queue's thread: signals are the main thread's, faults are ours. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&new->thread, NULL, pool_main, new);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pool->n_threads++;
	return -err;
}

int job_pool_submit(struct job_pool *pool, struct job *job)
{
	int err = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->queued >= pool->idle && pool->n_threads < pool->max)
		err = pool_grow(pool);
	if (!pool->n_threads) {
		pthread_mutex_unlock(&pool->lock);
		return err;
	}
	job->next = NULL;
	*pool->last = job;
	pool->last = &job->next;
	pool->queued++;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

void job_pool_free(struct job_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i].thread, NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
