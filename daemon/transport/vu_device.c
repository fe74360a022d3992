/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user requests about the device as a whole: features, config space, window, reset. */
#include <errno.h>
#include <string.h>

#include "common/checked.h"
#include "common/log.h"
#include "daemon/transport/vu_session.h"

#define BIT(n) (1ull << (n))

static int reply_u64(struct vu_message *message, uint64_t value)
{
	message->payload.u64 = value;
	message->header.size = sizeof(uint64_t);
	return VU_REPLY;
}

/*
 * Not offered: LOG_ALL (no dirty log: a file system with open handles is not
 * migrated yet), RING_PACKED, IN_ORDER, and VIRTIO_FS_F_NOTIFICATION, which no
 * Linux guest takes and which would move the request queues.
 */
static const uint64_t device_features =
	BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
	BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VHOST_USER_F_PROTOCOL_FEATURES);

int vu_get_features(struct vu_session *session, struct vu_message *message)
{
	(void)session;
	return reply_u64(message, device_features);
}

int vu_set_features(struct vu_session *session, struct vu_message *message)
{
	uint64_t features = message->payload.u64;
	int err = 0;

	if (features & ~device_features) {
		log_error("the front end asks for features 0x%llx that were not offered",
			  (unsigned long long)(features & ~device_features));
		return -EINVAL;
	}
	vu_queues_stop_all(session);
	session->features = features;
	for (unsigned int i = 0; i < VU_QUEUES_MAX && !err; i++) {
		struct vu_queue *queue = &session->queues[i];

		queue->vq.event_idx = features & BIT(VIRTIO_RING_F_EVENT_IDX);
		queue->vq.indirect = features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
		err = vu_queue_update(session, queue);
	}
	return err;
}

static uint64_t offered_protocol_features(const struct vu_session *session)
{
	uint64_t bits = BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			BIT(VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD) |
			BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
			BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);

	if (session->device->has_config)
		bits |= BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	if (session->device->shmem.nregions)
		bits |= BIT(VHOST_USER_PROTOCOL_F_SHMEM);
	return bits;
}

int vu_get_protocol_features(struct vu_session *session, struct vu_message *message)
{
	return reply_u64(message, offered_protocol_features(session));
}

int vu_set_protocol_features(struct vu_session *session, struct vu_message *message)
{
	if (message->payload.u64 & ~offered_protocol_features(session))
		return -EINVAL;
	session->protocol_features = message->payload.u64;
	atomic_store_explicit(&session->backend->shmem,
			      vu_session_has(session, VHOST_USER_PROTOCOL_F_SHMEM),
			      memory_order_relaxed);
	return 0;
}

int vu_set_owner(struct vu_session *session, struct vu_message *message)
{
	(void)session;
	(void)message;
	return 0;
}

int vu_reset_owner(struct vu_session *session, struct vu_message *message)
{
	(void)message;
	vu_queues_reset(session);
	return 0;
}

int vu_reset_device(struct vu_session *session, struct vu_message *message)
{
	(void)message;
	vu_queues_reset(session);
	session->ops.reset(session->ops.ctx, false);
	return 0;
}

int vu_get_queue_num(struct vu_session *session, struct vu_message *message)
{
	(void)session;
	return reply_u64(message, VU_QUEUES_MAX);
}

/* An answer without a payload says that the read failed. */
int vu_get_config(struct vu_session *session, struct vu_message *message)
{
	struct vhost_user_config *config = &message->payload.config;
	uint32_t size = config->size;

	if (!session->device->has_config ||
	    message->header.size < VHOST_USER_CONFIG_HEADER ||
	    size > VHOST_USER_CONFIG_MAX || message->header.size != VHOST_USER_CONFIG_HEADER + size ||
	    !range_within(config->offset, size, sizeof(session->device->config))) {
		message->header.size = 0;
		return VU_REPLY;
	}
	memcpy(config->region, (const char *)&session->device->config + config->offset, size);
	return VU_REPLY;
}

/* The file system device has no writable configuration (virtio 1.3 section 5.11.4). */
int vu_set_config(struct vu_session *session, struct vu_message *message)
{
	(void)session;
	(void)message;
	return -EROFS;
}

int vu_set_backend_req_fd(struct vu_session *session, struct vu_message *message)
{
	int fd = vu_message_take_fd(message, 0);

	if (fd < 0)
		return -EINVAL;
	vu_backend_set_fd(session->backend, fd);
	return 0;
}

int vu_get_shmem_config(struct vu_session *session, struct vu_message *message)
{
	message->payload.shmem = session->device->shmem;
	message->header.size = sizeof(message->payload.shmem);
	return VU_REPLY;
}
