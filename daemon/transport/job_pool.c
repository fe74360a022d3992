/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads for requests that wait; see job_pool.h. One lock: nothing here is quick anyway. */
#include "daemon/transport/job_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/deadline.h"
#include "common/log.h"
#include "daemon/transport/queue_worker.h"

/* A job that a thread has served for longer than this, in nanoseconds, is taken to wait without an end. */
#define STUCK_NS 2000000000ULL

struct pool_thread {
	struct job_pool *pool;	/* [I] */
	pthread_t thread;
	struct job *job;	/* [L:lock] being served; NULL: none */
	uint64_t since;		/* [L:lock] when it was taken, by clock_ns() */
};

struct job_pool {
	const struct request_ops *ops;	/* [I] */
	struct job_pool_limits limits;	/* [I] */
	pthread_mutex_t lock;
	pthread_cond_t work, ended;
	struct job *first, **last;	/* [L:lock] */
	unsigned int jobs, idle;	/* [L:lock] lent; threads that wait for one */
	bool closing;			/* [L:lock] */
	unsigned int n_threads, gone;	/* [L:lock] started; ended since */
	struct pool_thread threads[];	/* [L:lock] */
};

int job_pool_new(const struct request_ops *ops, const struct job_pool_limits *limits,
		 struct job_pool **out)
{
	struct job_pool *pool = calloc(1, sizeof(*pool) + limits->threads * sizeof(pool->threads[0]));

	if (!pool)
		return -ENOMEM;
	pool->ops = ops;
	pool->limits = *limits;
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->ended, NULL);
	*out = pool;
	return 0;
}

/* May one more job of this key have a thread? With the lock, as all that follow. */
static bool key_has_room(const struct job_pool *pool, uint64_t key)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < pool->n_threads; i++)
		n += pool->threads[i].job && pool->threads[i].job->key == key;
	return n < pool->limits.threads_per_key;
}

/* The link of the first job that may have a thread now; NULL: there is none. */
static struct job **find_next(struct job_pool *pool)
{
	const struct job *full = NULL;

	for (struct job **link = &pool->first; *link; link = &(*link)->next) {
		/* Mostly all of those that cannot go are of one key. */
		if (full && (*link)->key == full->key)
			continue;
		if (key_has_room(pool, (*link)->key))
			return link;
		full = *link;
	}
	return NULL;
}

static struct job *unlink_job(struct job_pool *pool, struct job **link)
{
	struct job *job = *link;

	*link = job->next;
	if (pool->last == &job->next)
		pool->last = link;
	return job;
}

/* The next job; NULL when the pool is closed. */
static struct job *pool_take(struct pool_thread *self)
{
	struct job_pool *pool = self->pool;
	struct job **link;

	pool->idle++;
	while (!(link = find_next(pool)) && !pool->closing)
		pthread_cond_wait(&pool->work, &pool->lock);
	pool->idle--;
	if (!link)
		return NULL;
	self->job = unlink_job(pool, link);
	self->job->state = JOB_SERVED;
	self->since = clock_ns();
	return self->job;
}

/* It was served: was it left meanwhile? */
static bool pool_finish(struct pool_thread *self, struct job *job)
{
	bool left = job->state == JOB_LEFT;

	self->job = NULL;
	self->pool->jobs--;
	job->state = JOB_DONE;
	return left;
}

/* One that was left has nothing of its queue's any more. */
static void job_free(const struct job_pool *pool, struct job *job)
{
	pool->ops->place_free(job->place);
	free(job);
}

static void *pool_main(void *arg)
{
	struct pool_thread *self = arg;
	struct job_pool *pool = self->pool;
	struct job *job;
	bool left;

	pthread_setname_np(pthread_self(), "pool");
	pthread_mutex_lock(&pool->lock);
	while ((job = pool_take(self))) {
		pthread_mutex_unlock(&pool->lock);
		stop_token_set_current(job->stop);
		job->written = pool->ops->resume(job->place, job->what);
		stop_token_set_current(NULL);
		pthread_mutex_lock(&pool->lock);
		left = pool_finish(self, job);
		pthread_mutex_unlock(&pool->lock);
		if (left)
			job_free(pool, job);
		else
			job->done(job);
		pthread_mutex_lock(&pool->lock);
	}
	pool->gone++;
	pthread_cond_signal(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

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

/* Jobs that a thread could take now, were there one. */
static unsigned int count_ready(const struct job_pool *pool, unsigned int most)
{
	unsigned int n = 0;

	for (const struct job *job = pool->first; job && n < most; job = job->next)
		n += key_has_room(pool, job->key);
	return n;
}

/* One more was queued: see to it that it is served, if there is a way. */
static int pool_wake(struct job_pool *pool)
{
	int err = 0;

	if (pool->n_threads < pool->limits.threads && count_ready(pool, pool->idle + 1) > pool->idle)
		err = pool_grow(pool);
	pthread_cond_signal(&pool->work);
	return pool->n_threads ? 0 : err;
}

/* Jobs that threads have served for longer than STUCK_NS: those of one key, or all. */
static unsigned int count_stuck(const struct job_pool *pool, const uint64_t *key)
{
	uint64_t now = clock_ns();
	unsigned int n = 0;

	for (unsigned int i = 0; i < pool->n_threads; i++) {
		const struct pool_thread *thread = &pool->threads[i];

		n += thread->job && (!key || thread->job->key == *key) && now - thread->since >= STUCK_NS;
	}
	return n;
}

/* How many stuck jobs keep this one from a thread; 0: a thread may be free soon. */
static unsigned int find_stuck(const struct job_pool *pool, const struct job *job)
{
	const struct job_pool_limits *limits = &pool->limits;

	/* A pool that lets one key have all threads gives no warning. */
	if (limits->threads_per_key == limits->threads)
		return 0;
	if (count_stuck(pool, &job->key) == limits->threads_per_key)
		return limits->threads_per_key;
	return count_stuck(pool, NULL) == limits->threads ? limits->threads : 0;
}

int job_pool_submit(struct job_pool *pool, struct job *job)
{
	unsigned int stuck = 0;
	struct job **link;
	int err = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->jobs == pool->limits.jobs)
		err = -EBUSY;
	if (!err) {
		job->next = NULL;
		job->state = JOB_QUEUED;
		link = pool->last;
		*link = job;
		pool->last = &job->next;
		pool->jobs++;
		err = pool_wake(pool);
		stuck = err ? 0 : find_stuck(pool, job);
		if (err) {
			unlink_job(pool, link);
			pool->jobs--;
		}
	}
	pthread_mutex_unlock(&pool->lock);
	if (stuck)
		log_guest(LOG_LEVEL_WARN, "%u requests wait for %s; others wait for these", stuck, pool->limits.what);
	return err;
}

enum job_state job_pool_leave(struct job_pool *pool, struct job *job)
{
	enum job_state state;
	struct job **link = &pool->first;

	pthread_mutex_lock(&pool->lock);
	state = job->state;
	if (state == JOB_QUEUED) {
		while (*link != job)
			link = &(*link)->next;
		unlink_job(pool, link);
		pool->jobs--;
	} else if (state == JOB_SERVED) {
		state = job->state = JOB_LEFT;
	}
	pthread_mutex_unlock(&pool->lock);
	return state;
}

static void pool_close(struct job_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

void job_pool_free(struct job_pool *pool)
{
	if (!pool)
		return;
	pool_close(pool);
	for (unsigned int i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i].thread, NULL);
	pthread_cond_destroy(&pool->ended);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

bool job_pool_try_free(struct job_pool *pool, unsigned int ms)
{
	struct timespec until;
	bool all;

	if (!pool)
		return true;
	until = deadline_in(ms);
	pool_close(pool);
	pthread_mutex_lock(&pool->lock);
	while (pool->gone < pool->n_threads &&
	       pthread_cond_clockwait(&pool->ended, &pool->lock, CLOCK_MONOTONIC, &until) !=
		       ETIMEDOUT)
		continue;
	all = pool->gone == pool->n_threads;
	pthread_mutex_unlock(&pool->lock);
	if (all)
		job_pool_free(pool);
	return all;
}
