/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel; see vu_backend.h. */
#include "daemon/transport/vu_backend.h"

#include <errno.h>
#include <string.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/stop_token.h"
#include "daemon/transport/vu_socket.h"

/*
 * QEMU answers a map or unmap before it commits it to the guest's address
 * space, but handles requests one after the other: the reply to a second
 * request says that the first took effect. This one names a shared object that
 * does not exist, which QEMU answers with an error and nothing else.
 */
static const struct vhost_user_shared_object barrier_object = {
	{ 0x63, 0x61, 0x73, 0x65, 0x6d, 0x65, 0x6e, 0x74, 0x2d, 0x62, 0x61, 0x72, 0x72, 0x69, 0x65, 0x72 },
};

void vu_backend_init(struct vu_backend *backend)
{
	*backend = (struct vu_backend){ .fd = -1 };
	pthread_mutex_init(&backend->lock, NULL);
}

void vu_backend_destroy(struct vu_backend *backend)
{
	close_fd(&backend->fd);
	pthread_mutex_destroy(&backend->lock);
}

void vu_backend_set_fd(struct vu_backend *backend, int fd)
{
	pthread_mutex_lock(&backend->lock);
	close_fd(&backend->fd);
	backend->fd = fd;
	backend->generation++;
	pthread_mutex_unlock(&backend->lock);
}

void vu_backend_reset(struct vu_backend *backend)
{
	vu_backend_set_fd(backend, -1);
	atomic_store_explicit(&backend->shmem, false, memory_order_relaxed);
}

bool vu_backend_ready(struct vu_backend *backend)
{
	bool open;

	pthread_mutex_lock(&backend->lock);
	open = backend->fd >= 0;
	pthread_mutex_unlock(&backend->lock);
	return open && atomic_load_explicit(&backend->shmem, memory_order_relaxed);
}

/* The channel, kept open for as long as the caller waits on it; what an older one owed is forgotten. */
static int backend_dup(struct vu_backend *backend)
{
	int fd;

	pthread_mutex_lock(&backend->lock);
	fd = backend->fd >= 0 ? dup(backend->fd) : -1;
	if (backend->awaited_generation != backend->generation) {
		backend->awaited_generation = backend->generation;
		backend->outstanding = 0;
		backend->result = 1;
	}
	pthread_mutex_unlock(&backend->lock);
	return fd;
}

/* The channel cannot be followed any more: close it, unless it is a new one already. */
static int backend_fail(struct vu_backend *backend, int err)
{
	/* A VMM that leaves is no failure; the session says so. */
	if (err != -ENOTCONN && err != -EPIPE)
		log_guest(LOG_LEVEL_ERROR, "the VMM's back-end channel failed: %s; the window is closed",
			  strerror(-err));
	pthread_mutex_lock(&backend->lock);
	if (backend->awaited_generation == backend->generation) {
		close_fd(&backend->fd);
		backend->generation++;
	}
	pthread_mutex_unlock(&backend->lock);
	return err;
}

/* A half-sent message cannot be followed up: a thread that is stopped in one ends the channel. */
static int stop_fd(void)
{
	const struct stop_token *token = stop_token_current();

	return token ? token->event_fd : -1;
}

static int stopped(int err)
{
	return err == -ECANCELED ? -ENOTCONN : err;
}

static int backend_send(struct vu_backend *backend, int channel, uint32_t request,
			const void *payload, uint32_t size, int fd)
{
	struct vhost_user_header header = {
		.request = request,
		.flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY,
		.size = size,
	};
	int err;

	if (backend->outstanding == VU_BACKEND_OUTSTANDING)
		return -EBUSY;
	err = stopped(vu_socket_send(channel, stop_fd(), &header, payload, fd));
	if (!err)
		backend->awaited[backend->outstanding++] = request;
	return err;
}

static int backend_receive_one(struct vu_backend *backend, int channel)
{
	struct vu_message reply;
	uint32_t awaited = backend->awaited[0];
	int err = stop_token_wait_readable(channel);

	if (err)
		return err;
	err = stopped(vu_socket_receive(channel, stop_fd(), &reply));
	if (err <= 0)
		return err ? err : -ENOTCONN;
	vu_message_close_fds(&reply);
	if (!(reply.header.flags & VHOST_USER_REPLY) || reply.header.request != awaited ||
	    reply.header.size != sizeof(uint64_t))
		return -EPROTO;
	if (awaited != VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE)
		backend->result = reply.payload.u64;
	backend->outstanding--;
	memmove(backend->awaited, backend->awaited + 1,
		backend->outstanding * sizeof(backend->awaited[0]));
	return 0;
}

static int backend_collect(struct vu_backend *backend, int channel)
{
	while (backend->outstanding) {
		int err = backend_receive_one(backend, channel);

		if (err)
			return err == -EINTR ? err : backend_fail(backend, err);
	}
	return backend->result ? -EIO : 0;
}

static int backend_request(struct vu_backend *backend, uint32_t request,
			   const struct vhost_user_mmap *map, int fd, bool barrier)
{
	cleanup_close int channel = backend_dup(backend);
	int err;

	if (channel < 0)
		return -ENOTCONN;
	backend->result = 1;
	err = backend_send(backend, channel, request, map, sizeof(*map), fd);
	if (!err && barrier)
		err = backend_send(backend, channel, VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE,
				   &barrier_object, sizeof(barrier_object), -1);
	return err ? backend_fail(backend, err) : backend_collect(backend, channel);
}

int vu_backend_map(struct vu_backend *backend, uint8_t shmid, int fd, uint64_t fd_offset,
		   uint64_t at, uint64_t len, bool writable)
{
	struct vhost_user_mmap map = {
		.shmid = shmid, .fd_offset = fd_offset, .shm_offset = at, .len = len,
		.flags = writable ? VHOST_USER_MMAP_WRITABLE : 0,
	};

	return backend_request(backend, VHOST_USER_BACKEND_SHMEM_MAP, &map, fd, true);
}

int vu_backend_unmap(struct vu_backend *backend, uint8_t shmid, uint64_t at, uint64_t len, bool barrier)
{
	struct vhost_user_mmap map = { .shmid = shmid, .shm_offset = at, .len = len };

	return backend_request(backend, VHOST_USER_BACKEND_SHMEM_UNMAP, &map, -1, barrier);
}

int vu_backend_settle(struct vu_backend *backend)
{
	cleanup_close int channel = backend_dup(backend);

	if (channel < 0)
		return -ENOTCONN;
	return backend_collect(backend, channel);
}
