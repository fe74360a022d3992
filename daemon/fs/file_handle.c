/* SPDX-License-Identifier: BSD-3-Clause */
/* File handles and the mounts they belong to; see file_handle.h. */
#include "daemon/fs/file_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/fs/fs_kind.h"
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
static int handle_open(int mount_fd, const struct packed_handle *handle, int flags)
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
	return fd < 0 ? -errno : fd;
}

int file_handle_open(const struct mount_table *table, const struct inode *inode, int flags)
{
	int fd = handle_open(table->entries[inode->mount - 1].fd, &inode->handle, flags);

	return fd == -EMFILE || fd == -ENFILE ? safe_open_no_more() : fd;
}

/* Try it all out once: a descriptor on the mount, or -errno where there are no handles. */
static int probe(const struct mount_table *table, int fd)
{
	cleanup_close int mount_fd = safe_open_again(table->open, fd, O_RDONLY | O_NONBLOCK);
	struct packed_handle handle;
	int err, again;

	if (mount_fd < 0)
		return mount_fd;
	err = file_handle_make(fd, &handle);
	if (err)
		return err;
	again = handle_open(mount_fd, &handle, O_PATH);
	file_handle_release(&handle);
	if (again < 0)
		return again;
	close(again);
	return take_fd(&mount_fd);
}

static struct mount_entry *find_locked(struct mount_table *table, uint32_t id)
{
	for (unsigned int i = 0; i < MOUNTS_MAX; i++) {
		if (table->entries[i].used && table->entries[i].id == id)
			return &table->entries[i];
	}
	return NULL;
}

static struct mount_entry *free_locked(struct mount_table *table)
{
	for (unsigned int i = 0; i < MOUNTS_MAX; i++) {
		if (!table->entries[i].used)
			return &table->entries[i];
	}
	return NULL;
}

static uint16_t count_locked(const struct mount_table *table, struct mount_entry *entry)
{
	if (entry->fd < 0)
		return 0;
	entry->users++;
	return (uint16_t)(entry - table->entries + 1);
}

/* Enter what probe() found, unless another thread was first. 0 also when the table is full. */
static uint16_t add_and_count(struct mount_table *table, uint32_t id, int *fd)
{
	bool remote = *fd >= 0 && fs_kind_remote(*fd);
	struct mount_entry *entry;
	uint16_t mount = 0;

	pthread_mutex_lock(&table->lock);
	entry = find_locked(table, id);
	if (!entry) {
		entry = free_locked(table);
		if (entry)
			*entry = (struct mount_entry){
				.id = id, .fd = *fd, .used = true, .remote = remote,
			};
		if (entry)
			*fd = -1;
	}
	if (entry)
		mount = count_locked(table, entry);
	pthread_mutex_unlock(&table->lock);
	close_fd(fd);
	return mount;
}

/* The first file of a mount, or one of a kind that nothing can be learned from. */
static uint16_t learn(struct mount_table *table, int fd, const struct statx *stx)
{
	int mount_fd;

	/* Nothing else is ever opened. */
	if (!S_ISDIR(stx->stx_mode) && !S_ISREG(stx->stx_mode))
		return 0;
	mount_fd = probe(table, fd);
	if (mount_fd == -ENFILE)	/* says nothing of the mount */
		return 0;
	if (mount_fd < 0)
		log_warn("mount %llu: no file handles (%s): %s",
			 (unsigned long long)stx->stx_mnt_id, strerror(-mount_fd),
			 table->mode == FS_HANDLES_MANDATORY ? "its files are refused" :
			 "a descriptor is held for each file that the guest knows");
	return add_and_count(table, (uint32_t)stx->stx_mnt_id, &mount_fd);
}

int mount_table_get(struct mount_table *table, int fd, const struct statx *stx, uint16_t *mount)
{
	struct mount_entry *entry = NULL;

	*mount = 0;
	if (table->mode == FS_HANDLES_NEVER)
		return 0;
	if (stx->stx_mask & STATX_MNT_ID) {
		pthread_mutex_lock(&table->lock);
		entry = find_locked(table, (uint32_t)stx->stx_mnt_id);
		if (entry)
			*mount = count_locked(table, entry);
		pthread_mutex_unlock(&table->lock);
		if (!entry)
			*mount = learn(table, fd, stx);
	}
	return *mount || table->mode == FS_HANDLES_PREFER ? 0 : -EOPNOTSUPP;
}

void mount_table_put(struct mount_table *table, uint16_t mount)
{
	struct mount_entry *entry;
	int fd = -1;

	if (!mount)
		return;
	entry = &table->entries[mount - 1];
	pthread_mutex_lock(&table->lock);
	if (!--entry->users) {
		entry->used = false;
		fd = entry->fd;
	}
	pthread_mutex_unlock(&table->lock);
	/* The host may unmount it now. */
	close_fd(&fd);
}

void mount_table_init(struct mount_table *table, enum fs_handles mode, const struct safe_open *open)
{
	memset(table, 0, sizeof(*table));
	pthread_mutex_init(&table->lock, NULL);
	table->mode = mode;
	table->open = open;
}

void mount_table_fini(struct mount_table *table)
{
	for (unsigned int i = 0; i < MOUNTS_MAX; i++) {
		if (table->entries[i].used)
			close_fd(&table->entries[i].fd);
	}
	pthread_mutex_destroy(&table->lock);
}
