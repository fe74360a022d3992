/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX lock owners; see lock_table.h. */
#include "daemon/fs/lock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "common/checked.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/fs/handle_table.h"
#include "daemon/fs/inode_table.h"
#include "daemon/fs/patience.h"
#include "daemon/fs/safe_open.h"

void lock_table_init(struct lock_table *table, const struct safe_open *open, struct fd_budget *budget)
{
	*table = (struct lock_table){ .open = open, .budget = budget };
	pthread_mutex_init(&table->lock, NULL);
}

void lock_table_fini(struct lock_table *table)
{
	lock_table_clear(table);
	pthread_mutex_destroy(&table->lock);
}

static struct lock_owner **bucket_of(struct lock_table *table, const struct inode *inode, uint64_t owner)
{
	uint64_t hash = ((uintptr_t)inode ^ owner) * 0x9e3779b97f4a7c15u;

	return &table->buckets[hash >> 32 & (LOCK_BUCKETS - 1)];
}

/* Called with the lock. The place of the owner in its bucket, or the bucket's end. */
static struct lock_owner **find_link(struct lock_table *table, const struct inode *inode, uint64_t owner)
{
	struct lock_owner **link = bucket_of(table, inode, owner);

	while (*link && ((*link)->inode != inode || (*link)->owner != owner))
		link = &(*link)->next;
	return link;
}

struct lock_owner *lock_table_find(struct lock_table *table, const struct handle *handle, uint64_t owner)
{
	struct lock_owner *found;

	/* Most files are closed without ever having been locked. The guest orders its own requests. */
	if (!__atomic_load_n(&table->count, __ATOMIC_RELAXED))
		return NULL;
	pthread_mutex_lock(&table->lock);
	found = *find_link(table, handle->inode, owner);
	if (found)
		found->users++;
	pthread_mutex_unlock(&table->lock);
	return found;
}

static void owner_free(struct lock_table *table, struct lock_owner *owner)
{
	patience_close(owner->inode, owner->fd, table->budget);
	if (owner->read_fd >= 0)
		patience_close(owner->inode, owner->read_fd, table->budget);
	lock_ranges_clear(&owner->held);
	lock_ranges_clear(&owner->written);
	pthread_mutex_destroy(&owner->lock);
	inode_put(owner->inode);
	free(owner);
}

/* Only who has the file open for writing locks it for that. */
static int open_writable(const struct lock_table *table, const struct handle *handle)
{
	int mode = fcntl(handle->fd, F_GETFL) & O_ACCMODE, fd;

	if (mode == O_RDONLY)
		return -EBADF;
	fd = safe_open_again(table->open, handle->fd, O_RDWR);
	/* What may be written, and not read, is locked for writing alone. */
	return fd == -EACCES && mode == O_WRONLY ? safe_open_again(table->open, handle->fd, O_WRONLY) : fd;
}

/* An open file of the owner's own, counted: a descriptor or -errno. */
static int owner_open(const struct lock_table *table, const struct handle *handle, bool write)
{
	int fd;

	if (!fd_budget_take(table->budget))
		return -ENOLCK;
	fd = write ? open_writable(table, handle) : safe_open_again(table->open, handle->fd, O_RDONLY);
	if (fd < 0)
		fd_budget_give(table->budget);
	return fd;
}

static int owner_new(struct lock_table *table, const struct handle *handle, uint64_t id, bool write,
		     struct lock_owner **out)
{
	struct lock_owner *owner = malloc(sizeof(*owner));
	int fd = owner ? owner_open(table, handle, write) : -ENOMEM;

	if (fd < 0) {
		free(owner);
		return fd;
	}
	inode_ref(handle->inode);
	*owner = (struct lock_owner){ .inode = handle->inode, .owner = id, .through = handle, .fd = fd,
				       .read_fd = -1, .writable = write, .users = 2 };
	pthread_mutex_init(&owner->lock, NULL);
	*out = owner;
	return 0;
}

static int set_lock(int fd, short type, struct lock_range range)
{
	struct flock fl = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)range.start,
		.l_len = range.end == INT64_MAX ? 0 : (off_t)(range.end - range.start + 1),
	};

	return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

/*
 * Called with the owner's lock. Both descriptors hold the read locks for a moment, so that no other
 * owner gets one between.
 */
static int owner_move_locked(struct lock_owner *owner, int fd)
{
	const struct lock_range all = { 0, INT64_MAX };
	int err = 0;

	for (unsigned int i = 0; i < owner->held.n && !err; i++)
		err = set_lock(fd, F_RDLCK, owner->held.at[i]);
	if (err)
		return err;
	owner->read_fd = owner->fd;
	owner->fd = fd;
	owner->writable = true;
	return set_lock(owner->read_fd, F_UNLCK, all);
}

/* 0, also when another thread has done it, or -errno. */
static int owner_make_writable(struct lock_table *table, const struct handle *handle,
			       struct lock_owner *owner)
{
	int fd, err = 0;
	bool spare;

	pthread_mutex_lock(&owner->lock);
	spare = owner->writable;
	pthread_mutex_unlock(&owner->lock);
	if (spare)
		return 0;
	fd = owner_open(table, handle, true);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&owner->lock);
	if (!owner->writable)
		err = owner_move_locked(owner, fd);
	spare = owner->fd != fd;
	pthread_mutex_unlock(&owner->lock);
	if (spare) {
		close(fd);
		fd_budget_give(table->budget);
	}
	return err;
}

/* The owner that is in the table already, or the new one, which is in it then. */
static struct lock_owner *table_add(struct lock_table *table, struct lock_owner *new)
{
	struct lock_owner *owner, **link;

	pthread_mutex_lock(&table->lock);
	link = find_link(table, new->inode, new->owner);
	owner = *link;
	if (owner) {
		owner->users++;
	} else {
		new->next = NULL;
		*link = owner = new;
		__atomic_store_n(&table->count, table->count + 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&table->lock);
	return owner;
}

void lock_table_put(struct lock_table *table, struct lock_owner *owner)
{
	bool last;

	if (!owner)
		return;
	pthread_mutex_lock(&table->lock);
	last = !--owner->users;
	if (last)
		table->ranges -= owner->held.n + owner->written.n;
	pthread_mutex_unlock(&table->lock);
	if (last)
		owner_free(table, owner);
}

int lock_table_get(struct lock_table *table, const struct handle *handle, uint64_t owner, bool write,
		   struct lock_owner **out)
{
	struct lock_owner *new;
	int err = 0;

	*out = lock_table_find(table, handle, owner);
	if (!*out) {
		err = owner_new(table, handle, owner, write, &new);
		if (err)
			return err;
		*out = table_add(table, new);
		/* Two threads of one guest process: the other was quicker. */
		if (*out != new)
			owner_free(table, new);
	}
	if (write)
		err = owner_make_writable(table, handle, *out);
	if (err) {
		lock_table_put(table, *out);
		*out = NULL;
	}
	return err;
}

int lock_table_fd(struct lock_owner *owner)
{
	int fd;

	pthread_mutex_lock(&owner->lock);
	fd = owner->fd;
	pthread_mutex_unlock(&owner->lock);
	return fd;
}

/* Called with the owner's lock, as the next. More than there may be of one owner, or of all. */
static int count_set(struct lock_table *table, struct lock_ranges *ranges, struct lock_range range,
		     bool held)
{
	unsigned int before = ranges->n, all, room;
	int err;

	pthread_mutex_lock(&table->lock);
	room = LOCK_RANGES_ALL - MIN(table->ranges, LOCK_RANGES_ALL);
	err = lock_ranges_set(ranges, range, held, MIN(LOCK_RANGES_MAX, before + room));
	table->ranges += ranges->n - before;
	all = table->ranges;
	pthread_mutex_unlock(&table->lock);
	if (err == -ENOLCK)
		log_guest(LOG_LEVEL_WARN, "the guest has locked %u ranges of bytes, %u of them by one owner: no more",
			  all, before);
	return err;
}

static int count_locked(struct lock_table *table, struct lock_owner *owner, struct lock_range range,
			uint32_t type)
{
	int err = count_set(table, &owner->held, range, type != F_UNLCK);

	if (!err && (type == F_WRLCK || owner->written.n))
		err = count_set(table, &owner->written, range, type == F_WRLCK);
	return err;
}

int lock_table_note(struct lock_table *table, struct lock_owner *owner, int fd,
		    struct lock_range range, uint32_t type)
{
	bool held = type != F_UNLCK;
	int err;

	pthread_mutex_lock(&owner->lock);
	err = count_locked(table, owner, range, type);
	/* It became writable meanwhile, which waits for nobody. */
	if (!err && fd != owner->fd)
		err = set_lock(owner->fd, (short)type, range);
	if (held && (err || fd != owner->fd))
		set_lock(fd, F_UNLCK, range);
	if (held && err)
		count_locked(table, owner, range, F_UNLCK);
	pthread_mutex_unlock(&owner->lock);
	return err;
}

/* Called with the lock. */
static struct lock_owner *unlink_owner(struct lock_table *table, struct lock_owner **link)
{
	struct lock_owner *owner = *link;

	*link = owner->next;
	__atomic_store_n(&table->count, table->count - 1, __ATOMIC_RELAXED);
	return owner;
}

void lock_table_drop(struct lock_table *table, const struct handle *handle, uint64_t owner)
{
	struct lock_owner *found = NULL, **link;

	if (!__atomic_load_n(&table->count, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&table->lock);
	link = find_link(table, handle->inode, owner);
	if (*link)
		found = unlink_owner(table, link);
	pthread_mutex_unlock(&table->lock);
	lock_table_put(table, found);
}

/* Called with the lock. The place of some owner that came by the handle, or NULL. */
static struct lock_owner **find_through(struct lock_table *table, const struct handle *handle)
{
	for (unsigned int i = 0; i < LOCK_BUCKETS; i++)
		for (struct lock_owner **link = &table->buckets[i]; *link; link = &(*link)->next)
			if ((*link)->through == handle)
				return link;
	return NULL;
}

void lock_table_drop_handle(struct lock_table *table, const struct handle *handle)
{
	struct lock_owner *owner;

	if (!__atomic_load_n(&table->count, __ATOMIC_RELAXED))
		return;
	do {
		struct lock_owner **link;

		pthread_mutex_lock(&table->lock);
		link = find_through(table, handle);
		owner = link ? unlink_owner(table, link) : NULL;
		pthread_mutex_unlock(&table->lock);
		lock_table_put(table, owner);
	} while (owner);
}

void lock_table_clear(struct lock_table *table)
{
	for (unsigned int i = 0; i < LOCK_BUCKETS; i++) {
		struct lock_owner *owner;

		do {
			pthread_mutex_lock(&table->lock);
			owner = table->buckets[i] ? unlink_owner(table, &table->buckets[i]) : NULL;
			pthread_mutex_unlock(&table->lock);
			lock_table_put(table, owner);
		} while (owner);
	}
}
