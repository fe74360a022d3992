/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user requests about one ring. The front end may send them in any order
 * and at any time: each changes the queue's state, and vu_queue_update() makes
 * the worker follow it. What a running ring is made of is changed only while
 * its worker is stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/transport/vu_session.h"

static int queue_init(struct vu_session *session, struct vu_queue *queue)
{
	int err;

	if (queue->initialized)
		return 0;
	err = queue_worker_init(&queue->worker, (unsigned int)(queue - session->queues),
				&session->ops, &session->mem, &session->pools);
	queue->initialized = !err;
	return err;
}

/* The queue a message names, or NULL. */
static struct vu_queue *queue_find(struct vu_session *session, uint64_t index)
{
	struct vu_queue *queue;
	int err;

	if (index >= VU_QUEUES_MAX) {
		log_error("the front end names queue %llu; there are %u",
			  (unsigned long long)index, VU_QUEUES_MAX);
		return NULL;
	}
	queue = &session->queues[index];
	err = queue_init(session, queue);
	if (err) {
		log_error("queue %llu: %s", (unsigned long long)index, strerror(-err));
		return NULL;
	}
	return queue;
}

/* Without the protocol-feature negotiation a ring is enabled from the start. */
static bool queue_should_run(const struct vu_session *session, const struct vu_queue *queue)
{
	bool enabled = queue->enabled ||
		       !(session->features & (1ull << VHOST_USER_F_PROTOCOL_FEATURES));

	return enabled && queue->kick_set && queue->addr_set && queue->vq.num;
}

static void queue_stop(struct vu_queue *queue)
{
	if (queue->initialized)
		queue_worker_stop(&queue->worker);
}

int vu_queue_update(struct vu_session *session, struct vu_queue *queue)
{
	bool run = queue_should_run(session, queue);
	int err = 0;

	if (!queue->initialized || run == queue->worker.running)
		return 0;
	if (run)
		err = queue_worker_start(&queue->worker, &queue->vq, queue->kick_fd);
	else
		queue_stop(queue);
	if (err)
		log_error("queue %u: cannot start: %s", queue->worker.index,
			  err == -EFAULT ? "its rings are not in guest memory" : strerror(-err));
	return err;
}

void vu_queues_stop_all(struct vu_session *session)
{
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++)
		queue_stop(&session->queues[i]);
}

void vu_queues_reset(struct vu_session *session)
{
	vu_queues_stop_all(session);
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++) {
		struct vu_queue *queue = &session->queues[i];

		close_fd(&queue->kick_fd);
		close_fd(&queue->err_fd);
		if (queue->initialized) {
			queue_worker_leave(&queue->worker);
			queue_worker_set_call(&queue->worker, -1);
		}
		queue->vq = (struct virtqueue){
			.event_idx = queue->vq.event_idx, .indirect = queue->vq.indirect,
		};
		queue->addr_set = queue->kick_set = queue->enabled = false;
	}
}

void vu_queues_destroy(struct vu_session *session)
{
	vu_queues_reset(session);
	for (unsigned int i = 0; i < VU_QUEUES_MAX; i++)
		if (session->queues[i].initialized)
			queue_worker_destroy(&session->queues[i].worker);
}

int vu_set_vring_num(struct vu_session *session, struct vu_message *message)
{
	struct vu_queue *queue = queue_find(session, message->payload.state.index);
	uint32_t num = message->payload.state.num;

	if (!queue || !num || num > VIRTIO_RING_MAX || (num & (num - 1)))
		return -EINVAL;
	queue_stop(queue);
	queue->vq.num = (uint16_t)num;
	return vu_queue_update(session, queue);
}

int vu_set_vring_addr(struct vu_session *session, struct vu_message *message)
{
	const struct vhost_user_vring_addr *addr = &message->payload.addr;
	struct vu_queue *queue = queue_find(session, addr->index);

	if (!queue)
		return -EINVAL;
	queue_stop(queue);
	queue->vq.desc_addr = addr->desc;
	queue->vq.avail_addr = addr->avail;
	queue->vq.used_addr = addr->used;
	queue->addr_set = true;
	return vu_queue_update(session, queue);
}

int vu_set_vring_base(struct vu_session *session, struct vu_message *message)
{
	struct vu_queue *queue = queue_find(session, message->payload.state.index);

	if (!queue || message->payload.state.num > UINT16_MAX)
		return -EINVAL;
	queue_stop(queue);
	queue->vq.last_avail = (uint16_t)message->payload.state.num;
	return vu_queue_update(session, queue);
}

int vu_get_vring_base(struct vu_session *session, struct vu_message *message)
{
	struct vu_queue *queue = queue_find(session, message->payload.state.index);

	if (!queue)
		return -EINVAL;
	queue_stop(queue);
	close_fd(&queue->kick_fd);
	queue->kick_set = false;
	message->payload.state.num = queue->vq.last_avail;
	message->header.size = sizeof(message->payload.state);
	return VU_REPLY;
}

/* KICK, CALL and ERR: the index and perhaps a descriptor, which *fd then gets. */
static struct vu_queue *queue_and_fd(struct vu_session *session, struct vu_message *message, int *fd)
{
	struct vu_queue *queue = queue_find(session, message->payload.u64 & VHOST_USER_VRING_IDX_MASK);
	bool no_fd = message->payload.u64 & VHOST_USER_VRING_NOFD_MASK;

	*fd = -1;
	if (!queue || no_fd != !message->n_fds)
		return NULL;
	*fd = vu_message_take_fd(message, 0);
	return queue;
}

int vu_set_vring_kick(struct vu_session *session, struct vu_message *message)
{
	int fd;
	struct vu_queue *queue = queue_and_fd(session, message, &fd);

	if (!queue)
		return -EINVAL;
	queue_stop(queue);
	close_fd(&queue->kick_fd);
	queue->kick_fd = fd;
	queue->kick_set = true;
	return vu_queue_update(session, queue);
}

int vu_set_vring_call(struct vu_session *session, struct vu_message *message)
{
	int fd;
	struct vu_queue *queue = queue_and_fd(session, message, &fd);

	if (!queue)
		return -EINVAL;
	/* A counter that is full has told the guest already: nobody waits until it is read. */
	if (fd >= 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		log_guest(LOG_LEVEL_WARN, "queue %u: its call descriptor cannot be made non-blocking: %m",
			  queue->worker.index);
	queue_worker_set_call(&queue->worker, fd);
	return 0;
}

int vu_set_vring_err(struct vu_session *session, struct vu_message *message)
{
	int fd;
	struct vu_queue *queue = queue_and_fd(session, message, &fd);

	if (!queue)
		return -EINVAL;
	close_fd(&queue->err_fd);
	queue->err_fd = fd;
	return 0;
}

int vu_set_vring_enable(struct vu_session *session, struct vu_message *message)
{
	struct vu_queue *queue = queue_find(session, message->payload.state.index);

	if (!queue || message->payload.state.num > 1)
		return -EINVAL;
	queue->enabled = message->payload.state.num;
	return vu_queue_update(session, queue);
}
