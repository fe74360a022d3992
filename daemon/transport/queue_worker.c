/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that serves one virtqueue; see queue_worker.h. */
#include "daemon/transport/queue_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"

/* Replies kept back to be shown to the guest together: at most this many, at most this long. */
#define BATCH_MAX 32
#define BATCH_NS 50000
/* Segments a request may have beyond one per ring entry: buffers that cross regions. */
#define CHAIN_SLACK 64
/* An indirect table may be longer than a small ring; a FUSE request of 256 pages needs this. */
#define CHAIN_MIN 1024

int queue_worker_init(struct queue_worker *worker, unsigned int index,
		      const struct request_ops *ops, struct guest_mem *mem)
{
	*worker = (struct queue_worker){
		.index = index, .ops = ops, .mem = mem, .wait = { .epoll_fd = -1 }, .call_fd = -1,
	};
	pthread_mutex_init(&worker->call_lock, NULL);
	return stop_token_open(&worker->stop);
}

void queue_worker_destroy(struct queue_worker *worker)
{
	close_fd(&worker->call_fd);
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

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void worker_publish(struct queue_worker *worker)
{
	if (!virtqueue_publish(worker->vq))
		return;
	pthread_mutex_lock(&worker->call_lock);
	if (worker->call_fd >= 0 && eventfd_write(worker->call_fd, 1) && errno != EAGAIN)
		log_guest(LOG_LEVEL_WARN, "queue %u: cannot interrupt the guest: %m", worker->index);
	pthread_mutex_unlock(&worker->call_lock);
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

/* Serve one popped request: true when it was answered, false when it was put back. */
static bool worker_serve(struct queue_worker *worker)
{
	struct vq_chain *chain = &worker->chain;
	struct iov_cursor in, out;
	long written;

	iov_cursor_init(&in, chain->iov, chain->n_read);
	iov_cursor_init(&out, chain->iov + chain->n_read, chain->n_write);
	written = worker->ops->handle(worker->scratch, &in, &out);
	if (written == REQUEST_AGAIN) {
		virtqueue_unpop(worker->vq);
		return false;
	}
	virtqueue_push(worker->vq, chain->head, written < 0 ? 0 : (uint32_t)written);
	return true;
}

static bool worker_stopping(struct queue_worker *worker)
{
	return atomic_load_explicit(&worker->stop.fired, memory_order_relaxed);
}

/*
 * Serve what is in the ring. Replies are shown in batches: one index store and
 * at most one interrupt for several, but never held back long behind a slow
 * request. 0, or -errno when the ring is broken.
 */
static int worker_drain(struct queue_worker *worker)
{
	unsigned int held = 0;
	uint64_t since = 0;
	int got = 0;

	while (!worker_stopping(worker)) {
		got = worker_refresh(worker);
		if (!got)
			got = virtqueue_pop(worker->vq, worker->table, &worker->chain);
		if (got <= 0)
			break;
		if (!held)
			since = now_ns();
		if (worker_serve(worker))
			held++;
		if (held && (held == BATCH_MAX || now_ns() - since > BATCH_NS ||
			     !virtqueue_pending(worker->vq))) {
			worker_publish(worker);
			held = 0;
		}
	}
	if (held)
		worker_publish(worker);
	return got < 0 ? got : 0;
}

static void *worker_main(void *arg)
{
	struct queue_worker *worker = arg;
	int err = 0;

	stop_token_set_current(&worker->stop);
	while (!worker_stopping(worker) && !err) {
		virtqueue_disable_kick(worker->vq);
		err = worker_drain(worker);
		if (err || queue_wait_look(&worker->wait, worker->vq, &worker->stop))
			continue;
		if (!virtqueue_enable_kick(worker->vq) && !worker_stopping(worker))
			queue_wait_sleep(&worker->wait);
	}
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
	char name[16];
	int err;

	/* Signals are the main thread's; a fault in guest memory must reach us all the same. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	snprintf(name, sizeof(name), worker->index ? "queue %u" : "hiprio", worker->index);
	pthread_setname_np(worker->thread, name);
	return 0;
}

static void worker_release(struct queue_worker *worker)
{
	if (worker->scratch)
		worker->ops->queue_close(worker->scratch);
	worker->scratch = NULL;
	free(worker->chain.iov);
	worker->chain.iov = NULL;
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
	if (!err)
		err = worker->ops->queue_open(worker->ops->ctx, &worker->scratch);
	if (!err)
		err = queue_wait_open(&worker->wait, kick_fd, &worker->stop, worker->ops->look_ns);
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
