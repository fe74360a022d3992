/* SPDX-License-Identifier: BSD-3-Clause */
/* The mounts that known files are on; see mount_table.h. */
#include "daemon/fs/mount_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/fs/file_handle.h"
#include "daemon/fs/fs_kind.h"
#include "daemon/fs/safe_open.h"

/* Try out once whether there are handles: a descriptor on the mount, or -errno. */
static int try_handles(const struct mount_table *table, int fd)
{
	cleanup_close int mount_fd = safe_open_again(table->open, fd, O_RDONLY | O_NONBLOCK);
	struct packed_handle handle;
	int err, again;

	if (mount_fd < 0)
		return mount_fd;
	err = file_handle_make(fd, &handle);
	if (err)
		return err;
	again = file_handle_open(mount_fd, &handle, O_PATH);
	file_handle_release(&handle);
	if (again < 0)
		return again;
	close(again);
	return take_fd(&mount_fd);
}

/* The entry of this mount or, if it has none, one that is free; NULL when all are others'. */
static struct mount_entry *find_locked(struct mount_table *table, uint32_t id)
{
	struct mount_entry *unused = NULL;

	for (uint32_t i = 0; i < table->top; i++) {
		struct mount_entry *entry = &table->entries[i];

		if (entry->users && entry->id == id)
			return entry;
		if (!entry->users && !unused)
			unused = entry;
	}
	return unused || table->top == MOUNTS_MAX ? unused : &table->entries[table->top];
}

static bool count_known(struct mount_table *table, uint32_t id, struct mount_entry **entry)
{
	bool known;

	pthread_mutex_lock(&table->lock);
	*entry = find_locked(table, id);
	known = *entry && (*entry)->users;
	if (known)
		(*entry)->users++;
	pthread_mutex_unlock(&table->lock);
	return known;
}

/* The first file of a mount, unless another thread was first. NULL when the table is full. */
static struct mount_entry *count_new(struct mount_table *table, uint32_t id, uint8_t kind)
{
	struct mount_entry *entry;

	pthread_mutex_lock(&table->lock);
	entry = find_locked(table, id);
	if (entry && !entry->users)
		*entry = (struct mount_entry){ .id = id, .fd = -1, .kind = kind };
	if (entry) {
		entry->users++;
		table->top = MAX(table->top, (uint32_t)(entry - table->entries) + 1);
	}
	pthread_mutex_unlock(&table->lock);
	return entry;
}

/* Note the outcome of try_handles(), or take another thread's: are there handles? */
static bool note_handles(struct mount_table *table, struct mount_entry *entry, int fd)
{
	bool has;

	pthread_mutex_lock(&table->lock);
	if (!entry->tried) {
		entry->fd = fd >= 0 ? take_fd(&fd) : -1;
		entry->tried = true;
	}
	has = entry->fd >= 0;
	pthread_mutex_unlock(&table->lock);
	close_fd(&fd);
	return has;
}

/* Can this file, counted in its entry, be held by its handle? */
static bool has_handles(struct mount_table *table, struct mount_entry *entry, int fd, mode_t type)
{
	bool tried;
	int mount_fd;

	pthread_mutex_lock(&table->lock);
	tried = entry->tried;
	mount_fd = entry->fd;
	pthread_mutex_unlock(&table->lock);
	/* Nothing is learned from others, which are never opened. */
	if (tried || (!S_ISDIR(type) && !S_ISREG(type)))
		return mount_fd >= 0;
	mount_fd = try_handles(table, fd);
	if (mount_fd == -ENFILE)	/* says nothing of the mount */
		return false;
	if (mount_fd < 0 && !table->quiet)
		log_guest(LOG_LEVEL_WARN, "mount %u: no file handles (%s): %s", entry->id,
			  strerror(-mount_fd),
			  table->mode == FS_HANDLES_MANDATORY ? "its files are refused" :
			  "a descriptor is held for each file that the guest knows");
	return note_handles(table, entry, mount_fd);
}

int mount_table_get(struct mount_table *table, int fd, const struct statx *stx, uint16_t *mount,
		    bool *by_handle)
{
	uint32_t id = (uint32_t)stx->stx_mnt_id;
	struct mount_entry *entry = NULL;

	*mount = 0;
	*by_handle = false;
	if (stx->stx_mask & STATX_MNT_ID && !count_known(table, id, &entry))
		entry = count_new(table, id, fs_kind(fd));
	if (entry)
		*mount = (uint16_t)(entry - table->entries + 1);
	if (table->mode == FS_HANDLES_NEVER)
		return 0;
	if (entry)
		*by_handle = has_handles(table, entry, fd, stx->stx_mode);
	if (*by_handle || table->mode == FS_HANDLES_PREFER)
		return 0;
	mount_table_put(table, *mount);
	*mount = 0;
	return -EOPNOTSUPP;
}

void mount_table_put(struct mount_table *table, uint16_t mount)
{
	struct mount_entry *entry;
	int fd = -1;

	if (!mount)
		return;
	entry = &table->entries[mount - 1];
	pthread_mutex_lock(&table->lock);
	if (!--entry->users)
		fd = take_fd(&entry->fd);
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
	pthread_mutex_destroy(&table->lock);
}
