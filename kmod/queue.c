/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * A queue: requests go into the ring by the task that makes them, and come back
 * in the ring's interrupt, where the waiter is woken at once. What finds no room
 * waits in order and is put in when something comes back.
 */
#include "device.h"
#include "poll.h"

#include <linux/interrupt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

/* unique is odd for interrupts, so steps of two; the queue's number makes it the device's only one. */
#define UNIQUE_QUEUE_SHIFT 48
#define UNIQUE_STEP 2

/* -ENOSPC when the ring has no room. Queue's lock held. */
static int put_in_ring(struct cs_queue *queue, struct cs_request *request)
{
	struct scatterlist in, out, *lists[3];
	unsigned int n_out = 0, n_in = 0;

	request->in->len = sizeof(*request->in) + request->in_len;
	if (request->direction == CS_DATA_TO_DEVICE)
		request->in->len += request->data_len;
	if (request->n_data)
		sg_mark_end(&request->data[request->n_data - 1]);
	sg_init_one(&in, request->in, sizeof(*request->in) + request->in_len);
	lists[n_out++] = &in;
	if (request->direction == CS_DATA_TO_DEVICE)
		lists[n_out++] = request->data;
	if (!request->no_reply) {
		sg_init_one(&out, request->out, sizeof(*request->out) + request->out_len);
		lists[n_out + n_in++] = &out;
		if (request->direction == CS_DATA_FROM_DEVICE)
			lists[n_out + n_in++] = request->data;
	}
	return virtqueue_add_sgs(queue->vq, lists, n_out, n_in, request, GFP_ATOMIC);
}

/* Fill the ring from the pending ones. Those that cannot be sent go to `failed`. Lock held. */
static void put_pending(struct cs_queue *queue, struct list_head *failed)
{
	struct cs_request *request, *next;

	list_for_each_entry_safe(request, next, &queue->pending, link) {
		int err = put_in_ring(queue, request);

		if (err == -ENOSPC)
			return;
		if (err) {
			request->error = err;
			list_move_tail(&request->link, failed);
			continue;
		}
		queue->n_sent++;
		list_move_tail(&request->link, &queue->in_flight);
	}
}

/* End those of a list, and the queue's hold on them. No lock held. */
static void finish_all(struct list_head *requests, int error)
{
	struct cs_request *request, *next;

	list_for_each_entry_safe(request, next, requests, link) {
		list_del_init(&request->link);
		cs_request_finish(request, request->error ?: error, true);
		cs_request_put(request);
	}
}

/* put_pending() where that may be: is the device to be told? Lock held. */
static bool fill_ring(struct cs_queue *queue, struct list_head *failed)
{
	if (queue->dead || queue->paused || list_empty(&queue->pending))
		return false;
	put_pending(queue, failed);
	return virtqueue_kick_prepare(queue->vq);
}

/* Somebody waits for this one, too: who polled alone does so no longer. True then. Lock held. */
static bool end_polling_alone(struct cs_queue *queue, const struct cs_request *request)
{
	if (!queue->polled || queue->polled == request || !request->end)
		return false;
	queue->polled = NULL;
	return true;
}

static void send(struct cs_queue *queue, struct cs_request *request)
{
	LIST_HEAD(failed);
	bool notify = false, look = false;
	unsigned long flags;

	cs_request_get(request);
	request->queue = queue;
	/* Pairs with synchronize_rcu() before the virtqueues go: the notification is outside the lock. */
	rcu_read_lock();
	spin_lock_irqsave(&queue->lock, flags);
	request->in->unique = ((u64)queue->index << UNIQUE_QUEUE_SHIFT) |
			      (queue->last_unique += UNIQUE_STEP);
	request->sent = jiffies;
	if (queue->dead) {
		list_add_tail(&request->link, &failed);
	} else {
		bool queued = !list_empty(&queue->pending);

		list_add_tail(&request->link, &queue->pending);
		if (!queued)
			notify = fill_ring(queue, &failed);
		queue->n_waited += !list_empty(&queue->pending);
		look = end_polling_alone(queue, request);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	if (notify)
		virtqueue_notify(queue->vq);
	/* Interrupts are on again after that. */
	if (unlikely(look))
		cs_queue_take(queue);
	rcu_read_unlock();
	finish_all(&failed, -ENOTCONN);
}

/* A reply, outside the lock. */
static void take_reply(struct cs_queue *queue, struct cs_request *request, u32 used)
{
	unsigned long flags;
	int err;

	if (!cs_request_check(request, used, &err)) {
		spin_lock_irqsave(&queue->lock, flags);
		queue->n_bad++;
		spin_unlock_irqrestore(&queue->lock, flags);
	}
	cs_request_finish(request, err, true);
	cs_request_put(request);
}

/* All that the device returned; interrupts are on afterwards unless somebody polls alone. Lock held. */
static void get_returned(struct cs_queue *queue, struct list_head *returned)
{
	struct cs_request *request;
	unsigned int used;

	do {
		virtqueue_disable_cb(queue->vq);
		while ((request = virtqueue_get_buf(queue->vq, &used))) {
			list_move_tail(&request->link, returned);
			request->used = used;
			queue->n_returned++;
		}
		/* One that named a buffer it has not never comes to its end. */
		if (unlikely(virtqueue_is_broken(queue->vq)))
			return;
	} while (!queue->polled && !virtqueue_enable_cb(queue->vq));
}

void cs_queue_take(struct cs_queue *queue)
{
	struct cs_request *request, *next;
	LIST_HEAD(returned);
	LIST_HEAD(failed);
	bool notify, paused, broken;
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	get_returned(queue, &returned);
	notify = fill_ring(queue, &failed);
	paused = queue->paused;
	broken = virtqueue_is_broken(queue->vq) && !queue->dead;
	spin_unlock_irqrestore(&queue->lock, flags);
	if (notify)
		virtqueue_notify(queue->vq);
	if (paused)
		wake_up_all(&queue->device->quiet);
	if (unlikely(broken))
		schedule_work(&queue->device->broken_work);
	list_for_each_entry_safe(request, next, &returned, link) {
		list_del_init(&request->link);
		take_reply(queue, request, request->used);
	}
	finish_all(&failed, -EIO);
}

void cs_queue_returned(struct virtqueue *vq)
{
	struct cs_device *device = vq->vdev->priv;

	cs_queue_take(&device->queues[vq->index]);
}

void cs_queue_abort(struct cs_queue *queue)
{
	struct cs_request *request;
	LIST_HEAD(pending);
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	queue->dead = true;
	list_splice_init(&queue->pending, &pending);
	while ((request = list_first_entry_or_null(&queue->in_flight, struct cs_request, link))) {
		list_move_tail(&request->link, &queue->orphans);
		cs_request_get(request);
		spin_unlock_irqrestore(&queue->lock, flags);
		cs_request_finish(request, -ECONNABORTED, false);
		cs_request_put(request);
		spin_lock_irqsave(&queue->lock, flags);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	wake_up_all(&queue->device->quiet);
	finish_all(&pending, -ECONNABORTED);
}

void cs_queue_drop(struct cs_queue *queue)
{
	struct cs_request *request;

	while (queue->vq && (request = virtqueue_detach_unused_buf(queue->vq))) {
		list_del_init(&request->link);
		cs_request_finish(request, -ECONNABORTED, true);
		cs_request_put(request);
	}
	/* Returned by the device, but its interrupt never came. */
	list_splice_init(&queue->orphans, &queue->in_flight);
	finish_all(&queue->in_flight, -ECONNABORTED);
	queue->vq = NULL;
}

void cs_queue_pause(struct cs_queue *queue)
{
	spin_lock_irq(&queue->lock);
	queue->paused = true;
	spin_unlock_irq(&queue->lock);
}

void cs_queue_resume(struct cs_queue *queue)
{
	struct cs_request *request;
	LIST_HEAD(failed);
	bool notify;

	spin_lock_irq(&queue->lock);
	queue->paused = false;
	/* For those that are late: the time begins now. */
	list_for_each_entry(request, &queue->pending, link)
		request->sent = jiffies;
	notify = fill_ring(queue, &failed);
	spin_unlock_irq(&queue->lock);
	if (notify)
		virtqueue_notify(queue->vq);
	finish_all(&failed, -EIO);
}

unsigned int cs_queue_under_way(struct cs_queue *queue)
{
	unsigned int n;

	spin_lock_irq(&queue->lock);
	n = list_count_nodes(&queue->in_flight);
	spin_unlock_irq(&queue->lock);
	return n;
}

void cs_queue_init(struct cs_device *device, unsigned int index)
{
	struct cs_queue *queue = &device->queues[index];

	spin_lock_init(&queue->lock);
	queue->device = device;
	queue->index = index;
	if (index)
		snprintf(queue->name, sizeof(queue->name), "requests.%u", index - 1);
	else
		strscpy(queue->name, "hiprio", sizeof(queue->name));
	INIT_LIST_HEAD(&queue->in_flight);
	INIT_LIST_HEAD(&queue->pending);
	INIT_LIST_HEAD(&queue->orphans);
}

static struct cs_queue *this_queue(struct cs_device *device)
{
	return &device->queues[1 + raw_smp_processor_id() % (device->n_queues - 1)];
}

void cs_device_send(struct cs_device *device, struct cs_request *request)
{
	send(this_queue(device), request);
}

void cs_device_send_hiprio(struct cs_device *device, struct cs_request *request)
{
	send(&device->queues[0], request);
}

static void undo_work(struct work_struct *work)
{
	struct cs_request *request = container_of(work, struct cs_request, work);

	request->undo(request);
	cs_request_put(request);
}

/* end() of a request that somebody waits for. */
static void wake_caller(struct cs_request *request)
{
	if (request->before_wake)
		request->before_wake(request);
	if (cmpxchg(&request->wait, CS_WAITING, CS_WAIT_ENDED) == CS_WAITING) {
		complete(&request->done);
	} else if (request->left) {
		request->left(request);
	} else if (!request->error && request->undo) {
		cs_request_get(request);
		cs_request_defer(request, undo_work);
	}
}

/* Send what is waited for, and look a while for its reply. */
static void call(struct cs_device *device, struct cs_request *request)
{
	struct cs_queue *queue = this_queue(device);
	struct cs_poll poll;

	request->end = wake_caller;
	cs_poll_start(&poll, queue, request);
	send(queue, request);
	cs_poll_run(&poll);
}

/* What is left of `patience` since the oldest request was sent that the queue has no reply to. */
static unsigned long patience_left(struct cs_queue *queue, unsigned long patience)
{
	const struct cs_request *request;
	unsigned long oldest = jiffies;

	spin_lock_irq(&queue->lock);
	list_for_each_entry(request, &queue->in_flight, link)
		if (!request->patient && time_before(request->sent, oldest))
			oldest = request->sent;
	spin_unlock_irq(&queue->lock);
	return time_before(jiffies, oldest + patience) ? oldest + patience - jiffies : 0;
}

unsigned long cs_device_patience(struct cs_device *device)
{
	unsigned long left = CS_EXIT_PATIENCE;

	for (unsigned int i = 0; i < device->n_queues; i++)
		left = min(left, patience_left(&device->queues[i], CS_EXIT_PATIENCE));
	return left;
}

/*
 * 0, or -EINTR when it is not waited for any more. No signal comes to who is ending, and its files'
 * FLUSHes must not keep it for ever, one after the other; but the locks that those give back
 * should be free when it is gone.
 */
static int wait_for_reply(struct cs_request *request)
{
	if (likely(!(current->flags & PF_EXITING)))
		return wait_for_completion_killable(&request->done) ? -EINTR : 0;
	return wait_for_completion_timeout(&request->done, patience_left(request->queue, CS_EXIT_PATIENCE)) ?
	       0 : -EINTR;
}

/* The rest of a call: 0 or -errno, -EINTR after a kill. */
static int wait_for_end(struct cs_request *request)
{
	if (wait_for_reply(request)) {
		if (request->leave)
			request->leave(request);
		if (cmpxchg(&request->wait, CS_WAITING, CS_WAIT_ABANDONED) == CS_WAITING)
			return -EINTR;
		/* It ended as we were killed: complete() is on its way. */
		wait_for_completion(&request->done);
		if (request->left)
			request->left(request);
	}
	return request->error;
}

int cs_device_call(struct cs_device *device, struct cs_request *request)
{
	call(device, request);
	return wait_for_end(request);
}

/* By the queue that no waiting request can fill. Without memory the caller waits on. */
static void interrupt(struct cs_device *device, const struct cs_request *request)
{
	struct cs_request *interrupt = cs_request_new(FUSE_INTERRUPT, 0, sizeof(struct fuse_interrupt_in), 0,
						      GFP_KERNEL);

	if (!interrupt)
		return;
	((struct fuse_interrupt_in *)cs_request_args(interrupt))->unique = request->in->unique;
	interrupt->no_reply = true;
	cs_device_send_hiprio(device, interrupt);
	cs_request_put(interrupt);
}

int cs_device_call_interruptible(struct cs_device *device, struct cs_request *request)
{
	request->end = wake_caller;
	cs_device_send(device, request);
	if (!wait_for_completion_interruptible(&request->done))
		return request->error;
	interrupt(device, request);
	return wait_for_end(request);
}
