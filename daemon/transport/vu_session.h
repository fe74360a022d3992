/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user session: one VMM, from connect to disconnect. Follows QEMU's
 * docs/interop/vhost-user.rst. All of it runs on the session thread; queues
 * have threads of their own (queue_worker.h).
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_VU_SESSION_H
#define CASEMENT_DAEMON_TRANSPORT_VU_SESSION_H

#include "daemon/transport/guest_mem.h"
#include "daemon/transport/queue_worker.h"
#include "daemon/transport/vu_backend.h"
#include "daemon/transport/vu_socket.h"
#include "proto/virtio_fs.h"

/* hiprio and 128 request queues. */
#define VU_QUEUES_MAX 129

/* What the device is; the same for every session. */
struct vu_device {
	bool has_config;		/* a tag was given: we serve the config space */
	struct virtio_fs_config config;
	struct vhost_user_shmem_config shmem;	/* nregions 0: no window */
};

/* Aligned to the pairs of lines that processors fetch: a queue's thread writes to no line of another's. */
struct vu_queue {
	bool initialized;		/* `worker` is */
	struct queue_worker worker;
	struct virtqueue vq;
	bool addr_set;
	bool kick_set;			/* between SET_VRING_KICK and GET_VRING_BASE */
	bool enabled;
	int kick_fd;			/* owned; -1: none */
	int err_fd;			/* owned; kept for the front end's sake */
} __attribute__((aligned(128)));

struct vu_session {
	const struct vu_device *device;
	struct request_ops ops;
	int sock, stop_fd;
	uint64_t features;
	uint64_t protocol_features;
	struct guest_mem mem;
	struct offload_pools pools;
	struct vu_backend *backend;	/* borrowed: the window uses it too */
	struct vu_queue queues[VU_QUEUES_MAX];
};

/* 0 or -errno. `sock` is a connected stream socket, and stays the caller's. */
int vu_session_new(const struct vu_device *device, const struct request_ops *ops,
		   struct vu_backend *backend, int sock, struct vu_session **out);
void vu_session_free(struct vu_session *session);

/*
 * Something else that the session's thread looks after while it serves; not
 * any more once the VMM has left, even if that is not noticed yet.
 */
struct vu_bystander {
	int fd;			/* -1: nothing */
	void (*ready)(void *ctx);	/* `fd` is readable; must make it not be so */
	void *ctx;
};

/*
 * Serve until the VMM leaves (0), `stop_fd` becomes readable (0), or it breaks
 * the protocol (-EPROTO) or the socket fails (-errno). Every queue is stopped
 * when it returns.
 */
int vu_session_run(struct vu_session *session, int stop_fd, const struct vu_bystander *other);

/* ---- between the files of the session ---- */

/* A request's handler: 0, VU_REPLY when it filled message->payload and header.size, or -errno. */
#define VU_REPLY 1
typedef int (*vu_handler)(struct vu_session *session, struct vu_message *message);

static inline bool vu_session_has(const struct vu_session *session, enum vhost_user_protocol_feature bit)
{
	return session->protocol_features & (1ull << bit);
}

/* Start or stop a queue as its state now asks for: 0 or -errno of the start. */
int vu_queue_update(struct vu_session *session, struct vu_queue *queue);
void vu_queues_stop_all(struct vu_session *session);
/* Back to the state after connect: every ring unset and disabled. */
void vu_queues_reset(struct vu_session *session);
void vu_queues_destroy(struct vu_session *session);

/* vu_device.c */
int vu_get_features(struct vu_session *session, struct vu_message *message);
int vu_set_features(struct vu_session *session, struct vu_message *message);
int vu_get_protocol_features(struct vu_session *session, struct vu_message *message);
int vu_set_protocol_features(struct vu_session *session, struct vu_message *message);
int vu_set_owner(struct vu_session *session, struct vu_message *message);
int vu_reset_owner(struct vu_session *session, struct vu_message *message);
int vu_reset_device(struct vu_session *session, struct vu_message *message);
int vu_get_queue_num(struct vu_session *session, struct vu_message *message);
int vu_get_config(struct vu_session *session, struct vu_message *message);
int vu_set_config(struct vu_session *session, struct vu_message *message);
int vu_set_backend_req_fd(struct vu_session *session, struct vu_message *message);
int vu_get_shmem_config(struct vu_session *session, struct vu_message *message);
/* vu_memory.c */
int vu_set_mem_table(struct vu_session *session, struct vu_message *message);
int vu_get_max_mem_slots(struct vu_session *session, struct vu_message *message);
int vu_add_mem_reg(struct vu_session *session, struct vu_message *message);
int vu_rem_mem_reg(struct vu_session *session, struct vu_message *message);
/* vu_ring.c */
int vu_set_vring_num(struct vu_session *session, struct vu_message *message);
int vu_set_vring_addr(struct vu_session *session, struct vu_message *message);
int vu_set_vring_base(struct vu_session *session, struct vu_message *message);
int vu_get_vring_base(struct vu_session *session, struct vu_message *message);
int vu_set_vring_kick(struct vu_session *session, struct vu_message *message);
int vu_set_vring_call(struct vu_session *session, struct vu_message *message);
int vu_set_vring_err(struct vu_session *session, struct vu_message *message);
int vu_set_vring_enable(struct vu_session *session, struct vu_message *message);

#endif
