/* SPDX-License-Identifier: BSD-3-Clause */
/* File handles; see file_handle.h. */
#include "daemon/fs/file_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/fs/safe_open.h"

#define OPEN_TRIES 100		/* while the kernel says ENOMEM */
#define OPEN_TRIES_AT_ONCE 10	/* of these; a thousandth of a second between the others */

/* The kernel's struct file_handle, with room for any. */
union full_handle {
	struct file_handle head;
	uint8_t space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

int file_handle_make(int fd, struct packed_handle *handle)
{
	union full_handle full = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;
	void *heap;

	if (name_to_handle_at(fd, "", &full.head, &mount_id, AT_EMPTY_PATH) < 0)
		return -errno;
	if (full.head.handle_type < 0 || full.head.handle_type > UINT8_MAX)
		return -EOPNOTSUPP;
	handle->type = (uint8_t)full.head.handle_type;
	handle->len = (uint8_t)full.head.handle_bytes;
	if (handle->len <= HANDLE_INLINE) {
		memcpy(handle->bytes, full.head.f_handle, handle->len);
		return 0;
	}
	heap = malloc(handle->len);
	if (!heap)
		return -ENOMEM;
	memcpy(heap, full.head.f_handle, handle->len);
	memcpy(handle->bytes, &heap, sizeof(heap));
	return 0;
}

static void *handle_heap(const struct packed_handle *handle)
{
	void *heap;

	memcpy(&heap, handle->bytes, sizeof(heap));
	return heap;
}

void file_handle_release(struct packed_handle *handle)
{
	if (handle->len > HANDLE_INLINE)
		free(handle_heap(handle));
	handle->len = 0;
}

static void wait_for_try(unsigned int i)
{
	if (i < OPEN_TRIES_AT_ONCE)
		sched_yield();
	else
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/*
 * The kernel says ENOMEM also of a file that is gone, while another is being made
 * with its inode number: iget_locked() has no other word for it. That passes, and
 * then it is ESTALE; so it is asked again, for a while.
 */
int file_handle_open(int mount_fd, const struct packed_handle *handle, int flags)
{
	union full_handle full = {
		.head = { .handle_bytes = handle->len, .handle_type = handle->type },
	};
	int fd;

	memcpy(full.head.f_handle,
	       handle->len <= HANDLE_INLINE ? handle->bytes : handle_heap(handle), handle->len);
	for (unsigned int i = 0; i < OPEN_TRIES; i++) {
		fd = open_by_handle_at(mount_fd, &full.head, flags | O_CLOEXEC);
		if (fd >= 0 || errno != ENOMEM)
			break;
		wait_for_try(i);
	}
	if (fd >= 0)
		return fd;
	return errno == EMFILE || errno == ENFILE ? safe_open_no_more() : -errno;
}
