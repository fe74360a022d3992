/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that serves one virtqueue; see queue_worker.h. */
#include "daemon/transport/queue_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

/* At least once in so many replies the guest's wish is read with a fence: used indexes have 16 bits. */
#define UNDECIDED_MAX 256
/* Segments a request may have beyond one per ring entry: buffers that cross regions. */
#define CHAIN_SLACK 64
/* An indirect table may be longer than a small ring; a FUSE request of 256 pages needs this. */
#define CHAIN_MIN 1024

int queue_worker_init(struct queue_worker *worker, unsigned int index,
		      const struct request_ops *ops, struct guest_mem *mem,
		      const struct offload_pools *pools)
{
	int err;

	*worker = (struct queue_worker){
		.index = index, .ops = ops, .mem = mem, .wait = { .epoll_fd = -1 }, .call_fd = -1,
	};
	err = offload_open(&worker->offload, ops, pools, mem, &worker->stop);
	if (err)
		return err;
	err = stop_token_open(&worker->stop);
	if (err) {
		offload_close(&worker->offload);
		return err;
	}
	pthread_mutex_init(&worker->call_lock, NULL);
	return 0;
}

void queue_worker_destroy(struct queue_worker *worker)
{
	queue_worker_leave(worker);
	close_fd(&worker->call_fd);
	offload_close(&worker->offload);
	stop_token_close(&worker->stop);
	pthread_mutex_destroy(&worker->call_lock);
}

void queue_worker_set_call(struct queue_worker *worker, int fd)
{
	pthread_mutex_lock(&worker->call_lock);
	close_fd(&worker->call_fd);
	worker->call_fd = fd;
	pthread_mutex_unlock(&worker->call_lock);
}

/* Notify the guest of the replies that it was shown, if it waits. */
static void worker_notify(struct queue_worker *worker)
{
	if (!worker->undecided)
		return;
	worker->undecided = 0;
	if (!virtqueue_must_notify(worker->vq))
		return;
	notify_sent(&worker->notify);
	pthread_mutex_lock(&worker->call_lock);
	if (worker->call_fd >= 0 && eventfd_write(worker->call_fd, 1) && errno != EAGAIN)
		log_guest(LOG_LEVEL_WARN, "queue %u: cannot interrupt the guest: %m", worker->index);
	pthread_mutex_unlock(&worker->call_lock);
}

/* A reply for the ring: a guest that is awake finds it there. */
static void worker_push(struct queue_worker *worker, uint16_t head, long written)
{
	virtqueue_push(worker->vq, head, written < 0 ? 0 : (uint32_t)written);
	virtqueue_show(worker->vq);
	worker->undecided++;
}

/* Take the replies of what was served elsewhere; to a ring that is lost they cannot go. */
static void worker_collect(struct queue_worker *worker, bool lost)
{
	struct job *job = offload_collect(&worker->offload);

	while (job) {
		struct job *next = job->next;

		if (!lost)
			worker_push(worker, job->chain.head, job->written);
		offload_done(&worker->offload, job);
		job = next;
	}
}

/* Memory may have changed since the last request: take the table that is current now. */
static int worker_refresh(struct queue_worker *worker)
{
	unsigned int generation = guest_mem_generation(worker->mem);

	if (generation == worker->generation)
		return 0;
	guest_table_put(worker->mem, worker->table);
	worker->table = guest_mem_get(worker->mem);
	worker->generation = generation;
	return virtqueue_reattach(worker->vq, worker->table);
}

static long worker_handle(struct queue_worker *worker)
{
	struct vq_chain *chain = &worker->chain;
	struct iov_cursor in, out;

	iov_cursor_init(&in, chain->iov, chain->n_read);
	iov_cursor_init(&out, chain->iov + chain->n_read, chain->n_write);
	return worker->ops->handle(worker->place, &in, &out);
}

/* The reply of one that waited; it may have been detached, and then refused. */
static long worker_fetch(struct queue_worker *worker, long written)
{
	struct vq_chain *chain = &worker->chain;
	struct iov_cursor out;

	iov_cursor_init(&out, chain->iov + chain->n_read, chain->n_write);
	return worker->ops->fetch(worker->place, &out, written);
}

/* One that has to wait: true when it was sent away, else *written is what became of it. */
static bool worker_send(struct queue_worker *worker, long *written)
{
	while (request_waits(*written)) {
		long what = *written;

		if (!offload_send(&worker->offload, worker->table, &worker->chain, &worker->place, what))
			return true;
		/* All others wait for this one, but not those that are done. */
		worker_notify(worker);
		*written = what == REQUEST_WAITS_DISK ? worker->ops->resume(worker->place, what) :
			   worker->ops->refuse(worker->place);
	}
	*written = worker_fetch(worker, *written);
	return false;
}

/* Serve one popped request, or send it away, or put it back. */
static void worker_serve(struct queue_worker *worker)
{
	long written = worker_handle(worker);

	if (request_waits(written) && worker_send(worker, &written))
		return;
	if (written == REQUEST_AGAIN)
		virtqueue_unpop(worker->vq);
	else
		worker_push(worker, worker->chain.head, written);
}

static bool worker_stopping(struct queue_worker *worker)
{
	return atomic_load_explicit(&worker->stop.fired, memory_order_relaxed);
}

/* True when a guest that waits for replies should wait no longer. */
static bool worker_is_due(struct queue_worker *worker)
{
	unsigned int left;

	if (!worker->undecided)
		return false;
	left = virtqueue_count(worker->vq);
	if (!left || worker->undecided >= UNDECIDED_MAX)
		return true;
	if (virtqueue_seems_to_wait(worker->vq))
		return notify_is_due(&worker->notify, left);
	notify_awake(&worker->notify);
	return false;
}

/* Serve what is in the ring. 0, or -errno when the ring is broken. */
static int worker_drain(struct queue_worker *worker)
{
	int got = 0;

	while (!worker_stopping(worker)) {
		got = worker_refresh(worker);
		if (got)
			return got;
		worker_collect(worker, false);
		got = virtqueue_pop(worker->vq, worker->table, &worker->chain);
		if (got <= 0)
			break;
		worker_serve(worker);
		notify_served(&worker->notify);
		if (worker_is_due(worker))
			worker_notify(worker);
	}
	worker_notify(worker);
	return got < 0 ? got : 0;
}

/* Wait for what works on the guest's memory. `err` is why the queue ends: only -EPROTO leaves it its rings. */
static void worker_finish(struct queue_worker *worker, int err)
{
	bool lost = err && err != -EPROTO;

	while (worker->offload.near) {
		queue_waker_wait(&worker->offload.waker);
		lost = lost || worker_refresh(worker);
		worker_collect(worker, lost);
	}
	if (!lost)
		worker_notify(worker);
	worker->undecided = 0;
}

static void *worker_main(void *arg)
{
	struct queue_worker *worker = arg;
	char name[16];
	int err = 0;

	/* By the thread itself: another's name is set through /proc, which a sandbox has not. */
	snprintf(name, sizeof(name), worker->index ? "queue %u" : "hiprio", worker->index);
	pthread_setname_np(pthread_self(), name);
	stop_token_set_current(&worker->stop);
	while (!worker_stopping(worker) && !err) {
		virtqueue_disable_kick(worker->vq);
		err = worker_drain(worker);
		if (err || queue_wait_look(&worker->wait, worker->vq))
			continue;
		if (!virtqueue_enable_kick(worker->vq) && !worker_stopping(worker))
			queue_wait_sleep(&worker->wait);
	}
	worker_finish(worker, err);
	if (err)
		log_guest(LOG_LEVEL_ERROR,
			  "queue %u: the guest's ring is broken at entry %u (%s); this queue is stopped until the guest resets it",
			  worker->index, worker->vq->last_avail,
			  err == -EFAULT ? "it left guest memory" : "nonsense in it");
	return NULL;
}

static int worker_thread_start(struct queue_worker *worker)
{
	sigset_t all, old;
	int err;

	/* Signals are the main thread's; a fault in guest memory must reach us all the same. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static void worker_release(struct queue_worker *worker)
{
	if (worker->place)
		worker->ops->place_free(worker->place);
	worker->place = NULL;
	free(worker->chain.iov);
	worker->chain.iov = NULL;
	offload_trim(&worker->offload);
	guest_table_put(worker->mem, worker->table);
	worker->table = NULL;
	queue_wait_close(&worker->wait);
}

int queue_worker_start(struct queue_worker *worker, struct virtqueue *vq, int kick_fd)
{
	int err;

	worker->vq = vq;
	worker->generation = guest_mem_generation(worker->mem);
	worker->table = guest_mem_get(worker->mem);
	stop_token_rearm(&worker->stop);
	worker->chain.room = MAX(vq->num, CHAIN_MIN) + CHAIN_SLACK;
	worker->chain.iov = calloc(worker->chain.room, sizeof(struct iovec));
	err = worker->chain.iov ? 0 : -ENOMEM;
	if (!err)
		err = virtqueue_attach(vq, worker->table);
	/* So many were taken from this very ring and not answered? Else it is another. */
	if (!err && (uint16_t)(vq->last_avail - vq->used_idx) != worker->offload.far)
		offload_leave(&worker->offload);
	if (!err)
		err = worker->ops->place_new(worker->ops->ctx, &worker->place);
	if (!err)
		err = queue_wait_open(&worker->wait, kick_fd, &worker->stop, &worker->offload.waker,
				      worker->ops->look_ns);
	if (!err)
		err = worker_thread_start(worker);
	if (err) {
		worker_release(worker);
		return err;
	}
	worker->running = true;
	return 0;
}

void queue_worker_stop(struct queue_worker *worker)
{
	if (!worker->running)
		return;
	stop_token_fire(&worker->stop);
	worker->ops->wake(worker->ops->ctx);
	pthread_join(worker->thread, NULL);
	worker->running = false;
	worker_release(worker);
}

void queue_worker_leave(struct queue_worker *worker)
{
	offload_leave(&worker->offload);
	offload_trim(&worker->offload);
}
