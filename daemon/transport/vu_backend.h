/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel: requests from us to the VMM (SET_BACKEND_REQ_FD). Its
 * one user is the window, which takes care that only one thread is here at a
 * time, except for vu_backend_set_fd().
 *
 * The VMM may be waiting for us while we wait for it, so every wait gives up
 * with -EINTR when the calling thread's stop token fires. Replies that are then
 * still to come are collected by vu_backend_settle().
 */
#ifndef CASEMENT_DAEMON_TRANSPORT_VU_BACKEND_H
#define CASEMENT_DAEMON_TRANSPORT_VU_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VU_BACKEND_OUTSTANDING 4

struct vu_backend {
	pthread_mutex_t lock;
	int fd;				/* [L:lock] owned; -1: no channel */
	unsigned int generation;	/* [L:lock] counts channels: answers of an old one never come */
	atomic_bool shmem;		/* [A] relaxed: the VMM negotiated shared memory regions */
	/* The window's thread only: replies still to come, oldest first. */
	unsigned int outstanding;
	uint32_t awaited[VU_BACKEND_OUTSTANDING];	/* their request numbers */
	unsigned int awaited_generation;
	uint64_t result;		/* of the last map or unmap; 0 = done */
};

void vu_backend_init(struct vu_backend *backend);
void vu_backend_destroy(struct vu_backend *backend);
/* Take over `fd`; -1 closes the channel. */
void vu_backend_set_fd(struct vu_backend *backend, int fd);
/* The session is over: close the channel and forget what was to come. Queues are stopped. */
void vu_backend_reset(struct vu_backend *backend);
/* True when mappings can be asked for. */
bool vu_backend_ready(struct vu_backend *backend);

/*
 * Map [fd_offset, +len) of `fd` at `at` in shared memory region `shmid`. Returns
 * when the guest can use it: 0; -EINTR (outcome unknown until settled); -EIO
 * when the VMM refused; -ENOTCONN without a channel; -errno.
 */
int vu_backend_map(struct vu_backend *backend, uint8_t shmid, int fd, uint64_t fd_offset,
		   uint64_t at, uint64_t len, bool writable);
/* Undo exactly such a mapping. With `barrier`, it is gone for the guest when this returns. */
int vu_backend_unmap(struct vu_backend *backend, uint8_t shmid, uint64_t at, uint64_t len, bool barrier);
/*
 * Collect the replies that an -EINTR left behind. Returns the outcome of that
 * request: 0, -EIO, or -EINTR (again) or -errno.
 */
int vu_backend_settle(struct vu_backend *backend);

#endif
