/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One ring's start and stop, by vhost-user messages; see queue.h. Never touches
 * what is on the ring.
 */
#include "client/queue.h"

#include <errno.h>

#include "client/error.h"

int queue_send_num(struct casement_queue *queue)
{
	struct vhost_user_vring_state state = { queue->index, queue->size };

	return channel_set(queue->channel, VHOST_USER_SET_VRING_NUM, &state, sizeof(state), NULL, 0);
}

int queue_send_base(struct casement_queue *queue)
{
	struct vhost_user_vring_state state = { queue->index, queue->base };

	return channel_set(queue->channel, VHOST_USER_SET_VRING_BASE, &state, sizeof(state), NULL, 0);
}

int queue_send_addr(struct casement_queue *queue)
{
	struct vhost_user_vring_addr addr = {
		.index = queue->index,
		.desc = (uintptr_t)queue->desc,
		.used = (uintptr_t)queue->used,
		.avail = (uintptr_t)queue->avail,
	};

	return channel_set(queue->channel, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

int queue_send_fd(struct casement_queue *queue, uint32_t request, int fd)
{
	uint64_t u64 = queue->index | (fd < 0 ? VHOST_USER_VRING_NOFD_MASK : 0);

	return channel_set(queue->channel, request, &u64, sizeof(u64), &fd, fd < 0 ? 0 : 1);
}

int queue_send_enable(struct casement_queue *queue, bool on)
{
	struct vhost_user_vring_state state = { queue->index, on };

	return channel_set(queue->channel, VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
}

int casement_queue_start(struct casement_queue *queue)
{
	int err = queue_send_num(queue);

	if (!err)
		err = queue_send_base(queue);
	if (!err)
		err = queue_send_addr(queue);
	if (!err)
		err = queue_send_fd(queue, VHOST_USER_SET_VRING_CALL, queue->call);
	if (!err)
		err = queue_send_fd(queue, VHOST_USER_SET_VRING_KICK, queue->kick);
	if (!err)
		err = queue_send_enable(queue, true);
	queue->running = !err;
	return err;
}

int casement_queue_stop(struct casement_queue *queue)
{
	struct vhost_user_vring_state state = { queue->index, 0 }, reply;
	int err = channel_get(queue->channel, VHOST_USER_GET_VRING_BASE, &state, sizeof(state),
			      &reply, sizeof(reply));

	if (err)
		return err;
	if (reply.index != queue->index || reply.num > UINT16_MAX)
		return error_set(-EPROTO, "GET_VRING_BASE of queue %u: index %u, base %u",
				 queue->index, reply.index, reply.num);
	queue->base = (uint16_t)reply.num;
	queue->running = false;
	return 0;
}
